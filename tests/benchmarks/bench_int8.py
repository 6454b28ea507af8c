"""What INT8 by other means does to the masks: the comparisons that `precision/int8.py` tells.

    bench_int8.py MODEL TARGET [--photos 24] [--whole-ranges] [--heads 1 3 6]
                               [--return BLOCK_OR_NODE[+...] ...] [--nncf]

Each line is one encoder, rounded in PyTorch, before the float decoder: mean, 5th percentile and
minimum of the mask IoU with the float model, and how near the embeddings are (dB). The photos are
evenly spaced among those of a COCO file that no range was measured on. `--whole-ranges` takes the
extremes of all photos, where recipes take those of one, averaged; `--return` leaves more in float
than the recipe of the first head. `--nncf` takes the ranges,
bias correction and SmoothQuant of NNCF's `quantize_pt2e`, placed as the recipe places codes (so
that the file computes the same layers in INT8, at the same speed); NNCF is no dependency: `pip
install nncf==3.4`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgekit import catalog, store
from edgekit.models import registry
from edgekit.models.checkpoints import locate
from edgekit.models.reference import reference_sessions
from edgekit.precision.apply.coded_walk import coded_walk
from edgekit.precision.decide.int8 import coded_operands, plan_int8
from edgekit.precision.measure.ranges import Ranges, measure
from edgekit.program.capture import Program
from edgekit.program.programs import Programs
from edgekit.records import (
    Execution,
    Feeds,
    FloatArray,
    NodePlan,
    Precision,
    Quantization,
    Role,
    Session,
    Target,
)
from edgekit.runtime import Predictor
from edgekit.runtime.photo import load_photo
from edgekit.runtime.preprocess import encoder_input
from edgekit.stages.judging import CachedSession
from edgekit.verification import verify_predictors

TEST_PHOTOS = Path(__file__).resolve().parents[3] / "shared/photos/instances.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What every encoder is tried on."""

    model: Programs
    target: Target
    calibration: catalog.PhotoSet
    photos: catalog.PhotoSet
    reference: tuple[Session, ...]
    exported: tuple[Session, ...]
    """The reference in the form that is exported: its encoder computes the photo's maps."""

    def judge(self, name: str, encoder: Session) -> None:
        """Print one line."""
        client = self.model.row.client
        verdict = verify_predictors(
            Predictor.from_sessions(client, encoder, *self.exported[1:]),
            Predictor.from_sessions(client, *self.reference),
            self.photos,
            gate=self.target.gate,
            execution=Execution(how="emulated", reason="an experiment"),
        )
        told = verdict.overall
        assert told is not None
        decibels = np.mean([self._decibels(encoder, photo) for photo in self.photos.photos[:4]])
        print(
            f"{name:40} mean {told.mean_iou:.4f}  p5 {told.p5_iou:.3f}  min {told.min_iou:.3f}"
            f"  {decibels:.1f} dB  ({told.prompts} prompts)",
            flush=True,
        )

    def _decibels(self, encoder: Session, photo: catalog.Photo) -> float:
        feeds = {"image": self.image(photo)}
        wanted, got = self.exported[0].run(feeds), encoder.run(feeds)
        signal = sum(float((wanted[name] ** 2).sum()) for name in wanted)
        return float(
            10 * np.log10(signal / sum(float(((wanted[n] - got[n]) ** 2).sum()) for n in wanted))
        )

    def image(self, photo: catalog.Photo) -> FloatArray:
        """A photo as the encoder takes it."""
        return encoder_input(load_photo(photo.path), self.model.row.client.preprocessing)


def main() -> None:
    """Try what the options name, the target's recipe first."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("target")
    parser.add_argument("--weights", action="append", default=[])
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--annotations", type=Path, default=TEST_PHOTOS)
    parser.add_argument("--heads", type=int, nargs="*", default=[])
    parser.add_argument("--whole-ranges", action="store_true")
    parser.add_argument("--return", dest="returned", nargs="*", default=[])
    parser.add_argument("--nncf", action="store_true")
    options = parser.parse_args()
    row, target = registry.model(options.model), catalog.target(options.target)
    source = locate(row, tuple(options.weights))
    model = Programs(row, source, target.prompt_shapes)
    calibration = catalog.calibration_set()
    setting = Setting(
        model=model,
        target=target,
        calibration=calibration,
        photos=_test_photos(options.annotations, options.photos, calibration),
        reference=tuple(map(CachedSession, reference_sessions(model.split))),
        exported=tuple(map(CachedSession, model.sessions)),
    )
    for name, encoder in _encoders(setting, options):
        setting.judge(name, encoder)


def _test_photos(file: Path, count: int, calibration: catalog.PhotoSet) -> catalog.PhotoSet:
    seen = {store.sha256_of(photo.path) for photo in calibration.photos}
    found = catalog.photos_from(file)
    fresh = [photo for photo in found.photos if store.sha256_of(photo.path) not in seen]
    return replace(found, photos=tuple(fresh[:: max(1, len(fresh) // count)][:count]))


def _encoders(setting: Setting, options: argparse.Namespace) -> Iterator[tuple[str, Session]]:
    model, recipe = setting.model, setting.target.int8
    assert recipe is not None, "a target of INT8"
    program = model.encoder
    ranges = _ranges(program, setting)
    if options.heads:
        recipe = replace(recipe, head=options.heads[0])
    yield f"head {recipe.head}", coded_walk(program, plan_int8(program, ranges, recipe))
    if options.whole_ranges:
        yield "whole ranges", coded_walk(program, plan_int8(program, _whole(ranges), recipe))
    for head in options.heads[1:]:
        plan = plan_int8(program, ranges, replace(recipe, head=head))
        yield f"head {head}", coded_walk(program, plan)
    for block in options.returned:
        plan = plan_int8(program, ranges, recipe)
        asked = tuple(block.split("+"))
        names = {n.node: "" for n in plan.nodes if n.node in asked or n.block.startswith(asked)}
        macs = sum(n.macs for n in plan.nodes if n.node in names) / sum(n.macs for n in plan.nodes)
        freed = plan_int8(program, ranges, recipe, in_float=names)
        yield f"{block} in float ({macs:.0%} of MACs)", coded_walk(program, freed)
    if options.nncf:
        lines = {line.node: line for line in plan_int8(program, ranges, recipe).nodes}
        coded = {n: line for n, line in lines.items() if line.precision is Precision.INT8}
        yield from _nncf(program, coded, setting)


def _ranges(program: Program, setting: Setting) -> Ranges:
    client = setting.model.row.client
    return measure(program, photos=setting.calibration, client=client).ranges(Role.ENCODER)


def _whole(ranges: Ranges) -> Ranges:
    by_name = {
        name: replace(found, usual_low=found.low, usual_high=found.high)
        for name, found in ranges.by_name.items()
    }
    return replace(ranges, by_name=by_name)


def _nncf(
    program: Program, lines: dict[str, NodePlan], setting: Setting
) -> Iterator[tuple[str, Session]]:
    import nncf
    from nncf.experimental.torch.fx import quantize_pt2e
    from torchao.quantization.pt2e import observer
    from torchao.quantization.pt2e.quantizer import (
        QuantizationAnnotation,
        QuantizationSpec,
        Quantizer,
    )

    def spec(code: Quantization) -> QuantizationSpec:
        if code.axis is not None:
            return QuantizationSpec(
                dtype=torch.int8,
                observer_or_fake_quant_ctr=observer.PerChannelMinMaxObserver,
                quant_min=-127,
                quant_max=127,
                qscheme=torch.per_channel_symmetric,
                ch_axis=code.axis,
            )
        unsigned = code.dtype == "uint8"
        symmetric = setting.target.int8 and setting.target.int8.activations == "int8"
        return QuantizationSpec(
            dtype=torch.uint8 if unsigned else torch.int8,
            observer_or_fake_quant_ctr=observer.HistogramObserver,
            quant_min=0 if unsigned else -128,
            quant_max=255 if unsigned else 127,
            qscheme=torch.per_tensor_symmetric if symmetric else torch.per_tensor_affine,
        )

    class SamePlaces(Quantizer):  # type: ignore[misc]
        def annotate(self, model: torch.fx.GraphModule) -> torch.fx.GraphModule:
            for node in model.graph.nodes:
                if line := lines.get(node.name):
                    coded = coded_operands(
                        node, line, is_constant=lambda operand: operand.op == "get_attr"
                    )
                    node.meta["quantization_annotation"] = QuantizationAnnotation(
                        input_qspec_map={operand: spec(code) for operand, code in coded.items()},
                        _annotated=True,
                    )
            return model

        def validate(self, model: torch.fx.GraphModule) -> None:
            """The plan was held against the program before."""

    images = [torch.from_numpy(setting.image(photo)) for photo in setting.calibration.photos]
    names = [spec.name for spec in program.outputs]
    for title, settings in (
        ("NNCF's ranges", {"fast_bias_correction": None}),
        ("NNCF, bias corrected", {"fast_bias_correction": True}),
        ("NNCF, bias and SmoothQuant", {"fast_bias_correction": True, "smooth_quant": True}),
    ):
        module = quantize_pt2e(
            program.exported.module(check_guards=False),
            SamePlaces(),
            nncf.Dataset(images, lambda image: image),
            subset_size=len(images),
            fold_quantize=True,
            **settings,
        )
        yield title, _Module(module, names)


class _Module:
    """A traced encoder as a session."""

    def __init__(self, module: Any, names: Sequence[str]) -> None:
        self._module, self._names = module, names

    @torch.inference_mode()
    def run(self, feeds: Feeds) -> dict[str, FloatArray]:
        results = self._module(torch.from_numpy(feeds["image"]))
        results = results if isinstance(results, tuple | list) else (results,)
        return {n: r.numpy() for n, r in zip(self._names, results, strict=True)}


if __name__ == "__main__":
    main()

"""The table of runtimes: one row holds everything that edgekit knows of one.

A new runtime is a row here, a module in `lowering/` that makes its files, a module in `runtimes/`
that opens them, and a profile in `targets/`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from edgekit.errors import NotYet
from edgekit.records import GraphFormat, Precision, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeRow:
    """What edgekit knows of one runtime.

    Attributes:
        name: as targets spell it; also the extra that installs the runtime.
        title: as people spell it.
        opens: the module that opens its files (`runtimes.Runtime`).
        lowers: the module that makes its files (`lowering.Lowering`).
        emulator: the module that stands in for it where it cannot run (`emulation.Emulator`).
        packages: the distributions that provide it; the first one installed is used.
        converter: the extra with the packages that only make files, where there are some.
        index: the package index that `pip` needs beside PyPI.
        exports_without: whether its files can be made where it is not installed.
        takes: the format of the graphs that `lowers` converts.
        files: the format of the files that it writes.
        precisions: those that edgekit can make for it.
        planned: those of them that are decided node by node. Others hold for the whole graph.
        applies_plan: those for which `lowers` gets a float32 graph beside its precision plan. In
            other graphs the plan is in the types.
        oldest_opset: of the ONNX that edgekit can write for it.
        folds_weights: whether INT8 weights are stored as integers in the captured program.
        options: compile options that a target may leave out, with the values they then have.
        companions: the module that writes files that belong to no artifact, such as build.sh.
        readme: a section of the bundle's README, in Markdown.
    """

    name: str
    title: str
    opens: str
    lowers: str
    packages: tuple[str, ...]
    files: Literal["onnx", "openvino-ir", "mlpackage", "tflite"]
    precisions: tuple[Precision, ...]
    planned: tuple[Precision, ...]
    emulator: str | None = None
    converter: str | None = None
    index: str | None = None
    exports_without: bool = False
    takes: GraphFormat = "onnx"
    applies_plan: tuple[Precision, ...] = ()
    oldest_opset: int = 1
    folds_weights: bool = True
    options: dict[str, str] = field(default_factory=dict)
    companions: str | None = None
    readme: str = ""


_TENSORRT_README = """\
## On the device, once

    ./build.sh

This builds one engine per graph with trtexec, for this GPU and this version of TensorRT, and
records what each engine was built from. Before that, the bundle holds only the typed ONNX files.
"""

_COREML_README = """\
## In an app

Add the packages to the Xcode project, or compile them with `MLModel.compileModel(at:)`, and run
them with `MLModel.prediction(from:)`. Inputs and outputs are float32 `MLMultiArray`s. Give unused
prompt slots the label -2.

`image` is a tensor, so Vision's `VNCoreMLRequest` does not take it. A Core ML image input has one
scale for all three channels, and its padding would be a colour, which is not zero after
normalisation. From a `CVPixelBuffer`, resize as described below. Then fill the array plane by
plane, red first, with (value - mean) / std, and with zeros outside the photo.
"""

_ROWS = (
    RuntimeRow(
        name="onnxruntime",
        title="ONNX Runtime",
        opens="edgekit.runtimes.onnxruntime",
        lowers="edgekit.lowering.onnxruntime",
        packages=("onnxruntime",),
        files="onnx",
        precisions=(Precision.FP32, Precision.INT8),
        planned=(Precision.INT8,),
    ),
    RuntimeRow(
        name="openvino",
        title="OpenVINO",
        opens="edgekit.runtimes.openvino",
        lowers="edgekit.lowering.openvino",
        packages=("openvino",),
        files="openvino-ir",
        precisions=(Precision.FP32, Precision.BF16, Precision.INT8),
        planned=(Precision.BF16, Precision.INT8),
        # No ONNX that every runtime reads has BF16 types: Conv takes them from opset 22 on.
        applies_plan=(Precision.BF16,),
    ),
    RuntimeRow(
        name="tensorrt",
        title="TensorRT",
        opens="edgekit.runtimes.tensorrt",
        lowers="edgekit.lowering.tensorrt",
        emulator="edgekit.emulation.tensorrt",
        packages=("tensorrt",),
        index="https://pypi.nvidia.com",
        exports_without=True,
        files="onnx",
        precisions=(Precision.FP16, Precision.INT8),
        planned=(Precision.FP16, Precision.INT8),
        oldest_opset=13,
        options={"prompts": "1 1 16", "points": "1 2 16", "workspace_mb": "1024"},
        companions="edgekit.lowering.tensorrt.build_files",
        readme=_TENSORRT_README,
    ),
    RuntimeRow(
        name="coreml",
        title="Core ML",
        opens="edgekit.runtimes.coreml",
        lowers="edgekit.lowering.coreml",
        emulator="edgekit.emulation.coreml",
        packages=("coremltools",),
        takes="program",
        files="mlpackage",
        precisions=(Precision.FP32, Precision.FP16, Precision.INT8),
        planned=(Precision.FP16, Precision.INT8),
        applies_plan=(Precision.FP16,),
        options={"minimum_deployment_target": "iOS17", "compute_units": "ALL"},
        readme=_COREML_README,
    ),
    RuntimeRow(
        name="litert",
        title="LiteRT",
        opens="edgekit.runtimes.litert",
        lowers="edgekit.lowering.litert",
        packages=("ai-edge-litert", "tflite-runtime"),
        converter="litert-export",
        takes="program",
        files="tflite",
        precisions=(Precision.FP32, Precision.FP16, Precision.INT8),
        planned=(Precision.INT8,),
        folds_weights=False,
    ),
)

RUNTIMES = MappingProxyType({row.name: row for row in _ROWS})


def runtime_row(name: str) -> RuntimeRow:
    """The row of the runtime that targets call `name`.

    Raises:
        NotYet: edgekit does not know this runtime.
    """
    if name not in RUNTIMES:
        raise NotYet(
            f"edgekit does not know the runtime {name!r}.",
            expected=f"one of {', '.join(RUNTIMES)}",
            next_step="edgekit targets",
        )
    return RUNTIMES[name]


def unsupported(target: Target) -> str | None:
    """Why edgekit cannot export for this target, whatever is installed. None if it can."""
    row = runtime_row(target.runtime)
    if target.precision not in row.precisions:
        return f"edgekit cannot make {target.precision} for {row.title}"
    if target.opset < row.oldest_opset:
        return f"{row.title} needs at least opset {row.oldest_opset}, not {target.opset}"
    return None


def plans_nodes(target: Target) -> bool:
    """Whether the target's precision is decided node by node."""
    return target.precision in runtime_row(target.runtime).planned


def lowering_applies_plan(target: Target) -> bool:
    """Whether the runtime's converter applies the precision plan, instead of the graph's types."""
    return target.precision in runtime_row(target.runtime).applies_plan


def install_command(extra: str) -> str:
    """What to type to install one of edgekit's extras."""
    row = RUNTIMES.get(extra)
    index = f" --extra-index-url {row.index}" if row and row.index else ""
    return f"pip install 'edgekit[{extra}]'{index}"

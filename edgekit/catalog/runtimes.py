"""The table of runtimes. One row holds everything edgekit knows about one runtime.

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
    """What edgekit knows about one runtime.

    Attributes:
        name: as in targets; also the extra that installs the runtime.
        title: as its makers spell it.
        opens: the module that opens its files, a `runtimes.Runtime`.
        lowers: the module that makes its files, a `lowering.Lowering`.
        emulator: the module that emulates it where it cannot run, an `emulation.Emulator`.
        packages: the distributions that provide it; the first one installed is used.
        converter: the extra with packages needed only to make files, if any.
        converter_package: the distribution in that extra whose absence stops an export.
        index: the package index that `pip` needs in addition to PyPI.
        exports_without: whether its files can be made without the runtime installed.
        takes: the format of the graphs that `lowers` converts.
        files: the format of the files that `lowers` writes.
        precisions: the precisions that edgekit can make for it.
        planned: the precisions decided node by node; the others apply to the whole graph.
        applies_plan: the precisions for which `lowers` gets a float32 graph and the precision plan.
            For the others, the graph's types already follow the plan.
        oldest_opset: the oldest ONNX opset that edgekit can write for it.
        folds_weights: whether INT8 weights are stored as integers in the captured program.
        takes_options: the options that a target or bundle may set, each with the pattern of its
            values. A bundle comes from outside, and other options would let it write files
            (OpenVINO's CACHE_DIR) or read them (ONNX Runtime's folder of external weights).
        exact_sums: the options with which sums of 8-bit products do not saturate on any CPU.
        options: the default values of compile options that a target may leave out.
        bundle_files: the module that writes files for the bundle as a whole, such as build.sh.
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
    converter_package: str | None = None
    index: str | None = None
    exports_without: bool = False
    takes: GraphFormat = "onnx"
    applies_plan: tuple[Precision, ...] = ()
    oldest_opset: int = 1
    folds_weights: bool = True
    takes_options: dict[str, str] = field(default_factory=dict)
    exact_sums: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    bundle_files: str | None = None
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
        takes_options={
            "session.intra_op.allow_spinning": "[01]",
            "session.set_denormal_as_zero": "[01]",
        },
        # ONNX Runtime 1.31.1 has session.x64quantprecision for this, and then refuses graphs in
        # which layers share a zero point: "Attempt to replace the existing tensor".
        exact_sums={"session.disable_quant_qdq": "1"},
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
        takes_options={
            "EXECUTION_MODE_HINT": "ACCURACY|PERFORMANCE",
            "INFERENCE_PRECISION_HINT": "f32|f16|bf16|bf16 or f32",
            "NUM_STREAMS": "[1-9][0-9]?",
            "PERFORMANCE_HINT": "LATENCY|THROUGHPUT",
        },
        exact_sums={"coded weights": "f32"},
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
        takes_options={
            "prompts": "[0-9]{1,4}( [0-9]{1,4}){2}",
            "points": "[0-9]{1,4}( [0-9]{1,4}){2}",
            "workspace_mb": "[0-9]{1,6}",
        },
        options={"prompts": "1 1 16", "points": "1 2 16", "workspace_mb": "1024"},
        bundle_files="edgekit.lowering.tensorrt.build_files",
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
        takes_options={
            "minimum_deployment_target": "(iOS|macOS)[0-9]{2}",
            "compute_units": "ALL|CPU_ONLY|CPU_AND_GPU|CPU_AND_NE",
        },
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
        converter_package="litert-torch",
        takes="program",
        files="tflite",
        precisions=(Precision.FP32, Precision.FP16, Precision.INT8),
        planned=(Precision.INT8,),
        folds_weights=False,
    ),
)

RUNTIMES = MappingProxyType({row.name: row for row in _ROWS})


def runtime_row(name: str) -> RuntimeRow:
    """The row of a runtime, by the name that targets use.

    Raises:
        NotYet: there is none.
    """
    if name not in RUNTIMES:
        raise NotYet(
            f"edgekit does not know the runtime {name!r}.",
            expected=f"one of {', '.join(RUNTIMES)}",
            next_step="edgekit targets",
        )
    return RUNTIMES[name]


def unsupported(target: Target) -> str | None:
    """Why edgekit cannot export for this target on any machine; None if it can."""
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
    """Whether the runtime's converter applies the plan; otherwise the graph's types follow it."""
    return target.precision in runtime_row(target.runtime).applies_plan


def install_command(extra: str) -> str:
    """The command that installs one of edgekit's extras."""
    row = RUNTIMES.get(extra)
    index = f" --extra-index-url {row.index}" if row and row.index else ""
    return f"pip install 'edgekit[{extra}]'{index}"

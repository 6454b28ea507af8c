"""Build an engine with TensorRT's Python bindings, on the device, without edgekit.

Bundles hold a copy of this file. It uses Python 3.6, the standard library and `tensorrt` only:
JetPack 4.6 has Python 3.6, JetPack 6 has 3.10, and their TensorRT serves no other Python. The
differences between TensorRT 8, 10 and 11 in building an engine are handled here:

- Up to 8 the types in a graph are hints. FP16 is a builder flag, and each layer that must stay FP32
  needs a setting of its own (trtexec has --layerPrecisions only from 8.4 on, not in 8.2).
- From 10 on (in fact from 9) a network can be strongly typed, and TensorRT obeys the types.
- 11 has no such flags; every network is strongly typed.

Usage: python3 build_engine.py --help
"""

import argparse
import ctypes
import hashlib
import json
import os
import re
import sys
from typing import Any

_COMPUTE_CAPABILITY = (75, 76)  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
_FIRST_STRONGLY_TYPED = (9, 0)
_FIRST_MEMORY_POOLS = (8, 4)


class Failed(Exception):
    """TensorRT or the driver failed; the message holds their own words."""


class Settings:
    """What to build, from which file, within which limits.

    `shapes` maps each input with a dynamic dimension to its (smallest, usual, largest) shape.
    `fp32_nodes` are the ONNX nodes that must not run in FP16 on TensorRT 8.
    """

    def __init__(
        self,
        onnx: str,
        engine: str,
        workspace_mib: int,
        *,
        shapes: "dict[str, tuple[tuple[int, ...], ...]] | None" = None,
        timing_cache: str = "",
        fp32_nodes: "tuple[str, ...]" = (),
    ) -> None:
        self.onnx = onnx
        self.engine = engine
        self.workspace_mib = workspace_mib
        self.shapes = shapes or {}
        self.timing_cache = timing_cache
        self.fp32_nodes = frozenset(fp32_nodes)


def build(trt: Any, settings: Settings) -> None:
    """Write the engine, and the timings of kernels to the timing cache.

    Raises:
        Failed: the graph does not parse or build.
    """
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(settings.onnx):
        errors = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        raise Failed("\n".join([settings.onnx + " does not parse:", *errors]))
    config = builder.create_builder_config()
    _limit_workspace(trt, config, settings.workspace_mib * 2**20)
    if version(trt) < _FIRST_STRONGLY_TYPED:
        _constrain_precision(trt, network, config, settings.fp32_nodes)
    if settings.shapes:
        _add_profile(builder, config, settings.shapes)
    cache = _timing_cache(config, settings.timing_cache)
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        raise Failed(settings.onnx + " does not build; TensorRT's messages above say why")
    _write(settings.engine, serialized)
    if settings.timing_cache:
        _write(settings.timing_cache, cache.serialize())


def version(trt: Any) -> "tuple[int, int]":
    """(major, minor)."""
    major, minor = trt.__version__.split(".")[:2]
    return int(major), int(minor)


def _network_flags(trt: Any) -> int:
    # 8 needs EXPLICIT_BATCH for ONNX. 11 has dropped it, and accepts STRONGLY_TYPED without effect.
    flags = trt.NetworkDefinitionCreationFlag
    typed = version(trt) >= _FIRST_STRONGLY_TYPED
    return 1 << int(flags.STRONGLY_TYPED if typed else flags.EXPLICIT_BATCH)


def _limit_workspace(trt: Any, config: Any, limit: int) -> None:
    # 8.4 replaced max_workspace_size by memory pools, and 10 removed it.
    if version(trt) >= _FIRST_MEMORY_POOLS:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, limit)
    else:
        config.max_workspace_size = limit


def _constrain_precision(trt: Any, network: Any, config: Any, fp32_nodes: "frozenset[str]") -> None:
    """Demand FP16 for every layer except those of the given nodes."""
    # A layer has its node's name, with a number appended if the node became several layers
    # (onnx-tensorrt 8.2-GA, ImporterContext.hpp: generateUniqueName).
    config.set_flag(trt.BuilderFlag.FP16)
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    floating = (trt.DataType.FLOAT, trt.DataType.HALF)
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if not {layer.name, re.sub(r"_\d+$", "", layer.name)} & fp32_nodes:
            continue
        outputs = [n for n in range(layer.num_outputs) if layer.get_output(n).dtype in floating]
        for output in outputs:
            layer.set_output_type(output, trt.DataType.FLOAT)
        if outputs:
            layer.precision = trt.DataType.FLOAT


def _add_profile(
    builder: Any, config: Any, shapes: "dict[str, tuple[tuple[int, ...], ...]]"
) -> None:
    profile = builder.create_optimization_profile()
    for name, (smallest, usual, largest) in shapes.items():
        profile.set_shape(name, smallest, usual, largest)
    if config.add_optimization_profile(profile) < 0:
        raise Failed(f"TensorRT does not accept the shapes {shapes}")


def _timing_cache(config: Any, path: str) -> Any:
    """The cache at a path; an empty one if there is none or it belongs to another device."""
    known = b""
    if path and os.path.exists(path):
        with open(path, "rb") as file:
            known = file.read()
    cache = config.create_timing_cache(known)
    if not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _write(path: str, content: Any) -> None:
    """Write a file whole or not at all: a power cut must not leave half an engine."""
    partial = path + ".part"
    with open(partial, "wb") as file:
        file.write(memoryview(content))
    os.replace(partial, path)


# --- provenance -----------------------------------------------------------------------------------


def record(onnx: str, engine: str, tensorrt: str) -> "dict[str, object]":
    """The origin of an engine and the machine that it fits: `engine` of an artifact."""
    source: dict[str, object] = {
        "file": {
            "path": os.path.basename(engine),
            "sha256": _sha256(engine),
            "bytes": os.path.getsize(engine),
        },
        "source_sha256": _sha256(onnx),
        "tensorrt": tensorrt,
    }
    source.update(gpu())
    return source


def enter_in_manifest(onnx: str, facts: "dict[str, object]") -> None:
    """Write an engine's record into the `manifest.json` beside its ONNX.

    Raises:
        Failed: the manifest is missing or cannot be read.
    """
    path = os.path.join(os.path.dirname(onnx), "manifest.json")
    try:
        with open(path, encoding="utf-8") as file:
            manifest = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise Failed(f"the bundle's manifest cannot be read: {error}") from error
    (artifact,) = [a for a in manifest["artifacts"] if a["entry"] == os.path.basename(onnx)]
    artifact["engine"] = facts
    _write(path, (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def gpu(library: str = "libcuda.so.1") -> "dict[str, str]":
    """Name, compute capability and driver of the first GPU, from the driver's library.

    Not from nvidia-smi, which a Jetson Nano does not have.

    Raises:
        Failed: there is no driver or no GPU.
    """
    try:
        driver = ctypes.CDLL(library)
    except OSError as error:
        raise Failed(f"no NVIDIA driver: {error}") from error

    def ask(function: str, *arguments: Any) -> None:
        status = getattr(driver, function)(*arguments)
        if status != 0:
            raise Failed(f"{function} says {status}")

    def number(function: str, *arguments: Any) -> int:
        result = ctypes.c_int()
        ask(function, ctypes.byref(result), *arguments)
        return result.value

    ask("cuInit", 0)
    device = number("cuDeviceGet", 0)
    name = ctypes.create_string_buffer(256)
    ask("cuDeviceGetName", name, len(name), device)
    capability = [
        str(number("cuDeviceGetAttribute", attribute, device)) for attribute in _COMPUTE_CAPABILITY
    ]
    newest_cuda = number("cuDriverGetVersion")
    return {
        "gpu": name.value.decode(),
        "compute_capability": ".".join(capability),
        "driver": f"CUDA {newest_cuda // 1000}.{newest_cuda % 1000 // 10}",
    }


# --- command line ---------------------------------------------------------------------------------


def main(arguments: "list[str] | None" = None) -> None:
    """Build an engine and record it, or record one that trtexec built."""
    parser = argparse.ArgumentParser(description="Build a TensorRT engine from typed ONNX.")
    parser.add_argument("--onnx", required=True)
    parser.add_argument("--engine", required=True)
    parser.add_argument("--workspace-mib", type=int, default=256)
    parser.add_argument("--timing-cache", default="")
    parser.add_argument("--fp32-nodes", help="a file with one ONNX node a line")
    parser.add_argument(
        "--built-by", help="record only: version of the trtexec that built the engine"
    )
    for kind in ("min", "opt", "max"):
        parser.add_argument(f"--{kind}-shapes", default="", help="in the form of trtexec")
    given = parser.parse_args(arguments)
    try:
        built_by = given.built_by or _build_as_given(given)
        enter_in_manifest(given.onnx, record(given.onnx, given.engine, built_by))
    except Failed as error:
        sys.exit(f"build_engine.py: {error}")


def _build_as_given(given: argparse.Namespace) -> str:
    try:
        import tensorrt
    except ImportError as error:
        raise Failed(
            f"no Python bindings of TensorRT: {error}. On a Jetson: apt install python3-libnvinfer"
        ) from error
    nodes: tuple[str, ...] = ()
    if given.fp32_nodes:
        with open(given.fp32_nodes) as file:
            nodes = tuple(file.read().split())
    limits = [_shapes(text) for text in (given.min_shapes, given.opt_shapes, given.max_shapes)]
    settings = Settings(
        given.onnx,
        given.engine,
        given.workspace_mib,
        shapes={name: tuple(limit[name] for limit in limits) for name in limits[0]},
        timing_cache=given.timing_cache,
        fp32_nodes=nodes,
    )
    build(tensorrt, settings)
    return str(tensorrt.__version__)


def _shapes(text: str) -> "dict[str, tuple[int, ...]]":
    """From "a:1x2,b:3" to {"a": (1, 2), "b": (3,)}."""
    pairs = [item.rsplit(":", 1) for item in text.split(",") if item]
    return {name: tuple(int(size) for size in sizes.split("x")) for name, sizes in pairs}


if __name__ == "__main__":
    main()

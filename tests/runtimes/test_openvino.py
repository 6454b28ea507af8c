"""What OpenVINO is not given, because it would take memory without bounds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edgekit import catalog
from edgekit.errors import BundleCorrupt
from edgekit.records import Artifact, Role, TensorSpec
from edgekit.runtimes import openvino as runtime

ov = pytest.importorskip("openvino", reason="the runtime is the extra `openvino`")


def test_a_tensor_beyond_any_model_is_refused_before_it_is_made(tmp_path: Path) -> None:
    """A file of 2 kB that asks for 16 GB."""
    from openvino import opset13 as op

    image = op.parameter([1, 1], ov.Type.f32, name="image")
    wide = op.broadcast(image, op.constant([2**16, 2**16], ov.Type.i64))
    total = op.reduce_sum(wide, op.constant([0, 1], ov.Type.i64), name="total")
    ov.save_model(ov.Model([total], [image], "m"), tmp_path / "encoder.xml", compress_to_fp16=False)
    spec = TensorSpec(name="image", dtype="float32", shape=(1, 1))
    artifact = Artifact(
        role=Role.ENCODER,
        format="openvino-ir",
        entry="encoder.xml",
        files=(),
        inputs=(spec,),
        outputs=(TensorSpec(name="total", dtype="float32", shape=()),),
        ops={},
    )
    start = time.monotonic()
    with pytest.raises(BundleCorrupt, match=r"cannot load encoder\.xml: .* has 4\.3e\+09 elements"):
        runtime.open_artifact(artifact, tmp_path, catalog.target("x86-fp32"), threads=1)
    assert time.monotonic() - start < 5

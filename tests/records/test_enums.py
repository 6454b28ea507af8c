"""`StrEnum` behaves alike on every Python, also where it is not `enum.StrEnum`."""

from __future__ import annotations

import json
import pickle

from edgekit.records import Precision


def test_str_format_and_json_give_the_value() -> None:
    assert str(Precision.FP16) == f"{Precision.FP16}" == f"{Precision.FP16:}" == "fp16"
    assert f"{Precision.FP16:>6}" == "  fp16"
    assert json.dumps({Precision.FP16: Precision.INT8}) == '{"fp16": "int8"}'


def test_members_equal_and_hash_like_their_values() -> None:
    assert Precision("fp16") is Precision.FP16 == "fp16"
    assert {Precision.FP16: 1}["fp16"] == 1
    assert "fp16".endswith(Precision.FP16)


def test_members_pickle() -> None:
    assert pickle.loads(pickle.dumps(Precision.FP16)) is Precision.FP16

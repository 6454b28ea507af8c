"""Whether a student takes frames of any size does not depend on the Python version."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Protocol, get_type_hints

import torch
from torch import nn

import edgekit
from edgekit.models.encoders.resnet18 import ResNet18Encoder
from edgekit.models.encoders.tiny_vit import TinyVitEncoder
from edgekit.models.sam import SamDecoder
from edgekit.train.stages.student import Student


def student_of(encoder_class: type[nn.Module]) -> Student:
    with torch.device("meta"):
        return Student(encoder_class(), SamDecoder())


def test_nanosams_encoder_takes_any_size() -> None:
    """This failed on Python 3.12, where isinstance did not see the encoder's parameter."""
    assert student_of(ResNet18Encoder).takes_any_size
    assert not student_of(TinyVitEncoder).takes_any_size


def test_protocols_checked_at_runtime_have_methods_only() -> None:
    """A data member would make isinstance depend on the Python version (python/cpython#102433)."""
    protocols = {
        member
        for module in pkgutil.walk_packages(edgekit.__path__, "edgekit.")
        if module.name.startswith(("edgekit.models", "edgekit.program", "edgekit.train"))
        for member in vars(importlib.import_module(module.name)).values()
        if isinstance(member, type) and getattr(member, "_is_runtime_protocol", False)
        if member.__module__.startswith("edgekit.") and member is not Protocol
    }
    assert {"AnySizeEncoder", "HasExportedForm", "Bakeable"} <= {p.__name__ for p in protocols}
    for protocol in protocols:
        assert not get_type_hints(protocol), f"{protocol.__name__} has data members"

"""Let sines and cosines of an OpenVINO IR compute in FP32 beside operators in BF16.

OpenVINO marks operators that must keep their precision by `precise` in a layer's `rt_info`. Its
Python API can only read the mark (2026.4: an attribute set there is a string, which the CPU plugin
overlooks), so it is written into the XML.

A new operator that replaces marked ones is not marked: it would compute in BF16 and get rounded
coordinates. So what OpenVINO merges, such as a product and the sum after it, is merged before the
marks are made. A MatMul with a weight still becomes a FullyConnected and loses its mark; edgekit's
position encodings have none.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import openvino as ov

_MARK = {"name": "precise", "version": "0"}
_WAVES = frozenset({"Sin", "Cos"})
_COMPUTES_NOTHING = frozenset({"Const", "Parameter"})


def has_waves(network: ov.Model) -> bool:
    """Whether there is a sine or a cosine."""
    return any(op.get_type_name() in _WAVES for op in network.get_ops())


def fuse_before_marks(network: ov.Model) -> None:
    """Merge operators as the plugin would at compile time, in place."""
    # No public function does this (2026.4); openvino.tools.ovc calls the same one.
    from openvino._offline_transformations import apply_moc_transformations

    apply_moc_transformations(network, cf=False)


def mark_waves(xml: Path) -> None:
    """Mark sines, cosines and what their phases are computed from.

    Args:
        xml: an IR that edgekit has just written. It is rewritten.
    """
    tree = ET.parse(xml)
    for layer in _behind_waves(tree.getroot()):
        _rt_info(layer).append(ET.Element("attribute", _MARK))
    tree.write(xml, encoding="utf-8", xml_declaration=True)


def _behind_waves(network: ET.Element) -> list[ET.Element]:
    """The layers, in order, that are sines, cosines or before them."""
    layers = {layer.attrib["id"]: layer for layer in network.iterfind("layers/layer")}
    sources: dict[str, list[str]] = {}
    for edge in network.iterfind("edges/edge"):
        sources.setdefault(edge.attrib["to-layer"], []).append(edge.attrib["from-layer"])
    pending = [key for key, layer in layers.items() if layer.get("type") in _WAVES]
    found = set[str]()
    while pending:
        key = pending.pop()
        if key not in found and layers[key].get("type") not in _COMPUTES_NOTHING:
            found.add(key)
            pending += sources.get(key, [])
    return [layer for key, layer in layers.items() if key in found]


def _rt_info(layer: ET.Element) -> ET.Element:
    info = layer.find("rt_info")
    if info is None:
        info = ET.Element("rt_info")
        layer.insert(0 if layer.find("data") is None else 1, info)
    return info

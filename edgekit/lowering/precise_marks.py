"""Let sines and cosines of an OpenVINO IR compute in FP32 beside operators in BF16.

OpenVINO marks operators that must keep their precision by `precise` in a layer's `rt_info`. Its
Python API can only read the mark (2026.4: an attribute set there is a string, which the CPU plugin
overlooks), so it is written into the XML. The plugin follows it for operators that it does not
replace: convolutions, elementwise and moving ones. A MatMul with a weight becomes a FullyConnected
and loses it. Chains of elementwise operators may be fused into one kernel, which computes in FP32
and rounds its result only; NanoSAM's masks pass with that too.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

_MARK = {"name": "precise", "version": "0"}
_WAVES = frozenset({"Sin", "Cos"})
_COMPUTES_NOTHING = frozenset({"Const", "Parameter"})


def mark_waves(xml: Path) -> int:
    """Mark sines, cosines and what their phases are computed from; return the number of marks.

    Args:
        xml: an IR that edgekit has just written. It is rewritten if it has any of them.
    """
    tree = ET.parse(xml)
    marked = _behind_waves(tree)
    for layer in marked:
        _rt_info(layer).append(ET.Element("attribute", _MARK))
    if marked:
        tree.write(xml, encoding="utf-8", xml_declaration=True)
    return len(marked)


def _behind_waves(tree: ET.ElementTree) -> list[ET.Element]:
    layers = {layer.get("id"): layer for layer in tree.iterfind("layers/layer")}
    sources: dict[str | None, list[str | None]] = {}
    for edge in tree.iterfind("edges/edge"):
        sources.setdefault(edge.get("to-layer"), []).append(edge.get("from-layer"))
    pending = [name for name, layer in layers.items() if layer.get("type") in _WAVES]
    found = set[str | None]()
    while pending:
        name = pending.pop()
        if name not in found and layers[name].get("type") not in _COMPUTES_NOTHING:
            found.add(name)
            pending += sources.get(name, [])
    return [layer for name, layer in layers.items() if name in found]


def _rt_info(layer: ET.Element) -> ET.Element:
    info = layer.find("rt_info")
    if info is None:
        info = ET.Element("rt_info")
        layer.insert(0 if layer.find("data") is None else 1, info)
    return info

"""Let an OpenVINO IR compute in FP32 under the hint `INFERENCE_PRECISION_HINT=bf16`.

OpenVINO has a mark for it, `precise` in a layer's `rt_info`, which its own transformations set and
its IR reader understands; its Python API can only read it (2026.4: an attribute set there is a
string, which the CPU plugin overlooks or refuses). So it is written into the XML.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

_MARK = {"name": "precise", "version": "0"}
_UNMARKED = frozenset({"Const", "Parameter", "Result"})


def mark_precise(xml: Path) -> None:
    """Mark all layers that compute. The file, which must be our own, is written anew."""
    tree = ET.parse(xml)
    for layer in tree.iterfind("layers/layer"):
        if layer.get("type") not in _UNMARKED:
            ET.SubElement(_rt_info(layer), "attribute", _MARK)
    tree.write(xml, encoding="utf-8", xml_declaration=True)


def _rt_info(layer: ET.Element) -> ET.Element:
    info = layer.find("rt_info")
    if info is None:
        info = ET.Element("rt_info")
        layer.insert(0 if layer.find("data") is None else 1, info)
    return info

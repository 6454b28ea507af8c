"""The overview as JUnit XML: a suite per model, a case per cell.

A failed gate is a failure, a cell without a verdict an error. Known failures, stale cells and those
that were not asked for are skipped, with the reason.
"""

from __future__ import annotations

import re
from itertools import groupby
from xml.etree import ElementTree

from edgekit.matrix.overview import Overview, ShownCell
from edgekit.matrix.states import State

_TAGS = {
    State.GATE_FAILED: "failure",
    State.COULD_NOT_RUN: "error",
    State.TIMED_OUT: "error",
    State.REFUSED: "error",
    State.KNOWN_FAILURE: "skipped",
    State.STALE: "skipped",
    State.NOT_ASKED: "skipped",
}
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, even as references."""


def junit_from(overview: Overview) -> str:
    """XML with the elements that CI systems read: testsuites, testsuite, testcase."""
    root = ElementTree.Element("testsuites", name="edgekit matrix")
    for model, cells in groupby(overview.cells, key=lambda cell: cell.place.model):
        _add_suite(root, model, list(cells))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def _add_suite(root: ElementTree.Element, model: str, cells: list[ShownCell]) -> None:
    tags = [_TAGS.get(cell.state) for cell in cells]
    suite = ElementTree.SubElement(root, "testsuite", name=_text(model), tests=str(len(cells)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(tags.count(tag)))
    for cell in cells:
        _add_case(suite, cell)


def _add_case(suite: ElementTree.Element, cell: ShownCell) -> None:
    place = cell.place
    name = f"{place.target} ({place.weights_text})" if place.weights else place.target
    case = ElementTree.SubElement(suite, "testcase", classname=_text(place.model), name=_text(name))
    case.set("time", f"{cell.result.seconds:.2f}" if cell.result else "0")
    if tag := _TAGS.get(cell.state):
        reason = _text(cell.reason or "")
        message = f"{cell.state}: {reason.partition(chr(10))[0]}" if reason else str(cell.state)
        ElementTree.SubElement(case, tag, message=message).text = reason
    if cell.result:
        log = "\n".join(step.log for step in cell.result.steps)
        ElementTree.SubElement(case, "system-out").text = _text(log)


def _text(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)

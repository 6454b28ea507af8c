"""The states of a cell. None is ever folded into another: not run is never a pass."""

from __future__ import annotations

from collections.abc import Iterable

from edgekit.records.enums import StrEnum


class State(StrEnum):
    """The state of a cell.

    The first six are outcomes of a run. Refused: edgekit declined to make the bundle, because a
    graph breaks a rule of the target, INT8 is slower than float, or the pair is not implemented.
    Could not run: something is missing or broke. Known failure: the outcome is one that is listed
    with a link and has not expired. Stale: the result is of other code, weights, photos, versions
    or another machine. Not asked: there is no result, and none was asked for.
    """

    PASSED_NATIVE = "passed native"
    PASSED_EMULATED = "passed emulated"
    GATE_FAILED = "gate failed"
    REFUSED = "refused"
    COULD_NOT_RUN = "could not run"
    TIMED_OUT = "timed out"
    KNOWN_FAILURE = "known failure"
    STALE = "stale"
    NOT_ASKED = "not asked"


PASSED = frozenset({State.PASSED_NATIVE, State.PASSED_EMULATED})

UNDECIDED = frozenset({State.COULD_NOT_RUN, State.TIMED_OUT})
"""Outcomes that say nothing about the bundle: another run may end otherwise."""

FAILED = frozenset({State.GATE_FAILED, State.REFUSED, *UNDECIDED})
"""Outcomes that a known failure may excuse."""

_EXIT_CODES = {
    State.GATE_FAILED: 1,
    State.REFUSED: 3,
    State.COULD_NOT_RUN: 3,
    State.TIMED_OUT: 3,
    State.STALE: 3,
}


def exit_code(states: Iterable[State]) -> int:
    """0 if all is as expected, 1 if a gate failed, 3 if a cell has no verdict; the largest counts,
    as for `edgekit export` with several targets."""
    return max((_EXIT_CODES.get(state, 0) for state in states), default=0)

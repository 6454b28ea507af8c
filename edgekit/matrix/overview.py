"""A results folder as people read it: models by targets, each cell in its present state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

from edgekit import catalog
from edgekit.errors import EdgekitError
from edgekit.matrix.cells import Identity, Place
from edgekit.matrix.fleets import Fleet
from edgekit.matrix.identity import identity_of
from edgekit.matrix.known import KnownFailure
from edgekit.matrix.results import Result, ResultsFolder
from edgekit.matrix.states import FAILED, PASSED, State, exit_code
from edgekit.models import registry

Row = tuple[str, tuple[str, ...]]
Column = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCell:
    """One place of the matrix.

    `reason` says why the state is no pass. `known` is the known failure that it is. `notice` is
    about one that no longer holds: it has expired, or the cell passes.
    """

    place: Place
    state: State
    reason: str | None = None
    known: KnownFailure | None = None
    notice: str | None = None
    result: Result | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All places that have a result or were asked for, row by row.

    `asked` are the places that the exit code is about. `unread` names results that could not be
    read.
    """

    cells: tuple[ShownCell, ...]
    asked: frozenset[Place]
    unread: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows, in the registry's order."""
        return tuple(dict.fromkeys(cell.place.row for cell in self.cells))

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, sorted."""
        return tuple(sorted({cell.place.column for cell in self.cells}))

    @property
    def grid(self) -> dict[Row, tuple[ShownCell, ...]]:
        """The cells of each row, in the order of the columns; where there is none, one that was
        not asked for."""
        found = {cell.place: cell for cell in self.cells}
        columns = self.columns
        return {
            row: tuple(found.get(place) or _not_asked(place) for place in _places(row, columns))
            for row in self.rows
        }

    @property
    def counts(self) -> dict[State, int]:
        """The number of cells in each state that occurs."""
        counted = Counter(cell.state for cell in self.cells)
        return {state: counted[state] for state in State if counted[state]}

    @property
    def results(self) -> tuple[Result, ...]:
        """The results of all cells that have one."""
        return tuple(cell.result for cell in self.cells if cell.result)

    @property
    def notices(self) -> tuple[str, ...]:
        """What is to be done about known failures and results that could not be read."""
        return (*self.unread, *(cell.notice for cell in self.cells if cell.notice))

    @property
    def exit_code(self) -> int:
        """See `states.exit_code`."""
        return exit_code(cell.state for cell in self.cells if cell.place in self.asked)


def overview_of(
    folder: ResultsFolder,
    *,
    asked: Sequence[Place] | None,
    fleet: Fleet,
    known: Sequence[KnownFailure],
    today: date,
) -> Overview:
    """The overview of a results folder and of places that were asked for.

    Args:
        folder: with the results.
        asked: the places of this run; None for all that have a result.
        fleet: tells which results are stale.
        known: the failures that are expected.
        today: known failures hold up to their day of expiry.
    """
    by_place: Mapping[Place, Result] = {result.place: result for result in folder}
    places = sorted({*by_place, *(asked or ())}, key=_order)
    present = _Present(fleet)
    cells = (_shown(place, by_place.get(place), present, known, today) for place in places)
    return Overview(
        cells=tuple(cells),
        asked=frozenset(places if asked is None else asked),
        unread=folder.notices,
    )


class _Present:
    """What the outcomes of cells depend on at present."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._profile = cache(catalog.target_or_file)

    def changes_since(self, result: Result) -> tuple[str, ...]:
        """What the result depends on and has changed since its run; empty if it still holds.

        That of a machine which is outside the fleet, or cannot be reached, is compared without
        machine and versions.
        """
        there = result.identity.host
        try:
            target = self._profile(result.cell.asked_target)
            here = self._fleet.host(target)
            host = here if here.label == there.label and here.machine else there
            now = identity_of(result.cell, target, host)
        except EdgekitError as error:
            return (error.what,)
        return tuple(_changes(result.identity, now))


def _order(place: Place) -> tuple[int, Place]:
    names = [row.name for row in registry.models()]
    return (names.index(place.model) if place.model in names else len(names)), place


def _places(row: Row, columns: Iterable[Column]) -> Iterator[Place]:
    model, weights = row
    return (
        Place(model=model, weights=weights, target=target, host=host) for target, host in columns
    )


def _not_asked(place: Place) -> ShownCell:
    return ShownCell(place=place, state=State.NOT_ASKED)


def _shown(
    place: Place,
    result: Result | None,
    present: _Present,
    known: Sequence[KnownFailure],
    today: date,
) -> ShownCell:
    if result is None:
        return _not_asked(place)
    if changed := present.changes_since(result):
        reason = f"was {result.state}; since then changed: {', '.join(changed)}"
        return ShownCell(place=place, state=State.STALE, reason=reason, result=result)
    listed = next((each for each in known if each.covers(place.model, place.target)), None)
    if listed and listed.state is result.state and today <= listed.expires:
        return ShownCell(
            place=place,
            state=State.KNOWN_FAILURE,
            reason=f"{result.state}: {listed.reason}",
            known=listed,
            result=result,
        )
    notice = _notice(listed, result, today) if listed else None
    return ShownCell(
        place=place, state=result.state, reason=result.reason, notice=notice, result=result
    )


def _notice(listed: KnownFailure, result: Result, today: date) -> str | None:
    pair = result.place.title
    if result.state in PASSED:
        return f"{pair} passes, but is listed as a known failure ({listed.link}): remove the entry"
    if result.state in FAILED and today > listed.expires:
        return f"{pair}: the known failure expired on {listed.expires} ({listed.link})"
    return None


def _changes(before: Identity, now: Identity) -> Iterator[str]:
    named = {"weights": "weights", "profile": "the target", "photos": "photos", "code": "code"}
    for field, name in named.items():
        if getattr(before, field) != getattr(now, field):
            yield name
    there, here = before.host, now.host
    if there.machine != here.machine:
        yield f"machine ({there.machine} to {here.machine})"
    for package in sorted({*there.versions, *here.versions}):
        old, new = there.versions.get(package, "none"), here.versions.get(package, "none")
        if old != new:
            yield f"{package} {old} to {new}"

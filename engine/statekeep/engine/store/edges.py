"""The automaton: what an event does to a cohort, computed and stored.

A step is stored when it is taken for the second time, to a history that is there already; from then on Postgres takes
it without any Python. Most histories of some machines are those of one actor, and their steps are never taken again.
A step that leads nowhere is stored at once, but only for events that the machine knows: callers who make up event
types must not fill a table.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.errors import ChartUnstable, StatekeepError
from statekeep.engine.history.fingerprint import extend, show
from statekeep.engine.json import JsonObject
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.interpreter import restore, step
from statekeep.engine.store import interning
from statekeep.engine.store.catalogue import Catalogue, Edge, Place
from statekeep.engine.store.interning import NewHistory
from statekeep.engine.store.round_trip import exchange
from statekeep.engine.store.sql import prepared_statements
from statekeep.engine.store.takeover import Reading

_SQL = prepared_statements("interning.sql")

Wanted = tuple[int, str]
"""A cohort id and the type of an event for its actors."""


@dataclass(frozen=True, slots=True)
class Found:
    """Where events lead; nothing is known of cohorts that are not there."""

    lasting: Mapping[Wanted, Edge]
    """Edges between cohorts that are in the database, at the latest when this transaction commits."""

    passing: Mapping[Wanted, Edge]
    """Edges that lead nowhere, by events that the machine does not know."""

    unstable: Mapping[Wanted, Place]
    """The event would never come to rest there."""

    refused: Mapping[Wanted, StatekeepError]
    """This process cannot say where the event leads."""

    def __contains__(self, wanted: Wanted) -> bool:
        return any(
            wanted in those for those in (self.lasting, self.passing, self.unstable, self.refused)
        )


_At = tuple[int, int, int, bytes]
"""Cohort id, history id, configuration id, fingerprint."""


class _Row(NamedTuple):
    """What the database knows of a wanted edge."""

    cohort_id: int
    event_type: str
    version_id: int
    semantics: int
    """Of the version."""

    history_id: int
    configuration_id: int
    fingerprint: bytes
    depth: int
    known: bool
    document: JsonObject
    """Of the cohort's configuration; only where the edge is not known."""

    target_id: int | None
    to_history_id: int
    to_configuration_id: int
    to_fingerprint: bytes

    @property
    def wanted(self) -> Wanted:
        return self.cohort_id, self.event_type

    @property
    def source(self) -> _At:
        return self.cohort_id, self.history_id, self.configuration_id, self.fingerprint

    @property
    def target(self) -> _At | None:
        if self.target_id is None:
            return None
        return self.target_id, self.to_history_id, self.to_configuration_id, self.to_fingerprint


@dataclass(frozen=True, slots=True)
class _Step:
    """What the interpreter says of an edge that is not stored."""

    wanted: Wanted
    version_id: int
    history: NewHistory
    configuration: Configuration


@dataclass(slots=True)
class _Computed:
    """What the interpreter says, by what is to be done about it."""

    steps: list[_Step] = field(default_factory=list)
    nowhere: list[Wanted] = field(default_factory=list)
    """To be stored: the machine knows the event."""

    passing: list[Wanted] = field(default_factory=list)
    unstable: list[Wanted] = field(default_factory=list)


async def find(
    connection: AsyncConnection, catalogue: Catalogue, wanted: Collection[Wanted]
) -> Found:
    """Look the edges up; compute those that are not stored.

    Args:
        connection: holds the locks of the machines, shared at least: an edge computed before a
            deployment must not be stored after it.
        catalogue: compiled versions.
        wanted: cohorts and events.

    Raises:
        Unchecked: versions among them were stored by a release that read definitions in another way.
    """
    rows = await _look_up(connection, wanted)
    refused = _refused(catalogue, rows.values())
    rows = {pair: row for pair, row in rows.items() if pair not in refused}
    new = await _computed(connection, catalogue, [row for row in rows.values() if not row.known])
    targets = {pair: row.target for pair, row in rows.items() if row.known}
    targets |= await _store(connection, new.steps, new.nowhere)
    at = [*(row.source for row in rows.values()), *targets.values()]
    places = await _places(connection, catalogue, at)
    return Found(
        lasting={
            pair: Edge(places[rows[pair].source], target and places[target])
            for pair, target in targets.items()
        },
        passing={pair: Edge(places[rows[pair].source], None) for pair in new.passing},
        unstable={pair: places[rows[pair].source] for pair in new.unstable},
        refused=refused,
    )


def _refused(catalogue: Catalogue, rows: Iterable[_Row]) -> Mapping[Wanted, StatekeepError]:
    """Return the edges of which this process cannot say where they lead, and why."""
    reading = Reading(catalogue)
    found = {
        row.wanted: reading.objection(row.version_id, row.semantics, is_known=row.known)
        for row in rows
    }
    reading.end()
    return {pair: error for pair, error in found.items() if error is not None}


async def _look_up(
    connection: AsyncConnection, wanted: Collection[Wanted]
) -> Mapping[Wanted, _Row]:
    pairs = sorted(wanted)
    keys = {
        "cohorts": [cohort_id for cohort_id, _ in pairs],
        "types": [event_type for _, event_type in pairs],
    }
    [found] = await exchange(connection, (_SQL["find_edges"], keys))
    return {row.wanted: row for row in map(_Row._make, found)}


async def _computed(
    connection: AsyncConnection, catalogue: Catalogue, rows: Sequence[_Row]
) -> _Computed:
    """Ask the interpreter about the edges that are not stored."""
    new = _Computed()
    for row in rows:
        machine = (await catalogue.version(connection, row.version_id)).version.machine
        try:
            taken = step(machine, restore(machine, row.document), row.event_type)
        except ChartUnstable:
            new.unstable.append(row.wanted)
            continue
        if taken.handled:
            chain = extend(row.fingerprint, row.event_type)
            history = NewHistory(row.history_id, row.event_type, row.depth + 1, chain)
            new.steps.append(_Step(row.wanted, row.version_id, history, taken.configuration))
        elif row.event_type in machine.mentioned:
            new.nowhere.append(row.wanted)
        else:
            new.passing.append(row.wanted)
    return new


async def _places(
    connection: AsyncConnection, catalogue: Catalogue, wanted: Sequence[_At | None]
) -> Mapping[_At, Place]:
    distinct = {at for at in wanted if at is not None}
    configurations = await catalogue.configurations(connection, {at[2] for at in distinct})
    return {
        at: Place(cohort_id, history_id, configurations[configuration_id], show(chain))
        for at in distinct
        for cohort_id, history_id, configuration_id, chain in (at,)
    }


async def _store(
    connection: AsyncConnection, steps: Collection[_Step], nowhere: Collection[Wanted]
) -> Mapping[Wanted, _At | None]:
    """Store what new edges lead to, and those of them that have been gone along before; return where they lead."""
    targets: dict[Wanted, _At | None] = dict.fromkeys(nowhere)
    lasting: dict[Wanted, int | None] = dict.fromkeys(nowhere)
    if steps:
        arrivals = await interning.arrivals(
            connection,
            {s.history for s in steps},
            {(s.version_id, s.configuration) for s in steps},
        )
        placed = [
            (
                s.version_id,
                arrivals.histories[s.history.fingerprint],
                arrivals.configurations[s.version_id, s.configuration],
            )
            for s in steps
        ]
        cohorts = await interning.cohorts(connection, sorted(set(placed)))
        for s, (version_id, history_id, configuration_id) in zip(steps, placed, strict=True):
            chain = s.history.fingerprint
            cohort_id = cohorts[version_id, history_id]
            targets[s.wanted] = (cohort_id, history_id, configuration_id, chain)
            if chain in arrivals.known:
                lasting[s.wanted] = cohort_id
    await interning.edges(connection, lasting)
    return targets

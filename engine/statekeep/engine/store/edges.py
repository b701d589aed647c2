"""The automaton: what an event does to a cohort, computed and stored.

A step is stored when it is taken again, by the same process or another one; from then on Postgres takes it without any
Python. Most histories of some machines are those of one actor, and their steps are never taken again. Two kinds are
stored at once. One of which nothing else would tell what it meant, when another release looks (``takeover``). And
one that leads nowhere, but only for events that the machine knows: callers who make up event types must not fill a
table.
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
from statekeep.engine.store.locks import FOUNDING_SPACE
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

    new: Mapping[Wanted, int | None]
    """Those of the lasting edges that are to be stored, each with the id of the cohort that it leads to; by whoever
    asks, last of all that it stores, so that nobody waits in a circle."""

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

    is_hidden: bool
    """Whether it leads back to where it begins, and would be skipped on a replay that does not handle the event: then
    no history and no state tells that it was taken."""


@dataclass(slots=True)
class _Computed:
    """What the interpreter says, by what is to be done about it."""

    steps: list[_Step] = field(default_factory=list)
    nowhere: list[Wanted] = field(default_factory=list)
    """To be stored: the machine knows the event."""

    passing: list[Wanted] = field(default_factory=list)
    unstable: list[Wanted] = field(default_factory=list)


async def find(
    connection: AsyncConnection, catalogue: Catalogue, wanted: Collection[Wanted], *, is_last: bool
) -> Found:
    """Look the edges up; compute those that are not stored.

    Args:
        connection: holds the locks of the machines, shared at least: an edge computed before a
            deployment must not be stored after it.
        catalogue: compiled versions.
        wanted: cohorts and events.
        is_last: whether this transaction asks for no edges after these.

    Raises:
        Unchecked: versions among them were stored by a release that read definitions in another way.
    """
    rows = await _look_up(connection, wanted, is_last=is_last)
    refused = _refused(catalogue, rows.values())
    rows = {pair: row for pair, row in rows.items() if pair not in refused}
    new = await _computed(connection, catalogue, [row for row in rows.values() if not row.known])
    targets: dict[Wanted, _At | None] = {
        pair: row.target for pair, row in rows.items() if row.known
    }
    arrivals = await _arrive(connection, new.steps)
    targets |= {**arrivals.targets, **dict.fromkeys(new.nowhere)}
    storing: dict[Wanted, int | None] = {**arrivals.again, **dict.fromkeys(new.nowhere)}
    at = [*(row.source for row in rows.values()), *targets.values()]
    places = await _places(connection, catalogue, at)
    return Found(
        lasting={
            pair: Edge(
                places[rows[pair].source],
                target and places[target],
                is_stored=rows[pair].known or pair in storing,
            )
            for pair, target in targets.items()
        },
        passing={
            pair: Edge(places[rows[pair].source], None, is_stored=False) for pair in new.passing
        },
        unstable={pair: places[rows[pair].source] for pair in new.unstable},
        refused=refused,
        new=storing,
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
    connection: AsyncConnection, wanted: Collection[Wanted], *, is_last: bool
) -> Mapping[Wanted, _Row]:
    pairs = sorted(wanted)
    keys = {
        "cohorts": [cohort_id for cohort_id, _ in pairs],
        "types": [event_type for _, event_type in pairs],
    }
    lock = _SQL["found_together"] if is_last else _SQL["found_alone"]
    _, found = await exchange(
        connection, (lock, {"space": FOUNDING_SPACE}), (_SQL["find_edges"], keys)
    )
    return {row.wanted: row for row in map(_Row._make, found)}


async def _computed(
    connection: AsyncConnection, catalogue: Catalogue, rows: Sequence[_Row]
) -> _Computed:
    """Ask the interpreter about the edges that are not stored."""
    new = _Computed()
    for row in rows:
        version = (await catalogue.version(connection, row.version_id)).version
        machine = version.machine
        at = restore(machine, row.document)
        try:
            taken = step(machine, at, row.event_type)
        except ChartUnstable:
            new.unstable.append(row.wanted)
            continue
        if taken.handled:
            chain = extend(row.fingerprint, row.event_type)
            history = NewHistory(row.history_id, row.event_type, chain)
            is_hidden = version.policy.skips and taken.configuration == at
            new.steps.append(
                _Step(row.wanted, row.version_id, history, taken.configuration, is_hidden)
            )
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


@dataclass(frozen=True, slots=True)
class _Arrivals:
    """Where new steps lead, now that it is stored."""

    targets: Mapping[Wanted, _At]
    again: Mapping[Wanted, int]
    """Those to be stored themselves, with the ids of the cohorts."""


async def _arrive(connection: AsyncConnection, steps: Collection[_Step]) -> _Arrivals:
    """Store what new steps lead to."""
    if not steps:
        return _Arrivals({}, {})
    interned = await interning.arrivals(
        connection,
        {s.history for s in steps},
        {(s.version_id, s.configuration) for s in steps},
    )
    placed = [
        (
            s.version_id,
            interned.histories[s.history.fingerprint],
            interned.configurations[s.version_id, s.configuration],
        )
        for s in steps
    ]
    cohorts = await interning.cohorts(connection, sorted(set(placed)))
    targets: dict[Wanted, _At] = {}
    again: dict[Wanted, int] = {}
    for s, (version_id, history_id, configuration_id) in zip(steps, placed, strict=True):
        chain = s.history.fingerprint
        cohort_id = cohorts[version_id, history_id]
        targets[s.wanted] = (cohort_id, history_id, configuration_id, chain)
        if s.is_hidden or chain in interned.known:
            again[s.wanted] = cohort_id
    return _Arrivals(targets, again)

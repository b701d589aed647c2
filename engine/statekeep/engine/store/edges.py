"""Filling in the automaton: what an event does to a cohort, computed once and stored.

From then on Postgres takes that step without any Python. A step that leads nowhere is stored too,
but only for events that the machine knows: callers who make up event types must not fill a table.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.errors import ChartUnstable
from statekeep.engine.history.fingerprint import extend
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.interpreter import restore, step
from statekeep.engine.store import interning
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.interning import NewHistory
from statekeep.engine.store.sql import statements

_SQL = statements("interning.sql")

Missing = tuple[int, str]
"""A cohort id and an event type that no edge leaves it by."""


@dataclass(frozen=True, slots=True)
class _Step:
    """What the interpreter says of one missing edge."""

    missing: Missing
    version_id: int
    history: NewHistory
    configuration: Configuration


@dataclass(frozen=True, slots=True)
class Filled:
    """What could not be stored as an edge; everything else was."""

    unhandled: frozenset[Missing]
    """No transition takes the event there."""

    unstable: frozenset[Missing]
    """The event would never come to rest there."""


async def fill(
    connection: AsyncConnection, catalogue: Catalogue, wanted: Collection[Missing]
) -> Filled:
    """Compute and store the edges.

    Args:
        connection: holds the locks of the machines, shared at least: an edge computed before a
            deployment must not be stored after it.
        catalogue: compiled versions.
        wanted: cohorts and events.
    """
    steps, nowhere, unhandled, unstable = [], [], set(), set()
    cohort_ids = sorted({cohort_id for cohort_id, _ in wanted})
    rows = await connection.execute(_SQL["read_cohorts"], {"cohorts": cohort_ids})
    cohorts = {row.id: row for row in rows}
    for missing in sorted(set(wanted)):
        cohort_id, event_type = missing
        row = cohorts[cohort_id]
        machine = (await catalogue.version(connection, row.version_id)).version.machine
        try:
            taken = step(machine, restore(machine, row.document), event_type)
        except ChartUnstable:
            unstable.add(missing)
            continue
        if taken.handled:
            chain = extend(row.fingerprint, event_type)
            history = NewHistory(row.history_id, event_type, row.depth + 1, chain)
            steps.append(_Step(missing, row.version_id, history, taken.configuration))
        elif event_type in machine.mentioned:
            nowhere.append(missing)
        else:
            unhandled.add(missing)
    await _store(connection, steps, nowhere)
    return Filled(frozenset(unhandled), frozenset(unstable))


async def _store(
    connection: AsyncConnection, steps: Collection[_Step], nowhere: Collection[Missing]
) -> None:
    histories = await interning.histories(connection, {s.history for s in steps})
    configurations = await interning.configurations(
        connection, {(s.version_id, s.configuration) for s in steps}
    )
    placed = [
        (
            s.version_id,
            histories[s.history.fingerprint],
            configurations[s.version_id, s.configuration],
        )
        for s in steps
    ]
    cohorts = await interning.cohorts(connection, sorted(set(placed)))
    edges: list[tuple[int, str, int | None]] = [
        (*s.missing, cohorts[version_id, history_id])
        for s, (version_id, history_id, _) in zip(steps, placed, strict=True)
    ]
    edges += [(*missing, None) for missing in nowhere]
    if edges:
        await connection.execute(
            _SQL["insert_edges"],
            {
                "cohorts": [cohort_id for cohort_id, _, _ in edges],
                "types": [event_type for _, event_type, _ in edges],
                "targets": [target_id for _, _, target_id in edges],
            },
        )

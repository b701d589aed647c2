"""Who would migrate and who would stay, by name: a version's actors, each decided as it is come to.

A page costs what it looks at, wherever it begins and however many actors and histories there are: actors of the
machine in the order of their ids, a bounded number of them, and of histories only theirs. ::

    actors behind a key ── their histories ── evaluate ── those with the outcome ── full? seen enough? ─┐
          └──────────────────────────────────────── on ──────────────────────────────────────────────────┘
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.ids import ActorId
from statekeep.engine.routing.cohort import Cohort
from statekeep.engine.routing.decision import Migrate, Stay
from statekeep.engine.routing.evaluation import Decided, evaluate
from statekeep.engine.routing.replay import Walk
from statekeep.engine.store import populations
from statekeep.engine.store.sql import statements
from statekeep.engine.store.versions import StoredVersion

_SQL = statements("routing.sql")

ACTORS = 10_000
"""Actors of the machine that one page looks at, whatever version they are on and whatever is decided of them."""

EVENTS = 200_000
"""Events of the histories that one page reads, each history counted once. The first actor is looked at whatever its
history."""

AT_ONCE = 1_000
"""Actors that are looked at together."""

Outcome = type[Migrate] | type[Stay]
"""Which of the two lists."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of one of the two lists."""

    passengers: Sequence[tuple[ActorId, Decided]]
    """Fewer than asked for, even none, where others were looked at."""

    last: ActorId | None
    """Where the next page begins; ``None`` on the last one."""


async def page(
    connection: AsyncConnection,
    walk: Walk,
    parent: StoredVersion,
    outcome: Outcome,
    *,
    after: ActorId | None,
    limit: int,
) -> Page:
    """Return actors of a version of which one thing would be decided, in the order of their ids.

    Args:
        connection: on one snapshot.
        walk: of the version that would be deployed; it learns the histories that it meets.
        parent: whose actors.
        outcome: what would be decided of them.
        after: the ``last`` of the page before.
        limit: actors at most.
    """
    found: list[tuple[ActorId, Decided]] = []
    actors, events, size = ACTORS, EVENTS, limit + 1
    while True:
        size = min(size, AT_ONCE, actors)
        rows = await _look(connection, parent, after, size)
        seen, cost = _affordable(rows, walk, events, at_least=int(actors == ACTORS))
        if rows and not seen:
            return Page(found, after)
        decided = await _decide(connection, walk, seen)
        for row in seen:
            one = decided.get((row.history_id, row.configuration_id))
            if one is not None and isinstance(one.decision, outcome):
                found.append((ActorId(row.id), one))
        if len(found) > limit:
            return Page(found[:limit], found[limit - 1][0])
        if len(seen) == len(rows) < size:
            return Page(found, None)
        after = ActorId(seen[-1].id)
        actors, events, size = actors - len(seen), events - cost, 2 * size
        if len(found) == limit or len(seen) < len(rows) or min(actors, events) <= 0:
            return Page(found, after)


async def _look(
    connection: AsyncConnection, parent: StoredVersion, after: ActorId | None, size: int
) -> Sequence[sa.Row[Any]]:
    """Return the next actors of the machine: where on the version each is, and how long its history is."""
    keys = {
        "machine_id": parent.machine_id,
        "version_id": parent.id,
        "after": after or "",
        "limit": size,
    }
    return (await connection.execute(_SQL["passengers"], keys)).all()


def _affordable(
    rows: Sequence[sa.Row[Any]], walk: Walk, events: int, *, at_least: int
) -> tuple[Sequence[sa.Row[Any]], int]:
    """Return the first actors, as far as so many events of histories reach, and how many these need.

    So many actors as ``at_least`` says need none.
    """
    spent, counted = 0, set[int]()
    for number, row in enumerate(rows):
        if row.history_id is None or row.history_id in walk or row.history_id in counted:
            continue
        if number >= at_least and spent + row.depth > events:
            return rows[:number], spent
        counted.add(row.history_id)
        spent += row.depth
    return rows, spent


async def _decide(
    connection: AsyncConnection, walk: Walk, rows: Sequence[sa.Row[Any]]
) -> Mapping[tuple[int, int], Decided]:
    """Return what would be decided of these actors, by where they are; nothing of those on other versions."""
    places = {(row.history_id, row.configuration_id) for row in rows if row.history_id is not None}
    unknown = {history_id for history_id, _ in places if history_id not in walk}
    if unknown:
        await populations.trace(connection, walk, unknown)
    ids = {configuration_id for _, configuration_id in places}
    texts = await connection.execute(_SQL["configurations_by_id"], {"ids": sorted(ids)})
    known = {row.id: (row.value, row.done) for row in texts}
    cohorts = [Cohort(history, id_, *known[id_], actors=0) for history, id_ in sorted(places)]
    return {
        (one.cohort.history_id, one.cohort.configuration_id): one for one in evaluate(walk, cohorts)
    }

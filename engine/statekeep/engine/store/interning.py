"""Rows that exist once: histories, configurations, cohorts and edges, created on first need.

Each function takes what it wants all at once and returns the ids. Histories and cohorts are mostly
new where they are asked for, so they are inserted first, and only those that were there are looked
up; configurations are mostly there. A transaction that goes through the functions once, in the order of this module,
waits for no other such one in a circle. One that may go through them again, since its actors take several steps, keeps
all others out meanwhile (``locks.FOUNDING_SPACE``).
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.json import canonical, digest
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.state_value import label
from statekeep.engine.store.round_trip import Call, Rows, exchange
from statekeep.engine.store.sql import prepared_statements

_SQL = prepared_statements("interning.sql")


_Pair = tuple[int, Configuration]


@dataclass(frozen=True, slots=True)
class NewHistory:
    """A history one event longer than one that is stored."""

    parent_id: int
    event_type: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Interned:
    """The ids of what steps lead to."""

    histories: Mapping[bytes, int]
    """By fingerprint."""

    known: Collection[bytes]
    """The fingerprints of the histories that were there before."""

    configurations: Mapping[_Pair, int]


async def arrivals(
    connection: AsyncConnection,
    histories: Collection[NewHistory],
    configurations: Collection[_Pair],
) -> Interned:
    """Return the ids of histories and of (version id, configuration) pairs; of both there is at least one.

    One round trip where the histories are new and the configurations are not, as it mostly is.
    """
    rows = _columns(histories) | {"fingerprints": [history.fingerprint for history in histories]}
    digests = _digests(configurations)
    inserted, found = await exchange(
        connection, (_SQL["insert_histories"], rows), _finding_configurations(digests)
    )
    ids = {fingerprint: id_ for id_, fingerprint in inserted}
    known = [history for history in histories if history.fingerprint not in ids]
    if known:
        [there] = await exchange(connection, (_SQL["find_histories"], _columns(known)))
        ids |= {fingerprint: id_ for id_, fingerprint in there}
    return Interned(
        ids,
        {history.fingerprint for history in known},
        await _all(connection, digests, _by_pair(digests, found)),
    )


def _columns(histories: Collection[NewHistory]) -> dict[str, list[Any]]:
    return {
        "parents": [history.parent_id for history in histories],
        "types": [history.event_type for history in histories],
    }


async def configurations(
    connection: AsyncConnection, wanted: Collection[_Pair]
) -> Mapping[_Pair, int]:
    """Return the ids of (version id, configuration) pairs."""
    if not wanted:
        return {}
    digests = _digests(wanted)
    [found] = await exchange(connection, _finding_configurations(digests))
    return await _all(connection, digests, _by_pair(digests, found))


async def _all(
    connection: AsyncConnection, digests: Mapping[_Pair, bytes], found: Mapping[_Pair, int]
) -> Mapping[_Pair, int]:
    """Return the ids of configurations of which some were found; the others are inserted."""
    ids = dict(found)
    if new := [pair for pair in digests if pair not in ids]:
        rows = {
            "versions": [version_id for version_id, _ in new],
            "digests": [digests[pair] for pair in new],
            "documents": [json.dumps(configuration.to_json()) for _, configuration in new],
            "values": [canonical(configuration.value).decode() for _, configuration in new],
            "labels": [label(configuration.value) for _, configuration in new],
            "done": [configuration.status == "done" for _, configuration in new],
        }
        missing = {pair: digests[pair] for pair in new}
        [inserted] = await exchange(
            connection, (_SQL["insert_configurations"], rows), _finding_configurations(missing)
        )
        ids |= _by_pair(missing, inserted)
    return ids


def _digests(wanted: Collection[_Pair]) -> Mapping[_Pair, bytes]:
    return {
        (version_id, configuration): bytes.fromhex(digest(configuration.to_json()))
        for version_id, configuration in wanted
    }


def _finding_configurations(digests: Mapping[_Pair, bytes]) -> Call:
    keys = {
        "versions": [version_id for version_id, _ in digests],
        "digests": list(digests.values()),
    }
    return _SQL["find_configurations"], keys


def _by_pair(digests: Mapping[_Pair, bytes], found: Rows) -> dict[_Pair, int]:
    """Return the ids of those that were found."""
    ids = {(version_id, one): id_ for id_, version_id, one in found}
    return {pair: ids[pair[0], one] for pair, one in digests.items() if (pair[0], one) in ids}


async def cohorts(
    connection: AsyncConnection, wanted: Sequence[tuple[int, int, int]]
) -> Mapping[tuple[int, int], int]:
    """Return the ids of the canonical cohorts, by (version id, history id).

    Args:
        connection: holds the machine's lock, shared at least.
        wanted: (version id, history id, configuration id) each.
    """
    if not wanted:
        return {}
    keys = {
        "versions": [version_id for version_id, _, _ in wanted],
        "histories": [history_id for _, history_id, _ in wanted],
    }
    rows = keys | {"configurations": [configuration_id for _, _, configuration_id in wanted]}
    [inserted] = await exchange(connection, (_SQL["insert_cohorts"], rows))
    ids = {(version_id, history_id): id_ for id_, version_id, history_id in inserted}
    if any((version_id, history_id) not in ids for version_id, history_id, _ in wanted):
        [found] = await exchange(connection, (_SQL["find_cohorts"], keys))
        ids |= {(version_id, history_id): id_ for id_, version_id, history_id in found}
    return ids


def edges(wanted: Mapping[tuple[int, str], int | None]) -> Call:
    """Return the call that has an edge for each (cohort id, event type): to the cohort of that id, or nowhere."""
    rows = {
        "cohorts": [cohort_id for cohort_id, _ in wanted],
        "types": [event_type for _, event_type in wanted],
        "targets": list(wanted.values()),
    }
    return _SQL["insert_edges"], rows

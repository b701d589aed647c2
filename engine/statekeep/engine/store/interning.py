"""Rows that exist once: histories, configurations and cohorts, created on first need.

Each function takes what it wants all at once, inserts what is missing, and returns the ids. Within
a transaction they are called in the order of this module, which is what keeps two writers from
waiting for each other in a circle.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.json import canonical, digest
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.state_value import label
from statekeep.engine.store.sql import statements

_SQL = statements("interning.sql")


@dataclass(frozen=True, slots=True)
class NewHistory:
    """A history one event longer than one that is stored."""

    parent_id: int
    event_type: str
    depth: int
    fingerprint: bytes


async def histories(
    connection: AsyncConnection, wanted: Collection[NewHistory]
) -> Mapping[bytes, int]:
    """Return the ids of the histories, by fingerprint."""
    if not wanted:
        return {}
    fingerprints = [history.fingerprint for history in wanted]
    await connection.execute(
        _SQL["insert_histories"],
        {
            "parents": [history.parent_id for history in wanted],
            "types": [history.event_type for history in wanted],
            "depths": [history.depth for history in wanted],
            "fingerprints": fingerprints,
        },
    )
    rows = await connection.execute(_SQL["find_histories"], {"fingerprints": fingerprints})
    return {row.fingerprint: row.id for row in rows}


async def configurations(
    connection: AsyncConnection, wanted: Collection[tuple[int, Configuration]]
) -> Mapping[tuple[int, Configuration], int]:
    """Return the ids of (version id, configuration) pairs."""
    digests = {
        (version_id, configuration): bytes.fromhex(digest(configuration.to_json()))
        for version_id, configuration in wanted
    }
    if not digests:
        return {}
    pairs = list(digests)
    keys = {
        "versions": [version_id for version_id, _ in pairs],
        "digests": list(digests.values()),
    }
    await connection.execute(
        _SQL["insert_configurations"],
        keys
        | {
            "documents": [json.dumps(configuration.to_json()) for _, configuration in pairs],
            "values": [canonical(configuration.value).decode() for _, configuration in pairs],
            "labels": [label(configuration.value) for _, configuration in pairs],
            "done": [configuration.status == "done" for _, configuration in pairs],
        },
    )
    rows = await connection.execute(_SQL["find_configurations"], keys)
    ids = {(row.version_id, row.digest): row.id for row in rows}
    return {pair: ids[pair[0], digests[pair]] for pair in pairs}


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
    await connection.execute(
        _SQL["insert_cohorts"],
        keys | {"configurations": [configuration_id for _, _, configuration_id in wanted]},
    )
    rows = await connection.execute(_SQL["find_cohorts"], keys)
    return {(row.version_id, row.history_id): row.id for row in rows}

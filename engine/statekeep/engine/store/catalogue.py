"""What a process has read and need not read again: versions, configurations, edges.

An applied version is frozen and a configuration row is append-only, so what was read once stays
true. Except what a transaction reads of what it has written itself: if Postgres crashes before the
commit, another configuration may get the same id. An edge is true for one epoch of its machine: a
deployment changes cohorts, and counts the epoch on. Within an epoch the cohort that it leads to may
be retired; whoever writes is told so by Postgres. Only their number is bounded here.
"""

import json
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.errors import SemanticsDiffer
from statekeep.engine.ids import Fingerprint, MachineName, VersionName
from statekeep.engine.json import JsonValue
from statekeep.engine.store import schema, versions
from statekeep.engine.store.versions import StoredVersion

CONFIGURATIONS = 100_000
"""Configurations kept in memory, about half a kilobyte each."""

EDGES = 50_000
"""Edges kept in memory, about half a kilobyte each."""

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class StoredConfiguration:
    """A configuration as it is shown, with the version it belongs to."""

    id: int
    machine: MachineName
    version: VersionName
    version_id: int
    value: JsonValue
    label: str
    done: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A cohort in one epoch of its machine: where every actor of it stands."""

    cohort_id: int
    history_id: int
    configuration: StoredConfiguration
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Edge:
    """What an event does to the actors of a cohort."""

    source: Place
    target: Place | None
    """``None``: no transition takes the event."""

    is_stored: bool
    """Whether the database has it, so that other processes find it there."""


EdgeKey = tuple[int, int, str]
"""A cohort id, the epoch in which it is looked at, an event type."""


class Recent(Generic[K, V]):
    """A mapping that forgets what was used longest ago."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[K, V] = OrderedDict()

    def find(self, key: K) -> V | None:
        """Return the value, or ``None``, and remember that it was used."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def keep(self, key: K, value: V) -> None:
        """Add a value; the one used longest ago makes room."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def forget(self, keys: Iterable[K]) -> None:
        """Forget the values of these keys."""
        for key in keys:
            self._entries.pop(key, None)


class Catalogue:
    """What this process has read of versions, configurations and edges."""

    def __init__(self) -> None:
        self.edges: Recent[EdgeKey, Edge] = Recent(EDGES)
        """Only edges that are committed: one that was rolled back leads to a cohort that never was."""

        self.storing: set[EdgeKey] = set()
        """Those of them that a transaction of this process is storing: one at a time, so that no other waits for it."""

        self.differing: dict[int, SemanticsDiffer] = {}
        """Versions that mean something else to this release, by id: what was found holds for this process's life."""

        self.alike: set[int] = set()
        """Versions that mean the same, but are not kept under this release's meaning yet, by id."""

        self._versions: Recent[int, StoredVersion] = Recent(versions.COMPILED)
        self._configurations: Recent[int, StoredConfiguration] = Recent(CONFIGURATIONS)

    async def version(self, connection: AsyncConnection, version_id: int) -> StoredVersion:
        """Return a version by id; kept only once it is frozen."""
        known = self._versions.find(version_id)
        if known is None:
            known = await versions.by_id(connection, version_id)
            if known.is_applied:
                self._versions.keep(version_id, known)
        return known

    async def configurations(
        self, connection: AsyncConnection, ids: Collection[int]
    ) -> Mapping[int, StoredConfiguration]:
        """Return configurations by id."""
        found: dict[int, StoredConfiguration] = {}
        missing: list[int] = []
        for id_ in set(ids):
            known = self._configurations.find(id_)
            if known is None:
                missing.append(id_)
            else:
                found[id_] = known
        if missing:
            for row in await connection.execute(_QUERY, {"ids": missing}):
                stored = StoredConfiguration(
                    row.id,
                    MachineName(row.machine),
                    VersionName(row.version),
                    row.version_id,
                    json.loads(row.value),
                    row.label,
                    row.done,
                )
                if row.committed:
                    self._configurations.keep(row.id, stored)
                found[row.id] = stored
        return found


_QUERY = (
    sa.select(
        schema.configuration.c.id,
        schema.configuration.c.version_id,
        schema.configuration.c.value,
        schema.configuration.c.label,
        schema.configuration.c.done,
        schema.version.c.name.label("version"),
        schema.machine.c.name.label("machine"),
        # Visible and not by this transaction itself: by one that has been committed.
        sa.literal_column(
            "coalesce(statekeep.configuration.xmin <> cast(pg_current_xact_id_if_assigned() as xid), true)",
            sa.Boolean,
        ).label("committed"),
    )
    .join(schema.version, schema.version.c.id == schema.configuration.c.version_id)
    .join(schema.machine, schema.machine.c.id == schema.version.c.machine_id)
    .where(
        schema.configuration.c.id == sa.func.any(sa.bindparam("ids", type_=sa.ARRAY(sa.BigInteger)))
    )
)

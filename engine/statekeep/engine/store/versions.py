"""Versions as stored: proposed until they are applied, frozen from then on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.errors import DefinitionInvalid, SemanticsDiffer
from statekeep.engine.ids import MachineName, Namespace, VersionName
from statekeep.engine.routing.policy import (
    CompletedActors,
    MigrationPolicy,
    UnhandledEvents,
    UnseenMoves,
)
from statekeep.engine.routing.version import Version, read_version
from statekeep.engine.statechart import semantics
from statekeep.engine.statechart.machine import Machine
from statekeep.engine.store import schema

COMPILED = 256
"""Compiled versions kept in memory; one of a thousand states takes a few megabytes."""

_parent = schema.version.alias("parent")


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A version and its place in the database."""

    id: int
    namespace: Namespace
    machine_id: int
    machine: MachineName
    version: Version
    parent_id: int | None
    content_digest: bytes
    created_at: datetime
    applied_at: datetime | None
    semantics: int
    """The meaning of definitions under which it is kept."""

    @property
    def is_applied(self) -> bool:
        """Whether actors may be on it; it is frozen then."""
        return self.applied_at is not None


def _query() -> sa.Select[tuple[object, ...]]:
    version, machine = schema.version, schema.machine
    plain = [column for column in version.c if column.name != "definition"]
    return (
        sa.select(
            *plain,
            sa.cast(version.c.definition, sa.Text).label("definition"),
            machine.c.name.label("machine"),
            _parent.c.name.label("parent"),
        )
        .join(machine, machine.c.id == version.c.machine_id)
        .outerjoin(_parent, _parent.c.id == version.c.parent_id)
    )


async def find(
    connection: AsyncConnection,
    namespace: Namespace,
    name: VersionName,
    *,
    for_update: bool = False,
) -> StoredVersion | None:
    """Return the version of that name, or ``None``; locked against edits if asked for."""
    version = schema.version
    is_it = (version.c.namespace == namespace, version.c.name == name)
    if for_update:
        # By a statement of its own: a join that waits for a lock sees the others' rows as they were.
        lock = sa.select(version.c.id).where(*is_it).with_for_update(key_share=True)
        await connection.execute(lock)
    row = (await connection.execute(_query().where(*is_it))).one_or_none()
    return None if row is None else _stored(row)


async def find_all(
    connection: AsyncConnection,
    namespace: Namespace,
    machine: MachineName | None = None,
    *,
    after: int = 0,
    limit: int | None = None,
) -> Sequence[StoredVersion]:
    """Return the versions of a namespace, or of one machine in it, oldest first, those behind ``after``."""
    query = (
        _query()
        .where(schema.version.c.namespace == namespace, schema.version.c.id > after)
        .order_by(schema.version.c.id)
        .limit(limit)
    )
    if machine is not None:
        query = query.where(schema.machine.c.name == machine)
    return [_stored(row) for row in await connection.execute(query)]


async def by_id(connection: AsyncConnection, version_id: int) -> StoredVersion:
    """Return a version that is known to exist."""
    row = (await connection.execute(_query().where(schema.version.c.id == version_id))).one()
    return _stored(row)


async def lineage(connection: AsyncConnection, version: StoredVersion) -> Mapping[str, Machine]:
    """Return a version's machine and those of all its ancestors, by name, nearest first."""
    machines: dict[str, Machine] = {}
    current: StoredVersion | None = version
    while current is not None:
        machines[current.version.name] = current.version.machine
        above = current.parent_id
        current = None if above is None else await by_id(connection, above)
    return machines


async def version_id(
    connection: AsyncConnection, namespace: Namespace, name: VersionName
) -> int | None:
    """Return the id of a version, or ``None``."""
    query = sa.select(schema.version.c.id).filter_by(namespace=namespace, name=name)
    found: int | None = (await connection.execute(query)).scalar_one_or_none()
    return found


async def machine_id(
    connection: AsyncConnection, namespace: Namespace, machine: MachineName
) -> int | None:
    """Return the id of a machine, or ``None``; it never changes."""
    query = sa.select(schema.machine.c.id).filter_by(namespace=namespace, name=machine)
    found: int | None = (await connection.execute(query)).scalar_one_or_none()
    return found


async def machine_of(connection: AsyncConnection, version_id: int) -> int:
    """Return the id of the machine of a version that is known to exist."""
    query = sa.select(schema.version.c.machine_id).filter_by(id=version_id)
    found: int = (await connection.execute(query)).scalar_one()
    return found


async def machine_ids(connection: AsyncConnection) -> Sequence[int]:
    """Return the ids of all machines, in all namespaces."""
    query = sa.select(schema.machine.c.id).order_by(schema.machine.c.id)
    return [row.id for row in await connection.execute(query)]


async def newest(connection: AsyncConnection, machine_id: int) -> int | None:
    """Return the id of the version of a machine that was applied last: where new actors begin.

    It stays the newest one for as long as the machine's lock is held. Deployments are counted; a time
    would not do, since clocks are set back. The root comes before the first of them.
    """
    version, deployment = schema.version, schema.deployment
    query = (
        sa.select(version.c.id)
        .outerjoin(deployment, deployment.c.version_id == version.c.id)
        .where(version.c.machine_id == machine_id, version.c.applied_at.is_not(None))
        .order_by(sa.func.coalesce(deployment.c.epoch, 0).desc(), version.c.id.desc())
        .limit(1)
    )
    found: int | None = (await connection.execute(query)).scalar_one_or_none()
    return found


async def root_of(
    connection: AsyncConnection, namespace: Namespace, machine: MachineName
) -> VersionName | None:
    """Return the name of the root of a machine, or ``None`` where it has none."""
    query = (
        sa.select(schema.version.c.name)
        .join(schema.machine, schema.machine.c.id == schema.version.c.machine_id)
        .where(
            schema.machine.c.namespace == namespace,
            schema.machine.c.name == machine,
            schema.version.c.parent_id.is_(None),
        )
    )
    name = (await connection.execute(query)).scalar_one_or_none()
    return None if name is None else VersionName(name)


async def claim_root(
    connection: AsyncConnection, namespace: Namespace, machine: MachineName, name: VersionName
) -> VersionName:
    """Return the root of a machine: the one that it has, else the given name, which nobody can forestall any more."""
    machine_id = await _intern_machine(connection, namespace, machine)
    lock = sa.select(schema.machine.c.id).filter_by(id=machine_id).with_for_update(key_share=True)
    await connection.execute(lock)
    return await root_of(connection, namespace, machine) or name


async def propose(
    connection: AsyncConnection,
    namespace: Namespace,
    machine: MachineName,
    version: Version,
    parent: StoredVersion | None,
) -> StoredVersion:
    """Store a version that is not applied yet, or its new content, and return it.

    An applied version of that name is returned as it is: the caller compares. Nothing is written
    where nothing has changed.
    """
    digest = bytes.fromhex(version.content_digest)
    stored = await find(connection, namespace, version.name, for_update=True)
    if stored is not None and (stored.is_applied or stored.content_digest == digest):
        return stored
    table = schema.version
    content = {
        "machine_id": await _intern_machine(connection, namespace, machine),
        "parent_id": None if parent is None else parent.id,
        "path": list(version.path.elements),
        "unhandled_events": version.policy.unhandled_events.value,
        "completed_actors": version.policy.completed_actors.value,
        "unseen_moves": version.policy.unseen_moves.value,
        "definition": version.definition,
        "content_digest": digest,
    }
    # Who comes second waits for the first one's insert and then edits its row like any other: a
    # preview must never be kept beside a content that it does not show.
    while stored is None:
        key = {"namespace": namespace, "name": version.name, "created_at": sa.func.now()}
        await connection.execute(
            insert(table)
            .values(**key, **content)
            .on_conflict_do_nothing(index_elements=[table.c.namespace, table.c.name])
        )
        stored = await find(connection, namespace, version.name, for_update=True)
    if stored.is_applied or stored.content_digest == digest:
        return stored
    await connection.execute(sa.update(table).where(table.c.id == stored.id).values(**content))
    return await by_id(connection, stored.id)


async def mark_applied(connection: AsyncConnection, version_id: int) -> None:
    """Freeze a version: from now on actors may be on it."""
    table = schema.version
    await connection.execute(
        sa.update(table)
        .where(table.c.id == version_id, table.c.applied_at.is_(None))
        .values(applied_at=sa.func.clock_timestamp(), semantics=semantics.SEMANTICS)
    )


async def proposed(connection: AsyncConnection) -> Sequence[tuple[Namespace, VersionName]]:
    """Return the names of the versions that were never applied, in all namespaces."""
    return [name for name, is_applied in (await names(connection)).items() if not is_applied]


async def names(connection: AsyncConnection) -> Mapping[tuple[Namespace, VersionName], bool]:
    """Return the name of every version in all namespaces, and whether it is applied, the oldest first."""
    table = schema.version
    query = sa.select(
        table.c.namespace, table.c.name, table.c.applied_at.is_not(None).label("is_applied")
    ).order_by(table.c.id)
    return {
        (Namespace(namespace), VersionName(name)): is_applied
        for namespace, name, is_applied in await connection.execute(query)
    }


async def withdraw(connection: AsyncConnection, namespace: Namespace, name: VersionName) -> bool:
    """Forget a version that was never applied; return whether there was one."""
    table = schema.version
    gone = await connection.execute(
        sa.delete(table)
        .where(table.c.namespace == namespace, table.c.name == name, table.c.applied_at.is_(None))
        .returning(table.c.id)
    )
    return gone.first() is not None


async def _intern_machine(
    connection: AsyncConnection, namespace: Namespace, machine: MachineName
) -> int:
    found = await machine_id(connection, namespace, machine)
    if found is None:
        key = {"namespace": namespace, "name": machine}
        await connection.execute(insert(schema.machine).values(**key).on_conflict_do_nothing())
        found = await machine_id(connection, namespace, machine)
    assert found is not None
    return found


@lru_cache(maxsize=COMPILED)
def _compiled(
    name: VersionName,
    parent: VersionName | None,
    path: tuple[str, ...],
    policy: MigrationPolicy,
    definition: str,
) -> Version:
    """Compile a version from the text of its definition, once."""
    return read_version(
        name, parent=parent, path=path, policy=policy, definition=json.loads(definition)
    )


def _stored(row: sa.Row[tuple[object, ...]]) -> StoredVersion:
    fields = row._mapping
    policy = MigrationPolicy(
        unhandled_events=UnhandledEvents(fields["unhandled_events"]),
        completed_actors=CompletedActors(fields["completed_actors"]),
        unseen_moves=UnseenMoves(fields["unseen_moves"]),
    )
    name, path = VersionName(fields["name"]), tuple(fields["path"])
    try:
        version = _compiled(name, fields["parent"], path, policy, fields["definition"])
    except DefinitionInvalid as error:  # it was valid when it was stored
        who = f"version {name} of machine {fields['machine']} in namespace {fields['namespace']}"
        raise SemanticsDiffer(who, [f"its definition would be refused: {error}"]) from error
    return StoredVersion(
        id=fields["id"],
        namespace=Namespace(fields["namespace"]),
        machine_id=fields["machine_id"],
        machine=MachineName(fields["machine"]),
        version=version,
        parent_id=fields["parent_id"],
        content_digest=fields["content_digest"],
        created_at=fields["created_at"],
        applied_at=fields["applied_at"],
        semantics=fields["semantics"],
    )

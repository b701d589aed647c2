"""Spawning: an actor comes to be, once, whoever asks how often."""

from dataclasses import dataclass, replace
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.errors import VersionUnknown
from statekeep.engine.history.fingerprint import fingerprint, show
from statekeep.engine.ids import ActorId, MachineName, Namespace, VersionName
from statekeep.engine.statechart import semantics
from statekeep.engine.statechart.interpreter import initial
from statekeep.engine.store import interning, locks, schema, takeover, versions
from statekeep.engine.store.actors import Actor, actor_key, find
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.database import Database
from statekeep.engine.store.events import Busy, KeyReused
from statekeep.engine.store.keyring import context_place
from statekeep.engine.store.takeover import Reading, kept_under
from statekeep.engine.store.versions import StoredVersion


@dataclass(frozen=True, slots=True)
class Spawn:
    """A wish for an actor."""

    namespace: Namespace
    actor_id: ActorId
    target: VersionName | MachineName
    by_machine: bool
    """Whether ``target`` names a machine, whose newest applied version is meant."""

    context: bytes | None
    """JSON; ``None`` where there is none."""

    digest: bytes
    """SHA-256 over what was asked for: the same wish again is the same actor."""

    idempotency_key: str | None = None
    """Unique per namespace; a retry with it is told what the first call was told."""


@dataclass(frozen=True, slots=True)
class Spawned:
    """The actor is there."""

    actor: Actor
    created: bool
    """Whether this wish made it; false where the same wish had been granted before."""

    repeated: bool = False
    """Whether this is the answer to an earlier wish with the same idempotency key: the actor as it was then."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Another actor has that id: it was spawned by a different wish."""

    actor: Actor


class _Held(Exception):
    """Somebody holds the machine, and the transaction must end."""

    def __init__(self, machine_id: int) -> None:
        super().__init__()
        self.machine_id = machine_id


async def attempt(
    database: Database, catalogue: Catalogue, wish: Spawn
) -> Spawned | Taken | KeyReused | Busy:
    """Create the actor as ``spawn`` does, unless somebody holds its machine."""
    try:
        return await _spawned(database, catalogue, wish, waits=False)
    except _Held as held:
        return Busy(held.machine_id)


async def spawn(
    database: Database, catalogue: Catalogue, wish: Spawn
) -> Spawned | Taken | KeyReused:
    """Create the actor, unless it exists.

    Raises:
        VersionUnknown: nothing was applied under that name.
        SemanticsDiffer: the version means something else to this release.
        SemanticsOutdated: a later release has taken it over, and nobody has begun there yet.
    """
    return await _spawned(database, catalogue, wish, waits=True)


async def _spawned(
    database: Database, catalogue: Catalogue, wish: Spawn, *, waits: bool
) -> Spawned | Taken | KeyReused:
    key = actor_key(wish.namespace, wish.actor_id)
    sealed = None if wish.context is None else database.keys.seal(wish.context, context_place(key))

    async def work(connection: AsyncConnection) -> Spawned | Taken | KeyReused:
        if wish.idempotency_key is not None and not await _claim(connection, wish, key):
            return await _first(connection, catalogue, wish, sealed)
        existing = await _digest(connection, key)
        created = False
        if existing is None:
            version = await _target(connection, catalogue, wish, waits=waits)
            await _admit(connection, catalogue, version)
            created = await _insert(connection, version, wish, key, sealed)
            existing = wish.digest if created else await _digest(connection, key)
        if wish.idempotency_key is not None and not created:
            await _release(connection, wish)
        actor = await find(connection, catalogue, wish.namespace, wish.actor_id)
        assert actor is not None
        return Spawned(actor, created) if existing == wish.digest else Taken(actor)

    return await takeover.transact(database, catalogue, work)


async def _claim(connection: AsyncConnection, wish: Spawn, key: UUID) -> bool:
    """Take the wish's idempotency key; return whether it was free. Waits for whoever is taking it."""
    claimed = await connection.execute(
        insert(schema.spawn_key)
        .values(namespace=wish.namespace, idempotency_key=wish.idempotency_key, actor_key=key)
        .on_conflict_do_nothing()
        .returning(schema.spawn_key.c.actor_key)
    )
    return claimed.first() is not None


async def _release(connection: AsyncConnection, wish: Spawn) -> None:
    """Give the key back: it has made no actor, so there is no first answer that it stands for."""
    table = schema.spawn_key
    await connection.execute(
        sa.delete(table).where(
            table.c.namespace == wish.namespace, table.c.idempotency_key == wish.idempotency_key
        )
    )


async def _first(
    connection: AsyncConnection, catalogue: Catalogue, wish: Spawn, sealed: bytes | None
) -> Spawned | KeyReused:
    """Return the answer that the wish's idempotency key has had.

    The actor may have moved on since, but how it began is known, and the same wish brings the same context.
    """
    table, actor = schema.spawn_key, schema.actor
    query = (
        sa.select(actor.c.id, actor.c.body_digest, actor.c.spawn_configuration_id)
        .join(table, table.c.actor_key == actor.c.key)
        .where(table.c.namespace == wish.namespace, table.c.idempotency_key == wish.idempotency_key)
    )
    row = (await connection.execute(query)).one()
    if (row.id, row.body_digest) != (wish.actor_id, wish.digest):
        return KeyReused(wish.idempotency_key or "")
    now = await find(connection, catalogue, wish.namespace, wish.actor_id)
    assert now is not None
    began = await catalogue.configurations(connection, {row.spawn_configuration_id})
    then = replace(
        now,
        configuration=began[row.spawn_configuration_id],
        seq=0,
        fingerprint=show(fingerprint(())),
        context=sealed,
        updated_at=now.created_at,
    )
    return Spawned(then, created=False, repeated=True)


async def _digest(connection: AsyncConnection, key: UUID) -> bytes | None:
    query = sa.select(schema.actor.c.body_digest).where(schema.actor.c.key == key)
    digest: bytes | None = (await connection.execute(query)).scalar_one_or_none()
    return digest


async def _lock(connection: AsyncConnection, machine_id: int, *, waits: bool) -> None:
    """Hold off deployments of the machine.

    Raises:
        _Held: somebody holds it, and we do not wait.
    """
    if waits:
        await locks.share_machine(connection, machine_id)
    elif not await locks.try_machine(connection, machine_id):
        raise _Held(machine_id)


async def _target(
    connection: AsyncConnection, catalogue: Catalogue, wish: Spawn, *, waits: bool
) -> StoredVersion:
    """Lock the machine, and only then ask for its newest version: so it is still the newest at the end."""
    if wish.by_machine:
        machine = MachineName(wish.target)
        machine_id = await versions.machine_id(connection, wish.namespace, machine)
        newest = None
        if machine_id is not None:
            await _lock(connection, machine_id, waits=waits)
            newest = await versions.newest(connection, machine_id)
        if newest is None:
            raise VersionUnknown(f"no version of machine {wish.target} has been applied")
        return await catalogue.version(connection, newest)
    version_id = await versions.version_id(connection, wish.namespace, VersionName(wish.target))
    if version_id is None:
        raise VersionUnknown(f"version {wish.target} is not known")
    version = await catalogue.version(connection, version_id)
    if not version.is_applied:
        raise VersionUnknown(f"version {wish.target} is not applied yet")
    await _lock(connection, version.machine_id, waits=waits)
    return version


async def _admit(connection: AsyncConnection, catalogue: Catalogue, target: StoredVersion) -> None:
    """Return if this process can say where actors of a version begin; its machine is locked."""
    reading = Reading(catalogue)
    now = await kept_under(connection, target.id)
    if now == semantics.SEMANTICS:
        return
    is_known = await _origin(connection, target) is not None
    if (error := reading.objection(target.id, now, is_known=is_known)) is not None:
        raise error
    reading.end()


async def _insert(
    connection: AsyncConnection, target: StoredVersion, wish: Spawn, key: UUID, sealed: bytes | None
) -> bool:
    """Insert the actor in the initial cohort of its version; return whether it was new."""
    cohort_id, configuration_id = await _birthplace(connection, target)
    machine = schema.machine
    epoch = sa.select(machine.c.epoch).where(machine.c.id == target.machine_id).scalar_subquery()
    now = sa.func.statement_timestamp()
    actor = (
        insert(schema.actor)
        .values(
            key=key,
            namespace=wish.namespace,
            id=wish.actor_id,
            machine_id=target.machine_id,
            cohort_id=cohort_id,
            seq=0,
            context=sealed,
            body_digest=wish.digest,
            spawn_epoch=epoch,
            spawn_configuration_id=configuration_id,
            created_at=now,
            updated_at=now,
        )
        .on_conflict_do_nothing()
        .returning(schema.actor.c.key)
        .cte("inserted")
    )
    logged = insert(schema.spawn).from_select(["actor_key"], sa.select(actor.c.key))
    inserted = await connection.execute(logged.returning(schema.spawn.c.position))
    return inserted.first() is not None


async def _birthplace(connection: AsyncConnection, target: StoredVersion) -> tuple[int, int]:
    """Return the cohort and the configuration that new actors of a version begin in."""
    if (known := await _origin(connection, target)) is not None:
        return known
    history = schema.history
    start = (target.id, initial(target.version.machine))
    configuration_id = (await interning.configurations(connection, {start}))[start]
    root_query = sa.select(history.c.id).where(history.c.parent_id.is_(None))
    root = (await connection.execute(root_query)).scalar_one()
    cohorts = await interning.cohorts(connection, [(target.id, root, configuration_id)])
    return cohorts[target.id, root], configuration_id


async def _origin(connection: AsyncConnection, target: StoredVersion) -> tuple[int, int] | None:
    """Return that cohort and its configuration if somebody has begun there before."""
    cohort, history = schema.cohort, schema.history
    query = (
        sa.select(cohort.c.id, cohort.c.configuration_id)
        .join(history, history.c.id == cohort.c.history_id)
        .where(cohort.c.version_id == target.id, cohort.c.canonical, history.c.parent_id.is_(None))
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else (row.id, row.configuration_id)

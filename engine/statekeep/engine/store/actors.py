"""Actors: reading and listing them, and their logs."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.history.fingerprint import show
from statekeep.engine.ids import ActorId, Fingerprint, MachineName, Namespace, VersionName
from statekeep.engine.json import JsonObject
from statekeep.engine.store import schema
from statekeep.engine.store.catalogue import Catalogue, StoredConfiguration


def actor_key(namespace: Namespace, actor_id: ActorId) -> UUID:
    """Return the key of an actor: the first 16 bytes of SHA-256 over ``namespace/id``."""
    return UUID(bytes=hashlib.sha256(f"{namespace}/{actor_id}".encode()).digest()[:16])


@dataclass(frozen=True, slots=True)
class Actor:
    """One running instance as it stands now."""

    key: UUID
    namespace: Namespace
    id: ActorId
    configuration: StoredConfiguration
    seq: int
    """How many events it has processed."""

    fingerprint: Fingerprint
    context: bytes | None
    """Sealed; ``None`` where there is none."""

    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Selection:
    """Which actors to list; ``None`` does not restrict."""

    namespace: Namespace
    machine: MachineName | None = None
    version: VersionName | None = None
    state: str | None = None
    """A state's label (``review.pending``), or its beginning up to a dot (``review``)."""

    done: bool | None = None


def _query() -> sa.Select[tuple[object, ...]]:
    actor, cohort, history = schema.actor, schema.cohort, schema.history
    return (
        sa.select(
            actor.c.key,
            actor.c.namespace,
            actor.c.id,
            actor.c.seq,
            actor.c.context,
            actor.c.created_at,
            actor.c.updated_at,
            cohort.c.configuration_id,
            history.c.fingerprint,
        )
        .join(cohort, cohort.c.id == actor.c.cohort_id)
        .join(history, history.c.id == cohort.c.history_id)
    )


async def find(
    connection: AsyncConnection, catalogue: Catalogue, namespace: Namespace, actor_id: ActorId
) -> Actor | None:
    """Return the actor of that id, or ``None``."""
    query = _query().where(schema.actor.c.key == actor_key(namespace, actor_id))
    found = await _actors(connection, catalogue, query)
    return found[0] if found else None


async def select(
    connection: AsyncConnection,
    catalogue: Catalogue,
    selection: Selection,
    *,
    after: ActorId | None,
    limit: int,
) -> Sequence[Actor]:
    """Return actors in the order of their ids (by code point), those behind ``after``."""
    actor, cohort, configuration = schema.actor, schema.cohort, schema.configuration
    query = (
        _query().where(actor.c.namespace == selection.namespace).order_by(actor.c.id).limit(limit)
    )
    if after is not None:
        query = query.where(actor.c.id > after)
    if selection.version is not None or selection.machine is not None:
        version, machine = schema.version, schema.machine
        query = query.join(version, version.c.id == cohort.c.version_id).join(
            machine, machine.c.id == actor.c.machine_id
        )
        if selection.version is not None:
            query = query.where(version.c.name == selection.version)
        if selection.machine is not None:
            query = query.where(machine.c.name == selection.machine)
    if selection.state is not None or selection.done is not None:
        query = query.join(configuration, configuration.c.id == cohort.c.configuration_id)
        if selection.state is not None:
            label = configuration.c.label
            query = query.where(
                (label == selection.state)
                | label.startswith(selection.state + ".", autoescape=True)
            )
        if selection.done is not None:
            query = query.where(configuration.c.done == selection.done)
    return await _actors(connection, catalogue, query)


async def _actors(
    connection: AsyncConnection, catalogue: Catalogue, query: sa.Select[tuple[object, ...]]
) -> list[Actor]:
    rows = (await connection.execute(query)).all()
    configurations = await catalogue.configurations(
        connection, {row.configuration_id for row in rows}
    )
    return [
        Actor(
            key=row.key,
            namespace=Namespace(row.namespace),
            id=ActorId(row.id),
            configuration=configurations[row.configuration_id],
            seq=row.seq,
            fingerprint=show(row.fingerprint),
            context=row.context,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
        for row in rows
    ]


async def document(connection: AsyncConnection, actor: Actor) -> JsonObject:
    """Return an actor's configuration as the interpreter wrote it: value, status, history."""
    table = schema.configuration
    query = sa.select(table.c.document).where(table.c.id == actor.configuration.id)
    stored: JsonObject = (await connection.execute(query)).scalar_one()
    return stored


@dataclass(frozen=True, slots=True)
class Logged:
    """One event that an actor has processed, with the state it led to then."""

    seq: int
    event_type: str
    configuration: StoredConfiguration
    fingerprint: Fingerprint
    data: bytes | None
    """Sealed; ``None`` where there is none."""

    at: datetime


@dataclass(frozen=True, slots=True)
class LogPage:
    """A part of an actor's log."""

    events: Sequence[Logged]
    is_last: bool
    """Whether nothing comes after it."""


async def log(
    connection: AsyncConnection,
    catalogue: Catalogue,
    key: UUID,
    *,
    after: int,
    limit: int,
    most_bytes: int,
) -> LogPage:
    """Return an actor's events in order, those behind seq ``after``.

    Args:
        connection: any.
        catalogue: any.
        key: whose.
        after: the seq of the last event of the page before, or 0.
        limit: events at most.
        most_bytes: of sealed payloads; the event that goes beyond it is the page's last one.
    """
    event, history = schema.event, schema.history
    ahead = (
        sa.select(event, history.c.event_type, history.c.fingerprint)
        .join(history, history.c.id == event.c.history_id)
        .where(event.c.actor_key == key, event.c.seq > after)
        .order_by(event.c.seq)
        .limit(limit + 1)
        .subquery()
    )
    # The length of a large payload is known without reading it.
    size = sa.func.coalesce(sa.func.octet_length(ahead.c.data), 0)
    before = sa.func.sum(size).over(order_by=ahead.c.seq) - size
    found = sa.func.count().over().label("found")
    measured = sa.select(ahead, before.label("before"), found).subquery()
    query = sa.select(measured).where(measured.c.before < most_bytes).order_by(measured.c.seq)
    rows = (await connection.execute(query.limit(limit))).all()
    configurations = await catalogue.configurations(
        connection, {row.configuration_id for row in rows}
    )
    events = [
        Logged(
            row.seq,
            row.event_type,
            configurations[row.configuration_id],
            show(row.fingerprint),
            row.data,
            row.at,
        )
        for row in rows
    ]
    return LogPage(events, is_last=not rows or rows[0].found == len(rows))


async def count_by_state(
    connection: AsyncConnection, namespace: Namespace
) -> Sequence[tuple[VersionName, str, str, int]]:
    """Return (version, state value as JSON, label, actors) for every state that has actors."""
    actor, cohort, configuration = schema.actor, schema.cohort, schema.configuration
    per_cohort = (
        sa.select(actor.c.cohort_id, sa.func.count().label("actors"))
        .where(actor.c.namespace == namespace)
        .group_by(actor.c.cohort_id)
        .subquery()
    )
    actors = sa.func.sum(per_cohort.c.actors)
    query = (
        sa.select(schema.version.c.name, configuration.c.value, configuration.c.label, actors)
        .select_from(per_cohort)
        .join(cohort, cohort.c.id == per_cohort.c.cohort_id)
        .join(configuration, configuration.c.id == cohort.c.configuration_id)
        .join(schema.version, schema.version.c.id == cohort.c.version_id)
        .group_by(
            schema.version.c.id, schema.version.c.name, configuration.c.value, configuration.c.label
        )
        .order_by(schema.version.c.id, actors.desc(), configuration.c.label)
    )
    return [
        (VersionName(name), value, label, int(n))
        for name, value, label, n in await connection.execute(query)
    ]

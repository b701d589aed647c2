"""What a database holds at one moment, as plain values with the events' payloads opened."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.store.model import ModelVersion

from statekeep.engine.history.fingerprint import show
from statekeep.engine.routing.decision import Move
from statekeep.engine.routing.policy import (
    CompletedActors,
    MigrationPolicy,
    UnhandledEvents,
    UnseenMoves,
)
from statekeep.engine.store import deployments
from statekeep.engine.store.database import Database
from statekeep.engine.store.keyring import KeyRing, event_place


@dataclass(frozen=True, slots=True)
class Place:
    """Where an actor stands."""

    seq: int
    version: str
    value: str
    """Canonical JSON of the state value."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One row of an actor's log."""

    place: Place
    """As it was then."""

    type: str
    epoch: int
    call: str | None
    """What the payload names; ``None`` where there is none."""

    key: str | None


@dataclass(frozen=True, slots=True)
class StoredActor:
    """An actor and its log."""

    id: str
    machine: str
    spawn_epoch: int
    spawned: Place
    place: Place
    fingerprint: str
    events: Sequence[LoggedEvent] = ()
    ignored: Mapping[str, Place] = field(default_factory=dict)
    """Keys of events that no transition took, and where the actor stood."""


@dataclass(frozen=True, slots=True)
class StoredDeployment:
    """A version that was applied."""

    id: int
    machine: str
    version: str
    epoch: int
    preview_id: str
    automatic: bool
    approved: frozenset[Move]
    """The moves of the preview that was approved."""

    migrated: int
    stayed: int
    needs_rescue: int


@dataclass(frozen=True, slots=True)
class Judged:
    """Whom a decision is about."""

    deployment: int
    fingerprint: str
    version: str
    value: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided: a landing or a reason."""

    landing: str | None
    reason: str | None
    skipped: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Content:
    """Everything that counts."""

    versions: Mapping[str, ModelVersion]
    roots: Mapping[str, str]
    """The root of each machine."""

    actors: Mapping[str, StoredActor]
    deployments: Sequence[StoredDeployment]
    """In the order of their epochs."""

    decisions: Mapping[Judged, tuple[Verdict, int]]
    """With the actors that were counted."""


async def read(database: Database) -> Content:
    """Read all of it from one snapshot in which every deployment has been counted.

    Somebody may have died before a count, and a deployment may be made between the count and the snapshot.
    """
    while True:
        await deployments.count_all(database)
        content = await database.read(lambda connection: _read(connection, database.keys))
        if content is not None:
            return content


async def _rows(connection: AsyncConnection, query: str) -> Sequence[sa.Row[Any]]:
    return (await connection.execute(sa.text(query))).all()


async def _read(connection: AsyncConnection, keys: KeyRing) -> Content | None:
    """Read all of it, or ``None`` if some deployment is still to be counted."""
    if await _rows(connection, "select from statekeep.deployment where migrated is null"):
        return None
    versions, roots = await _versions(connection)
    return Content(
        versions,
        roots,
        await _actors(connection, keys),
        await _deployments(connection),
        await _decisions(connection),
    )


async def _versions(
    connection: AsyncConnection,
) -> tuple[dict[str, ModelVersion], dict[str, str]]:
    query = """
        select v.name, v.definition, p.name as parent, v.path, v.unhandled_events,
               v.completed_actors, v.unseen_moves, m.name as machine
          from statekeep.version v
          join statekeep.machine m on m.id = v.machine_id
          left join statekeep.version p on p.id = v.parent_id"""
    rows = await _rows(connection, query)
    versions = {
        row.name: ModelVersion(
            row.name,
            row.definition,
            row.parent,
            tuple(row.path),
            MigrationPolicy(
                UnhandledEvents(row.unhandled_events),
                CompletedActors(row.completed_actors),
                UnseenMoves(row.unseen_moves),
            ),
        )
        for row in rows
    }
    return versions, {row.machine: row.name for row in rows if row.parent is None}


async def _actors(connection: AsyncConnection, keys: KeyRing) -> dict[str, StoredActor]:
    logs: dict[Any, list[LoggedEvent]] = {}
    for row in await _rows(
        connection,
        """
        select e.actor_key, e.seq, h.event_type, e.epoch, v.name as version, k.value, e.data,
               e.idempotency_key
          from statekeep.event e
          join statekeep.history h on h.id = e.history_id
          join statekeep.configuration k on k.id = e.configuration_id
          join statekeep.version v on v.id = k.version_id
         order by e.actor_key, e.seq""",
    ):
        place = event_place(row.actor_key, row.seq)
        call = None if row.data is None else json.loads(keys.open(row.data, place))["call"]
        logs.setdefault(row.actor_key, []).append(
            LoggedEvent(
                Place(row.seq, row.version, row.value),
                row.event_type,
                row.epoch,
                call,
                row.idempotency_key,
            )
        )
    ignored: dict[Any, dict[str, Place]] = {}
    for row in await _rows(
        connection,
        """
        select i.actor_key, i.idempotency_key, i.seq, v.name as version, k.value
          from statekeep.ignored_event i
          join statekeep.configuration k on k.id = i.configuration_id
          join statekeep.version v on v.id = k.version_id""",
    ):
        ignored.setdefault(row.actor_key, {})[row.idempotency_key] = Place(
            row.seq, row.version, row.value
        )
    rows = await _rows(
        connection,
        """
        select a.key, a.id, m.name as machine, a.spawn_epoch, sv.name as spawn_version,
               sk.value as spawn_value, a.seq, v.name as version, k.value, h.fingerprint
          from statekeep.actor a
          join statekeep.machine m on m.id = a.machine_id
          join statekeep.configuration sk on sk.id = a.spawn_configuration_id
          join statekeep.version sv on sv.id = sk.version_id
          join statekeep.cohort c on c.id = a.cohort_id
          join statekeep.configuration k on k.id = c.configuration_id
          join statekeep.version v on v.id = c.version_id
          join statekeep.history h on h.id = c.history_id""",
    )
    return {
        row.id: StoredActor(
            row.id,
            row.machine,
            row.spawn_epoch,
            Place(0, row.spawn_version, row.spawn_value),
            Place(row.seq, row.version, row.value),
            show(row.fingerprint),
            logs.get(row.key, []),
            ignored.get(row.key, {}),
        )
        for row in rows
    }


async def _deployments(connection: AsyncConnection) -> list[StoredDeployment]:
    rows = await _rows(
        connection,
        """
        select d.id, m.name as machine, v.name as version, d.epoch, d.preview_id, d.approval,
               p.moves, d.migrated, d.stayed, d.needs_rescue
          from statekeep.deployment d
          join statekeep.machine m on m.id = d.machine_id
          join statekeep.version v on v.id = d.version_id
          join statekeep.preview p on p.version_id = v.id and p.id = d.preview_id
         order by d.machine_id, d.epoch""",
    )
    return [
        StoredDeployment(
            row.id,
            row.machine,
            row.version,
            row.epoch,
            row.preview_id,
            row.approval == "Automatic",
            frozenset(Move(source, target, tuple(skip)) for source, target, skip in row.moves),
            row.migrated,
            row.stayed,
            row.needs_rescue,
        )
        for row in rows
    ]


async def _decisions(connection: AsyncConnection) -> dict[Judged, tuple[Verdict, int]]:
    rows = await _rows(
        connection,
        """
        select d.deployment_id, h.fingerprint, v.name as version, k.value, l.value as landing,
               d.reason, d.skipped, t.actors
          from statekeep.decision d
          join statekeep.tally t
            on (t.deployment_id, t.history_id, t.configuration_id)
             = (d.deployment_id, d.history_id, d.configuration_id)
          join statekeep.history h on h.id = d.history_id
          join statekeep.configuration k on k.id = d.configuration_id
          join statekeep.version v on v.id = k.version_id
          left join statekeep.configuration l on l.id = d.landing_id""",
    )
    return {
        Judged(row.deployment_id, show(row.fingerprint), row.version, row.value): (
            Verdict(row.landing, row.reason, tuple(sorted(row.skipped.items()))),
            row.actors,
        )
        for row in rows
    }

"""Why did this actor move, or not? Answered without a row per actor.

``event.epoch`` says how many deployments came before an event, so the log tells where an actor
stood when each deployment looked: at its last event before it, or where an earlier decision had put
it since. ``follow`` walks the deployments in order; the rest of this module gathers and shows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.history.fingerprint import show
from statekeep.engine.history.path import HistoryPath
from statekeep.engine.ids import ActorId, Fingerprint, VersionName
from statekeep.engine.store import schema
from statekeep.engine.store.catalogue import Catalogue, StoredConfiguration
from statekeep.engine.store.sql import statements

_SQL = statements("audit.sql")


@dataclass(frozen=True, slots=True)
class Landmark:
    """Where an actor stood after its last event of an epoch, or after its spawn."""

    epoch: int
    history_id: int
    configuration_id: int


@dataclass(frozen=True, slots=True)
class Ruling:
    """One row of ``decision``."""

    deployment_id: int
    history_id: int
    configuration_id: int
    landing_id: int | None
    reason: str | None
    detail: str | None
    skipped: Mapping[str, int]
    fingerprint: bytes
    events: int
    """The length of the history that was judged."""


Rulings = Mapping[tuple[int, int, int], Ruling]
"""By deployment, history and configuration before."""


def follow(
    landmarks: Sequence[Landmark], deployments: Iterable[tuple[int, int]], rulings: Rulings
) -> list[Ruling]:
    """Return the rulings that concerned an actor, in the order in which they were made.

    Args:
        landmarks: the actor's spawn first, then its last event of each epoch, ascending.
        deployments: (epoch, deployment id), ascending; those before the spawn do no harm.
        rulings: what each deployment decided. One that says nothing of where the actor stood did
            not concern it: the actor was on another version.
    """
    followed: list[Ruling] = []
    ahead = list(landmarks)
    stood = ahead.pop(0)
    history_id, configuration_id = stood.history_id, stood.configuration_id
    for epoch, deployment_id in deployments:
        if epoch <= stood.epoch:
            continue
        while ahead and ahead[0].epoch < epoch:
            last = ahead.pop(0)
            history_id, configuration_id = last.history_id, last.configuration_id
        ruling = rulings.get((deployment_id, history_id, configuration_id))
        if ruling is not None:
            followed.append(ruling)
            configuration_id = ruling.landing_id or configuration_id
    return followed


@dataclass(frozen=True, slots=True)
class Explained:
    """A decision as it is shown."""

    deployment: int
    """Its number."""

    version: VersionName
    """The version that was deployed."""

    before: StoredConfiguration
    after: StoredConfiguration | None
    """``None`` where the decision was to stay."""

    reason: str | None
    detail: str | None
    skipped: Mapping[str, int]
    fingerprint: Fingerprint
    events: int
    history_path: Sequence[str]
    prefix_hash: Fingerprint | None
    at: datetime


async def decisions(
    connection: AsyncConnection, catalogue: Catalogue, key: UUID
) -> Sequence[Explained]:
    """Return every decision that concerned an actor, oldest first."""
    rows = (await connection.execute(_SQL["landmarks"], {"key": key})).all()
    landmarks = [Landmark(row.epoch, row.history_id, row.configuration_id) for row in rows]
    machine = sa.select(schema.actor.c.machine_id).where(schema.actor.c.key == key)
    deployments = await _deployments(connection, machine)
    rulings = await _rulings(
        connection, list(deployments), [landmark.history_id for landmark in landmarks]
    )
    order = sorted((row.epoch, id_) for id_, row in deployments.items())
    return await explain(connection, catalogue, follow(landmarks, order, rulings), deployments)


async def explain(
    connection: AsyncConnection,
    catalogue: Catalogue,
    rulings: Sequence[Ruling],
    deployments: Mapping[int, Any],
) -> Sequence[Explained]:
    """Return the rulings with names instead of ids."""
    ids = {r.configuration_id for r in rulings} | {r.landing_id for r in rulings if r.landing_id}
    configurations = await catalogue.configurations(connection, ids)
    hashes = {id_: HistoryPath(tuple(row.path)).prefix_hash for id_, row in deployments.items()}
    return [
        Explained(
            deployment=deployments[ruling.deployment_id].number,
            version=VersionName(deployments[ruling.deployment_id].name),
            before=configurations[ruling.configuration_id],
            after=configurations[ruling.landing_id] if ruling.landing_id else None,
            reason=ruling.reason,
            detail=ruling.detail,
            skipped=ruling.skipped,
            fingerprint=show(ruling.fingerprint),
            events=ruling.events,
            history_path=deployments[ruling.deployment_id].path,
            prefix_hash=_show(hashes[ruling.deployment_id]),
            at=deployments[ruling.deployment_id].at,
        )
        for ruling in rulings
    ]


@dataclass(frozen=True, slots=True)
class ActorPage:
    """A page of a deployment's decisions by actor."""

    decisions: Sequence[tuple[ActorId, Explained]]
    """Fewer than asked for, even none, where actors of the machine were on other versions or came later."""

    last: ActorId | None
    """The last actor that was looked at, behind whom the next page begins; ``None`` on the last one."""


async def of_deployment_by_actor(
    connection: AsyncConnection,
    catalogue: Catalogue,
    deployment_id: int,
    *,
    after: ActorId | None,
    limit: int,
) -> ActorPage:
    """Return what a deployment decided of each actor, in the order of their ids.

    A page costs a fixed number of statements, however many actors there are, have been and came later.

    Args:
        connection: any.
        catalogue: for the names.
        deployment_id: known to exist.
        after: the ``last`` of the page before.
        limit: actors of the machine that are looked at.
    """
    keys = {"deployment_id": deployment_id, "after": after or "", "limit": limit}
    rows = (await connection.execute(_SQL["actors_of_deployment"], keys)).all()
    deployments = await _until(connection, deployment_id)
    order = sorted((row.epoch, id_) for id_, row in deployments.items())
    made = await _rulings(connection, list(deployments), list({row.history_id for row in rows}))
    # Of who came later no deployment up to this one says anything.
    final: dict[str, Ruling] = {}
    for row in rows:
        stood = Landmark(row.epoch, row.history_id, row.configuration_id)
        followed = follow([stood], order, made)
        if followed and followed[-1].deployment_id == deployment_id:
            final[row.id] = followed[-1]
    distinct = list({id(ruling): ruling for ruling in final.values()}.values())
    explained = await explain(connection, catalogue, distinct, deployments)
    shown = {id(ruling): one for ruling, one in zip(distinct, explained, strict=True)}
    found = [(ActorId(actor_id), shown[id(ruling)]) for actor_id, ruling in final.items()]
    return ActorPage(found, ActorId(rows[-1].id) if len(rows) == limit else None)


def _show(chain: bytes | None) -> Fingerprint | None:
    return None if chain is None else show(chain)


@dataclass(frozen=True, slots=True)
class CohortPage:
    """A page of a deployment's decisions by cohort."""

    decisions: Sequence[tuple[Explained, int | None]]
    """Each with its actors, ``None`` as long as they have not been counted; fewer than asked for, even none,
    where decisions concerned nobody."""

    last: tuple[int, int] | None
    """(history id, configuration id) of the last decision that was looked at, behind which the next page begins;
    ``None`` on the last one."""


async def of_deployment(
    connection: AsyncConnection,
    catalogue: Catalogue,
    deployment_id: int,
    *,
    after: tuple[int, int] | None,
    limit: int,
) -> CohortPage:
    """Return what a deployment decided of each cohort that somebody was in.

    Args:
        connection: any.
        catalogue: for the names.
        deployment_id: known to exist.
        after: the ``last`` of the page before.
        limit: decisions that are looked at.
    """
    history_id, configuration_id = after or (0, 0)
    keys = {
        "deployment_id": deployment_id,
        "after_history": history_id,
        "after_configuration": configuration_id,
        "limit": limit,
    }
    rows = (await connection.execute(_SQL["decisions_of_deployment"], keys)).all()
    concerning = [row for row in rows if row.concerns]
    query = _DEPLOYMENTS.where(schema.deployment.c.id == deployment_id)
    deployments = {row.id: row for row in await connection.execute(query)}
    rulings = [_ruling(row, deployment_id) for row in concerning]
    explained = await explain(connection, catalogue, rulings, deployments)
    decisions = [(one, row.actors) for row, one in zip(concerning, explained, strict=True)]
    end = rows[-1] if len(rows) == limit else None
    return CohortPage(decisions, end and (end.history_id, end.configuration_id))


_DEPLOYMENTS = sa.select(
    schema.deployment.c.id,
    schema.deployment.c.number,
    schema.deployment.c.epoch,
    schema.deployment.c.at,
    schema.version.c.name,
    schema.version.c.path,
).join(schema.version, schema.version.c.id == schema.deployment.c.version_id)


async def _deployments(
    connection: AsyncConnection, machine: sa.Select[tuple[int]]
) -> dict[int, Any]:
    """Return the deployments to a machine, by id."""
    query = _DEPLOYMENTS.where(schema.deployment.c.machine_id == machine.scalar_subquery())
    return {row.id: row for row in await connection.execute(query)}


async def _until(connection: AsyncConnection, deployment_id: int) -> dict[int, Any]:
    """Return a deployment and all earlier ones to its machine, by id."""
    deployment = schema.deployment
    this = sa.select(deployment.c.machine_id, deployment.c.epoch).where(
        deployment.c.id == deployment_id
    )
    machine_id, epoch = (await connection.execute(this)).one()
    query = _DEPLOYMENTS.where(deployment.c.machine_id == machine_id, deployment.c.epoch <= epoch)
    return {row.id: row for row in await connection.execute(query)}


async def _rulings(
    connection: AsyncConnection, deployments: list[int], histories: list[int]
) -> Rulings:
    keys = {"deployments": deployments, "histories": histories}
    rows = await connection.execute(_SQL["decisions_on"], keys)
    rulings = [_ruling(row, row.deployment_id) for row in rows]
    return {(r.deployment_id, r.history_id, r.configuration_id): r for r in rulings}


def _ruling(row: Any, deployment_id: int) -> Ruling:
    return Ruling(
        deployment_id,
        row.history_id,
        row.configuration_id,
        row.landing_id,
        row.reason,
        row.detail,
        row.skipped,
        row.fingerprint,
        row.depth,
    )

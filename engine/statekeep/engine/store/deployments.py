"""Applying a version to the actors of its parent: one transaction, all of it or nothing.

::

    deployment lock ─ evaluate, intern landings ─ machine lock ─ evaluate the rest ─ write ─ commit
                      (events go on)              (events of this machine wait)

What is decided under the machine's lock is what happens. One cohort always gets the same decision, so
what the first evaluation decided holds: while events wait, actors are counted again and only the
cohorts that are new since then are replayed. A kind of move
that the approved preview did not show ends the transaction without a trace, or stays behind,
as the version's policy says.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.ids import Namespace, PreviewId, VersionName
from statekeep.engine.routing.cohort import Cohort
from statekeep.engine.routing.decision import Migrate, Move, Stay
from statekeep.engine.routing.evaluation import Decided, evaluate, hold_back, moves
from statekeep.engine.routing.policy import UnseenMoves
from statekeep.engine.routing.reason import Reason
from statekeep.engine.store import interning, locks, populations, previews, schema, versions
from statekeep.engine.store.database import Database
from statekeep.engine.store.sql import statements
from statekeep.engine.store.versions import StoredVersion

_SQL = statements("routing.sql")


class ApprovedBy(StrEnum):
    """Who said yes."""

    MANUAL = "Manual"
    """Somebody named the preview's id."""

    AUTOMATIC = "Automatic"
    """The version's author, beforehand, to whatever it is."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the one application of a version did."""

    id: int
    epoch: int
    version_id: int
    preview_id: PreviewId
    approval: ApprovedBy
    approved_by: str | None
    """Who named the preview, where that is known."""

    migrated: int
    stayed: int
    """Actors that stayed, those that need a rescue not counted."""

    needs_rescue: int
    started_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing was applied: these kinds of move were not in the approved preview."""

    unseen: frozenset[Move]


@dataclass(frozen=True, slots=True)
class NotShown:
    """Nothing was applied: no preview of that id showed this content of the version."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Nothing was applied: another deployment to this machine is under way."""


@dataclass(frozen=True, slots=True)
class _Approval:
    """What was approved, and by whom."""

    preview_id: PreviewId
    moves: frozenset[Move]
    """The kinds of move that the preview showed."""

    kind: ApprovedBy
    approver: str | None


class _RolledBack(Exception):
    """Ends the transaction; carries why."""

    def __init__(self, held: Held) -> None:
        super().__init__()
        self.held = held


async def find(connection: AsyncConnection, version_id: int) -> Deployment | None:
    """Return the deployment of a version, or ``None``."""
    query = sa.select(schema.deployment).where(schema.deployment.c.version_id == version_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _deployment(row)


async def by_id(
    connection: AsyncConnection, namespace: Namespace, deployment_id: int
) -> tuple[Deployment, VersionName] | None:
    """Return a deployment of that namespace with the name of its version, or ``None``."""
    query = (
        sa.select(schema.deployment, schema.version.c.name)
        .join(schema.version, schema.version.c.id == schema.deployment.c.version_id)
        .where(schema.deployment.c.id == deployment_id, schema.version.c.namespace == namespace)
    )
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else (_deployment(row), VersionName(row.name))


async def apply(
    database: Database,
    namespace: Namespace,
    name: VersionName,
    preview_id: PreviewId,
    approval: ApprovedBy,
    *,
    approver: str | None = None,
) -> Deployment | Held | NotShown | Busy:
    """Apply a proposed version; applying it again returns what the first time did."""

    async def work(connection: AsyncConnection) -> Deployment | NotShown | Busy:
        target = await versions.find(connection, namespace, name, for_update=True)
        if target is None or target.parent_id is None:
            return NotShown()
        if not await locks.begin_deployment(connection, target.machine_id):
            return Busy()
        done = await find(connection, target.id)
        if done is not None:
            return done
        approved = await previews.moves_shown(connection, target, preview_id)
        if approved is None:
            return NotShown()
        said_yes = _Approval(preview_id, approved, approval, approver)
        return await _deploy(connection, target, said_yes)

    try:
        return await database.transact(work)
    except _RolledBack as rolled_back:
        return rolled_back.held


async def _deploy(
    connection: AsyncConnection,
    target: StoredVersion,
    approval: _Approval,
) -> Deployment:
    assert target.parent_id is not None
    parent = await versions.by_id(connection, target.parent_id)
    started_at = (await connection.execute(sa.select(sa.func.clock_timestamp()))).scalar_one()
    early = await _decided(connection, target, parent, known=())
    await _landings(connection, target, early)

    await locks.stop_machine(connection, target.machine_id)
    decided = await _decided(connection, target, parent, known=early)
    unseen = moves(decided) - approval.moves
    if unseen and target.version.policy.unseen_moves is UnseenMoves.HOLD:
        raise _RolledBack(Held(unseen))
    decided = [hold_back(one, approval.moves) for one in decided]
    deployment = await _record(connection, target, approval, started_at, decided)
    await _write(connection, deployment, target, parent, decided)
    await versions.mark_applied(connection, target.id)
    return deployment


async def _decided(
    connection: AsyncConnection,
    target: StoredVersion,
    parent: StoredVersion,
    *,
    known: Collection[Decided],
) -> list[Decided]:
    """Return a decision for every cohort that has actors now; what is known is only counted again."""
    decisions = {_place(one.cohort): one.decision for one in known}
    now = await populations.cohorts(connection, parent)
    new = [cohort for cohort in now if _place(cohort) not in decisions]
    population = await populations.with_histories(connection, new)
    decisions |= {_place(one.cohort): one.decision for one in evaluate(target.version, population)}
    return [Decided(cohort, decisions[_place(cohort)]) for cohort in now]


def _place(cohort: Cohort) -> tuple[int, int]:
    return cohort.history_id, cohort.configuration_id


async def _landings(
    connection: AsyncConnection, target: StoredVersion, decided: Collection[Decided]
) -> dict[Any, int]:
    """Return the ids of the configurations that cohorts land in."""
    wanted = {
        (target.id, one.decision.configuration)
        for one in decided
        if isinstance(one.decision, Migrate)
    }
    ids = await interning.configurations(connection, wanted)
    return {configuration: id_ for (_, configuration), id_ in ids.items()}


async def _record(
    connection: AsyncConnection,
    target: StoredVersion,
    approval: _Approval,
    started_at: datetime,
    decided: Sequence[Decided],
) -> Deployment:
    """Count the machine's deployments one further, and write this one down."""
    machine = schema.machine
    epoch = (
        await connection.execute(
            sa.update(machine)
            .where(machine.c.id == target.machine_id)
            .values(epoch=machine.c.epoch + 1)
            .returning(machine.c.epoch)
        )
    ).scalar_one()
    migrated = sum(d.cohort.actors for d in decided if isinstance(d.decision, Migrate))
    needs_rescue = sum(
        d.cohort.actors
        for d in decided
        if isinstance(d.decision, Stay) and d.decision.reason is Reason.NEEDS_RESCUE
    )
    evaluated = sum(d.cohort.actors for d in decided)
    row = await connection.execute(
        insert(schema.deployment)
        .values(
            machine_id=target.machine_id,
            version_id=target.id,
            epoch=epoch,
            preview_id=approval.preview_id,
            approval=approval.kind.value,
            approved_by=approval.approver,
            migrated=migrated,
            stayed=evaluated - migrated - needs_rescue,
            needs_rescue=needs_rescue,
            started_at=started_at,
            at=sa.func.clock_timestamp(),
        )
        .returning(schema.deployment)
    )
    return _deployment(row.one())


async def _write(
    connection: AsyncConnection,
    deployment: Deployment,
    target: StoredVersion,
    parent: StoredVersion,
    decided: Sequence[Decided],
) -> None:
    """Write the decisions, then do what they say."""
    landings = await _landings(connection, target, decided)
    rows = [_decision_row(one, landings) for one in decided]
    columns = ("landings", "reasons", "details", "skipped")
    await connection.execute(
        _SQL["insert_decisions"],
        {
            "deployment_id": deployment.id,
            "histories": [one.cohort.history_id for one in decided],
            "configurations": [one.cohort.configuration_id for one in decided],
            "actors": [one.cohort.actors for one in decided],
            **{name: [row[i] for row in rows] for i, name in enumerate(columns)},
        },
    )
    keys = {"deployment_id": deployment.id, "parent_id": parent.id}
    await connection.execute(_SQL["drop_edges"], keys)
    await connection.execute(_SQL["move_cohorts"], keys | {"version_id": target.id})


def _decision_row(
    one: Decided, landings: dict[Any, int]
) -> tuple[int | None, str | None, str | None, str]:
    match one.decision:
        case Migrate(configuration=configuration, skipped=skipped):
            return landings[configuration], None, None, json.dumps(dict(skipped))
        case Stay(reason, detail):
            return None, reason.value, detail, "{}"


def _deployment(row: Any) -> Deployment:
    return Deployment(
        id=row.id,
        epoch=row.epoch,
        version_id=row.version_id,
        preview_id=PreviewId(row.preview_id),
        approval=ApprovedBy(row.approval),
        approved_by=row.approved_by,
        migrated=row.migrated,
        stayed=row.stayed,
        needs_rescue=row.needs_rescue,
        started_at=row.started_at,
        at=row.at,
    )

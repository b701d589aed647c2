"""The transaction of a deployment, from its first look to its last row.

::

    deployment lock ─ evaluate, write decisions ─ machine lock ─ evaluate what is new ─ move ─ commit
                      (events go on, actors       (events of this machine wait)
                       are counted)

Under the machine's lock nothing is done whose cost grows with the actors. One cohort always gets
the same decision, so all cohorts of the parent are decided beforehand, whether anybody is in them or
not; those that come to be meanwhile just before the lock, and under it only the last few. How many actors each
decision concerned is counted beside it, and made exact afterwards (``counting``).

Whether anybody is in a cohort matters for one thing only: a kind of move that the approved preview did not
show holds the deployment if it would happen to somebody. Where such a cohort looks deserted, it
is retired first (``collection``), so that an arrival shows as a new cohort, and we look again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.ids import PreviewId
from statekeep.engine.routing.cohort import Cohort
from statekeep.engine.routing.decision import Move
from statekeep.engine.routing.evaluation import Decided, evaluate, hold_back, moves
from statekeep.engine.routing.policy import UnseenMoves
from statekeep.engine.routing.replay import Walk
from statekeep.engine.store import (
    collection,
    locks,
    populations,
    rulings,
    schema,
    versions,
)
from statekeep.engine.store.counting import Count, Uncounted
from statekeep.engine.store.sql import statements
from statekeep.engine.store.versions import StoredVersion

_SQL = statements("routing.sql")


@dataclass(frozen=True, slots=True)
class Approval:
    """What was approved, and how, to be written down."""

    preview_id: PreviewId
    kind: str
    approver: str | None


class Unseen(Exception):
    """These kinds of move were not in the approved preview, and would happen to somebody."""

    def __init__(self, kinds: frozenset[Move]) -> None:
        super().__init__()
        self.kinds = kinds


class Passed(Exception):
    """Somebody has passed where such a kind of move would happen; nobody seems to be there now."""

    def __init__(self, cohorts: Sequence[int]) -> None:
        super().__init__()
        self.cohorts = cohorts
        """To be retired, before the next look."""


class Deploying:
    """One transaction that holds its machine's deployment and collection locks."""

    def __init__(
        self,
        connection: AsyncConnection,
        target: StoredVersion,
        parent: StoredVersion,
        approved: frozenset[Move],
        *,
        patient: bool,
    ) -> None:
        self._connection = connection
        self._target = target
        self._parent = parent
        self._approved = approved
        self._patient = patient

    async def run(self, approval: Approval, count: Count) -> Uncounted:
        """Decide, stop the machine, decide the rest, move.

        Args:
            approval: of the preview whose kinds of move these are.
            count: of the actors, over when the machine is stopped.

        Raises:
            Unseen: and the transaction must end.
            Passed: likewise.
        """
        connection, target, parent = self._connection, self._target, self._parent
        started_at = (await connection.execute(sa.select(sa.func.clock_timestamp()))).scalar_one()
        # Where nobody seems to be may be left out at first, without a decision: then all are looked at again.
        known = await populations.newest(connection) if self._patient else 0
        await count.mark(connection)
        await locks.await_events(connection, target.machine_id)
        async with count.beside(target.machine_id, parent.id):
            walk = await populations.histories(connection, target.version, parent)
            decided = await self._decided(walk, await populations.cohorts(connection, parent))
            decided = await self._without_deserted(decided)
            deployment_id, epoch = await self._record(approval, started_at)
            landings = rulings.Landings(target.id)
            await rulings.write(connection, deployment_id, landings, decided)
            await versions.mark_applied(connection, target.id)

        async def catch_up() -> None:
            new = await populations.undecided(connection, parent, deployment_id, known)
            rest = await self._without_passed(await self._decided(walk, new))
            await rulings.write(connection, deployment_id, landings, rest)

        await catch_up()
        await locks.stop_machine(connection, target.machine_id)
        await catch_up()
        await rulings.carry_out(connection, deployment_id, target, parent)
        position = await self._stamp(deployment_id)
        return Uncounted(deployment_id, epoch, target.machine_id, parent.id, position)

    async def _decided(self, walk: Walk, cohorts: Sequence[Cohort]) -> list[Decided]:
        """Return the decisions; kinds of move that were not approved are still among them where they hold."""
        await populations.learn(self._connection, walk, cohorts)
        decided = evaluate(walk, cohorts)
        if self._holds:
            return list(decided)
        return [hold_back(one, self._approved) for one in decided]

    @property
    def _holds(self) -> bool:
        return self._target.version.policy.unseen_moves is UnseenMoves.HOLD

    async def _without_deserted(self, decided: list[Decided]) -> list[Decided]:
        """Return the decisions but those of an unseen kind, of which none concerns anybody now.

        Raises:
            Unseen: one does.
            Passed: somebody might arrive there still.
        """
        unseen, others = self._parted(decided)
        if not unseen:
            return others
        places = await self._places(unseen)
        deserted = [place.id for place in places if not place.canonical]
        await collection.remove(self._connection, deserted)
        enterable = [place.id for place in places if place.canonical]
        if enterable and self._patient:
            raise Passed(enterable)
        return others

    async def _without_passed(self, decided: list[Decided]) -> list[Decided]:
        """Return the decisions but those of an unseen kind, which are looked at again under the machine's lock.

        Raises:
            Unseen: one concerns somebody, and there is no time to look again.
            Passed: it may not.
        """
        unseen, others = self._parted(decided)
        if unseen and self._patient:
            raise Passed(())
        if unseen:
            await self._places(unseen)
        return others

    def _parted(self, decided: list[Decided]) -> tuple[list[Decided], list[Decided]]:
        """Return the decisions of an unseen kind, and the others."""
        if not moves(decided) - self._approved:
            return [], decided
        unseen: list[Decided] = []
        others: list[Decided] = []
        for one in decided:
            is_unseen = moves([one]) - self._approved
            (unseen if is_unseen else others).append(one)
        return unseen, others

    async def _places(self, unseen: Sequence[Decided]) -> Sequence[Any]:
        """Return the rows of these cohorts, in none of which anybody is.

        Raises:
            Unseen: somebody is.
        """
        keys = {
            "version_id": self._parent.id,
            "histories": [one.cohort.history_id for one in unseen],
            "configurations": [one.cohort.configuration_id for one in unseen],
        }
        places = (await self._connection.execute(_SQL["places"], keys)).all()
        rows = await self._connection.execute(
            _SQL["inhabited"],
            {"machine_id": self._target.machine_id, "cohorts": [place.id for place in places]},
        )
        inhabited = {row.id for row in rows}
        there = {(p.history_id, p.configuration_id) for p in places if p.id in inhabited}
        held = moves(
            one for one in unseen if (one.cohort.history_id, one.cohort.configuration_id) in there
        )
        if held:
            raise Unseen(held)
        return places

    async def _record(self, approval: Approval, started_at: datetime) -> tuple[int, int]:
        """Count the machine's deployments one further, and write this one down; return its id and the epoch."""
        machine = schema.machine
        epoch = (
            await self._connection.execute(
                sa.update(machine)
                .where(machine.c.id == self._target.machine_id)
                .values(epoch=machine.c.epoch + 1)
                .returning(machine.c.epoch)
            )
        ).scalar_one()
        row = await self._connection.execute(
            insert(schema.deployment)
            .values(
                machine_id=self._target.machine_id,
                version_id=self._target.id,
                epoch=epoch,
                preview_id=approval.preview_id,
                approval=approval.kind,
                approved_by=approval.approver,
                started_at=started_at,
                at=started_at,
            )
            .returning(schema.deployment.c.id)
        )
        return row.scalar_one(), epoch

    async def _stamp(self, deployment_id: int) -> int:
        """Say when it happened, and where in the change feed: now, while no event can; return the position."""
        table = schema.deployment
        row = await self._connection.execute(
            sa.update(table)
            .where(table.c.id == deployment_id)
            .values(at=sa.func.clock_timestamp(), position=schema.CHANGE_POSITION.next_value())
            .returning(table.c.position)
        )
        position: int = row.scalar_one()
        return position

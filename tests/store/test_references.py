"""What has no foreign key is read by the statement that refers to it: to what is not there, nothing refers."""

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.store.conftest import World
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.engine.routing.cohort import Cohort
from statekeep.engine.routing.decision import Migrate, Move
from statekeep.engine.routing.evaluation import Decided
from statekeep.engine.statechart.interpreter import initial
from statekeep.engine.store import interning, rulings
from statekeep.engine.store.deployments import Deployment
from statekeep.engine.store.interning import NewHistory
from statekeep.engine.store.rulings import Landings
from statekeep.engine.store.versions import StoredVersion

NOWHERE = 999


async def found_cohort(
    world: World, version_id: int, history_id: int, stored: StoredVersion
) -> None:
    """Have a cohort of a version and a history, with the first configuration of a stored version."""

    async def work(connection: AsyncConnection) -> None:
        pair = (stored.id, initial(stored.version.machine))
        configurations = await interning.configurations(connection, {pair})
        await interning.cohorts(connection, [(version_id, history_id, configurations[pair])])

    await world.database.transact(work)


async def test_a_history_has_a_beginning_that_is_there(world: World) -> None:
    stored = await world.propose("v1", LOAN_1)
    new = NewHistory(parent_id=NOWHERE, event_type="PAY", fingerprint=bytes(32))

    async def work(connection: AsyncConnection) -> None:
        await interning.arrivals(connection, {new}, {(stored.id, initial(stored.version.machine))})

    with pytest.raises(psycopg.errors.NotNullViolation, match="depth"):
        await world.database.transact(work)


async def test_a_cohort_has_a_history(world: World) -> None:
    stored = await world.propose("v1", LOAN_1)
    with pytest.raises(psycopg.errors.NotNullViolation, match="history_id"):
        await found_cohort(world, stored.id, NOWHERE, stored)


async def test_a_cohort_has_a_configuration_of_its_version(world: World) -> None:
    stored = await world.propose("v1", LOAN_1)
    other = await world.propose("w1", LOAN_1, machine="w")
    [(root,)] = await world.rows("select id from history")
    with pytest.raises(psycopg.errors.NotNullViolation, match="version_id"):
        await found_cohort(world, other.id, root, stored)


async def test_there_is_one_root(world: World) -> None:
    with pytest.raises(sa.exc.IntegrityError, match="history_root_idx"):
        await world.database.transact(
            lambda connection: connection.execute(
                sa.text(
                    "insert into statekeep.history (event_type, depth, fingerprint)"
                    " values ('X', 0, sha256('X'))"
                )
            )
        )


@pytest.mark.parametrize(
    ("landing", "is_deployed", "refused"),
    [("v2", True, None), ("v1", True, "outcome"), ("v2", False, "deployment_id")],
)
async def test_a_decision_lands_on_the_version_of_a_deployment(
    world: World, landing: str, is_deployed: bool, refused: str | None
) -> None:
    stored = {"v1": await world.propose("v1", LOAN_1)}
    await world.spawn("a", "v1", "START")
    stored["v2"] = await world.propose("v2", LOAN_2, parent="v1")
    deployment = await world.apply("v2")
    assert isinstance(deployment, Deployment)
    start = initial(stored[landing].version.machine)
    cohort = Cohort(NOWHERE, NOWHERE, value='"idle"', done=False, actors=0)
    decided = Decided(cohort, Migrate(start, Move('"idle"', '"idle"')))

    async def work(connection: AsyncConnection) -> None:
        id_ = deployment.id if is_deployed else NOWHERE
        await rulings.write(connection, id_, Landings(stored[landing].id), [decided])

    if refused is None:
        await world.database.transact(work)
        return
    with pytest.raises(sa.exc.IntegrityError, match=refused):
        await world.database.transact(work)

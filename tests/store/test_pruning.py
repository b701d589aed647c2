"""What is removed was needed by nobody; whatever the log speaks of stays."""

import asyncio

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.store.conftest import World
from tests.store.definitions import LOAN_1, LOAN_2
from tests.store.test_waiting import WAITING, behind

from statekeep.engine.errors import VersionUnknown
from statekeep.engine.ids import Namespace
from statekeep.engine.store import locks, pruning
from statekeep.engine.store.pruning import Candidate, Need


async def needs(world: World) -> dict[str, Need | None]:
    """Return what keeps each applied version."""
    found = await world.database.read(pruning.candidates)
    return {one.name: one.need for one in found}


async def candidate(world: World, name: str) -> Candidate:
    found = await world.database.read(pruning.candidates)
    return next(one for one in found if one.name == name)


async def test_a_version_is_kept_by_its_actors_its_children_and_what_it_decided(
    world: World,
) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("alice", "v1", "START", "PAY")
    await world.propose("v2", LOAN_2, parent="v1", path=["START", "PAY"])
    await world.propose("other", LOAN_1, machine="other")
    assert await needs(world) == {"v1": Need.CHILDREN, "other": None}
    await world.apply("v2")
    assert await needs(world) == {"v1": Need.CHILDREN, "v2": Need.ACTORS, "other": None}
    await world.propose("v3", LOAN_2, parent="v2", path=["START", "WAIVE"])
    await world.apply("v3")
    assert (await needs(world))["v3"] is Need.DECISIONS
    await world.spawn("bob", "other")
    assert (await needs(world))["other"] is Need.ACTORS


async def test_a_pruned_version_is_gone_and_its_name_free(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.propose("v2", LOAN_2, parent="v1")
    await world.apply("v2")
    assert not await pruning.prune(world.database, await candidate(world, "v1"))
    assert await pruning.prune(world.database, await candidate(world, "v2"))
    assert await pruning.prune(world.database, await candidate(world, "v1"))
    for table in ("version", "machine", "deployment", "configuration", "cohort", "edge", "preview"):
        assert await world.count(table) == 0, table
    await world.propose("v1", LOAN_2)
    await world.spawn("alice", "v1", "START", "PAY")
    assert await world.place("alice") == ("v1", "income")


async def test_whoever_is_asked_for_on_a_version_that_is_just_pruned_is_refused(
    world: World,
) -> None:
    stored = await world.propose("v1", LOAN_1)
    gone = await candidate(world, "v1")

    async def hold(connection: AsyncConnection) -> None:
        await locks.stop_machine(connection, stored.machine_id)

    async def prune_and_ask() -> None:
        pruned = asyncio.create_task(pruning.prune(world.database, gone))
        while not (await world.rows(WAITING))[0][0]:
            pass  # the lock is given in the order in which it was asked for
        with pytest.raises(VersionUnknown):
            await world.ask(world.wish("a", "v1"))
        assert await pruned

    await behind(world, hold, prune_and_ask(), waiters=2)


async def test_what_is_needed_by_now_is_kept(world: World) -> None:
    await world.propose("v1", LOAN_1)
    before = await candidate(world, "v1")
    await world.spawn("alice", "v1", "START")
    assert not await pruning.prune(world.database, before)
    assert (await world.answered("alice", "PAY")).handled


async def test_candidates_are_those_of_the_namespaces_asked_for(world: World) -> None:
    await world.propose("v1", LOAN_1)
    elsewhere = [Namespace("elsewhere")]
    assert not await world.database.read(
        lambda connection: pruning.candidates(connection, elsewhere)
    )


@pytest.mark.parametrize("table", ["deployment", "configuration"])
async def test_nothing_but_pruning_can_delete(world: World, database_url: str, table: str) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("alice", "v1")
    await world.propose("v2", LOAN_2, parent="v1")
    await world.apply("v2")
    with (
        psycopg.connect(database_url) as connection,
        pytest.raises(psycopg.errors.RestrictViolation),
    ):
        connection.execute(f"delete from statekeep.{table}")

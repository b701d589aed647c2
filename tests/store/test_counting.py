"""The numbers of a deployment are those of its moment, whoever counts them and when."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.store.conftest import World
from tests.store.definitions import LOAN_1, LOAN_2
from tests.store.test_races import LONGER, RING
from tests.store.test_waiting import WAITING

from statekeep.engine.errors import StoreUnavailable
from statekeep.engine.ids import PreviewId, VersionName
from statekeep.engine.store import audit, counting, deployments, locks, rulings
from statekeep.engine.store.counting import Count, Uncounted
from statekeep.engine.store.database import Database
from statekeep.engine.store.deploying import Deploying
from statekeep.engine.store.deployments import AppliedBefore, Deployment
from statekeep.engine.store.locks import MACHINE_SPACE

TALLIES = (
    "select history_id, configuration_id, actors from tally where deployment_id = :id order by 1, 2"
)

COUNTED = (
    "select from pg_locks join pg_stat_activity using (pid)"
    " where relation = 'actor'::regclass and mode = 'AccessShareLock' and granted"
    " and pid <> pg_backend_pid() and query like '%create temporary table counted%' and state = 'idle in transaction'"
)
"""Somebody has counted the actors, and not committed yet."""


class Died(Exception):
    """The process ended here."""


@contextmanager
def dying() -> Iterator[None]:
    """Let whoever is about to count actors die."""

    async def die(*_: object) -> None:
        raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Count, "finish", die)
        yield


async def broken_off(world: World, name: str) -> Uncounted:
    """Apply a version and die when its actors were to be counted."""
    with dying(), pytest.raises(Died):
        await world.apply(name)
    found = await world.database.read(lambda connection: deployments.find(connection, 2))
    assert isinstance(found, Uncounted)
    return found


async def five_paid(world: World) -> PreviewId:
    """Let five pay; return the preview of a version that all of them would move to."""
    await world.propose("v1", LOAN_1)
    for number in range(5):
        await world.spawn(f"paid{number}", "v1", "START", "PAY")
    await world.propose("v2", LOAN_2, parent="v1", path=["START"])
    return (await world.preview("v2")).id


async def test_a_count_that_was_broken_off_is_made_up_for_whatever_happened_since(
    world: World,
) -> None:
    await world.propose("v1", LOAN_1)
    for number in range(6):
        await world.spawn(f"paid{number}", "v1", "START", "PAY")
    await world.spawn("stuck", "v1", "START", "PAY", "UPLOAD", "BACK")
    await world.spawn("idle", "v1")
    await world.propose("v2", LOAN_2, parent="v1", path=["START"])
    approved = (await world.preview("v2")).id
    await broken_off(world, "v2")
    # It has happened, and who asks is told so.
    assert await world.place("paid1") == ("v2", "income")
    [decision] = await world.decisions("stuck")
    assert decision.reason == "NeedsRescue"
    for number in range(3):
        await world.answered(f"paid{number}", "VERIFY")
    await world.answered("idle", "START")
    await world.spawn("late", "v1", "START")
    await world.spawn("late2", "v2", "START", "PAY")

    again = await world.apply("v2", approved)

    assert isinstance(again, AppliedBefore)
    done = again.deployment
    assert (done.migrated, done.stayed, done.needs_rescue) == (6, 1, 1)
    assert await deployments.count_all(world.database) == 0


async def test_upkeep_finds_every_count_that_was_broken_off(
    world: World,
) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START")
    await world.propose("v2", LOAN_2, parent="v1")
    uncounted = await broken_off(world, "v2")
    assert await deployments.count_all(world.database) == 1
    found = await world.database.read(lambda connection: deployments.find(connection, 2))
    assert isinstance(found, Deployment)
    assert (found.id, found.migrated) == (uncounted.id, 1)


async def test_the_snapshot_and_the_log_count_alike(world: World) -> None:
    """In a chain, with merges, among events: each deployment is counted again from the log alone."""
    chance = random.Random(11)
    await world.propose("v1", RING)
    names = [f"a{number}" for number in range(40)]
    for name in names:
        await world.spawn(name, "v1")
    family = [("v2", LONGER, "v1"), ("v3", RING, "v2"), ("v4", RING, "v1"), ("v5", LONGER, "v3")]
    done: list[Deployment] = []
    for version, definition, parent in family:
        over = asyncio.Event()

        async def live(over: asyncio.Event = over) -> None:
            while not over.is_set():
                some = chance.sample(names, 10)
                await world.process(*(world.event(n, chance.choice("AABBC")) for n in some))

        async def deploy(version: str = version, over: asyncio.Event = over) -> Deployment:
            while True:
                result = await world.apply(version)
                if isinstance(result, Deployment):
                    over.set()
                    return result

        await world.propose(version, definition, parent=parent)
        _, deployment = await asyncio.gather(live(), deploy())
        done.append(deployment)
        await world.spawn(f"young{version}", version)
    for deployment in done:
        await assert_the_log_counts_alike(world, deployment)


async def forget(world: World, deployment: Deployment) -> None:
    """Let a deployment look as if nobody had counted."""

    async def work(connection: object) -> None:
        for statement in (
            "set local session_replication_role = replica",
            f"delete from statekeep.tally where deployment_id = {deployment.id}",
            "update statekeep.deployment set migrated = null, stayed = null, needs_rescue = null"
            f" where id = {deployment.id}",
        ):
            await connection.exec_driver_sql(statement)  # type: ignore[attr-defined]

    await world.database.transact(work)


async def test_the_pages_of_a_deployment_and_each_actor_alone_say_the_same(world: World) -> None:
    chance = random.Random(5)
    await world.propose("v1", RING)
    names = [f"a{number:02}" for number in range(30)]
    for name in names:
        await world.spawn(name, "v1", *("A" for _ in range(chance.randrange(4))))
    for version, definition, parent in [
        ("v2", LONGER, "v1"),
        ("v3", RING, "v2"),
        ("v4", LONGER, "v3"),
    ]:
        await world.propose(version, definition, parent=parent, path=chance.choice([[], ["A"]]))
        assert isinstance(await world.apply(version), Deployment)
        some = chance.sample(names, 12)
        await world.process(*(world.event(name, chance.choice("AB")) for name in some))
    alone = {name: await world.decisions(name) for name in names}
    for version in ("v2", "v3", "v4"):
        stored_version = await world.rows(
            "select d.id from deployment d join version v on v.id = d.version_id where v.name = :name",
            {"name": VersionName(version)},
        )
        paged: list[tuple[str, audit.Explained]] = []
        last = None
        while True:
            page = await world.database.read(
                lambda connection, last=last, id_=stored_version[0][0]: (  # type: ignore[misc]
                    audit.of_deployment_by_actor(
                        connection, world.catalogue, id_, after=last, limit=7
                    )
                )
            )
            paged += page.decisions
            if (last := page.last) is None:
                break
        expected = [
            (name, one) for name, said in alone.items() for one in said if one.version == version
        ]
        assert paged == expected


async def test_who_counts_beside_upkeep_hears_of_no_race(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Upkeep meets the deployment between its commit and its count, and is faster."""
    approved = await five_paid(world)
    finish = Count.finish

    async def late(count: Count, deployment: Uncounted) -> None:
        await counting.recount(world.database, deployment)
        await finish(count, deployment)

    monkeypatch.setattr(Count, "finish", late)
    done = await world.apply("v2", approved)
    assert isinstance(done, Deployment)
    assert (done.migrated, done.stayed, done.needs_rescue) == (5, 0, 0)
    assert [row.actors for row in await world.rows(TALLIES, {"id": done.id})] == [5]


async def test_a_deployment_that_is_broken_off_while_it_passes_the_events_keeps_no_lock(
    world: World, database_url: str
) -> None:
    """The lock that it passes through is the session's: the session has to end."""
    stored = await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START")
    await world.propose("v2", LOAN_2, parent="v1")
    async with await psycopg.AsyncConnection.connect(database_url) as writer:
        await writer.execute(
            "select pg_advisory_xact_lock_shared(%s, %s)", [MACHINE_SPACE, stored.machine_id]
        )
        deploying = asyncio.create_task(world.apply("v2"))
        passing = "select pid from pg_locks where locktype = 'advisory' and not granted"
        while not (waiting := await world.rows(passing)):
            assert not deploying.done()
        await writer.execute("select pg_cancel_backend(%s)", [waiting[0].pid])
        with pytest.raises(StoreUnavailable):
            await deploying
        there = "select from pg_stat_activity where pid = :pid"
        async with asyncio.timeout(30):
            while await world.rows(there, {"pid": waiting[0].pid}):
                pass
    assert isinstance(await world.apply("v2"), Deployment)


@pytest.mark.parametrize("which", ["the one that has counted", "the one that reads what changed"])
async def test_a_count_that_loses_a_connection_begins_again(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    approved = await five_paid(world)
    lend, finish = Database.lend, Count.finish
    pids: list[int] = []
    ended: list[int] = []
    has_happened: list[bool] = []

    async def end() -> None:
        async with await psycopg.AsyncConnection.connect(database_url) as other:
            await other.execute("select pg_terminate_backend(%s, 10000)", [pids[-1]])
        ended.append(pids[-1])

    @asynccontextmanager
    async def watched(database: Database) -> AsyncIterator[AsyncConnection]:
        async with lend(database) as connection:
            pids.append((await connection.exec_driver_sql("select pg_backend_pid()")).scalar_one())
            if has_happened and which == "the one that reads what changed":
                await end()
            yield connection

    async def late(count: Count, deployment: Uncounted) -> None:
        has_happened.append(True)
        if which == "the one that has counted":
            await end()
        await finish(count, deployment)

    monkeypatch.setattr(Database, "lend", watched)
    monkeypatch.setattr(Count, "finish", late)
    done = await world.apply("v2", approved)
    assert len(ended) == 1
    assert isinstance(done, Deployment)
    assert (done.migrated, done.stayed, done.needs_rescue) == (5, 0, 0)


async def test_what_happens_between_the_count_and_the_deployment_is_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that can happen to an actor happens when all have been counted and the machine is not held yet."""
    await world.propose("v1", RING)
    await world.propose("w1", RING, machine="w")
    for name, way in {
        "once": "",
        "twice": "",
        "new": "A",
        "gone": "AB",
        "calm": "",
        "b": "A",
    }.items():
        await world.spawn(name, "v1", *way)
    await world.propose("v2", RING, parent="v1", path=["A"])
    stop_machine = locks.stop_machine

    async def late(connection: AsyncConnection, machine_id: int) -> None:
        await world.answered("once", "A")
        await world.answered("twice", "A")
        await world.answered("twice", "B")
        await world.answered("new", "B")
        await world.answered("new", "A")
        await world.answered("gone", "A")
        await world.answered("calm", "UNKNOWN")
        await world.spawn("young", "v1")
        await world.spawn("busy", "v1", "A", "B")
        await world.spawn("elsewhere", "w1", "A")
        await stop_machine(connection, machine_id)

    monkeypatch.setattr(locks, "stop_machine", late)
    done = await world.apply("v2")
    assert isinstance(done, Deployment)
    assert (done.migrated, done.stayed, done.needs_rescue) == (6, 2, 0)
    await assert_the_log_counts_alike(world, done)


async def test_who_was_writing_when_the_count_began_is_counted(
    world: World, database_url: str
) -> None:
    """A transaction draws a position and commits late; by then a later position can be seen."""
    stored = await world.propose("v1", RING)
    for name in ("slow", "quick"):
        await world.spawn(name, "v1", "A")
    await world.spawn("other", "v1", "A", "B")
    await world.propose("v2", RING, parent="v1", path=["A"])
    await world.preview("v2")
    async with await psycopg.AsyncConnection.connect(database_url) as writer:
        await writer.execute(
            "select pg_advisory_xact_lock_shared(%s, %s)", [MACHINE_SPACE, stored.machine_id]
        )
        drawn = await writer.execute("select nextval('statekeep.change_position')")
        [position] = await drawn.fetchone() or ()
        await world.answered("quick", "B")
        deploying = asyncio.create_task(world.apply("v2"))
        await asyncio.sleep(0.3)
        assert not deploying.done()
        await writer.execute(
            "insert into statekeep.event (actor_key, seq, history_id, configuration_id, epoch, at, position)"
            " select s.key, 2, c.history_id, c.configuration_id, 0, now(), %s"
            "   from statekeep.actor s, statekeep.actor o join statekeep.cohort c on c.id = o.cohort_id"
            "  where s.id = 'slow' and o.id = 'other'",
            [position],
        )
        await writer.execute(
            "update statekeep.actor s set cohort_id = o.cohort_id, seq = 2"
            "  from statekeep.actor o where s.id = 'slow' and o.id = 'other'"
        )
    done = await deploying
    assert isinstance(done, Deployment)
    tallies = await world.rows(TALLIES, {"id": done.id})
    assert [row.actors for row in tallies] == [3]
    await assert_the_log_counts_alike(world, done)


@pytest.mark.parametrize(
    "moment", ["before the count", "looking who is there", "holding the machine"]
)
async def test_a_change_of_the_schema_and_a_deployment_do_not_wait_for_each_other(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A deployment has two connections: the change waits for one, and the other must not wait for the change."""
    await world.propose("v1", LOAN_1)
    await world.spawn("passed", "v1", "START", "PAY", "UPLOAD")
    await world.spawn("idle", "v1")
    # Nobody looks unless somebody has passed where nobody is now.
    if moment != "looking who is there":
        await world.spawn("fee", "v1", "START")
        await world.spawn("paid", "v1", "START", "PAY")
    await world.propose("v2", LOAN_2, parent="v1")
    approved = (await world.preview("v2")).id
    place, name = {
        "before the count": (locks, "await_events"),
        "looking who is there": (Deploying, "_places"),
        "holding the machine": (rulings, "carry_out"),
    }[moment]
    work = getattr(place, name)
    changes: list[asyncio.Task[None]] = []

    async def change() -> None:
        async with await psycopg.AsyncConnection.connect(database_url) as connection:
            await connection.execute("lock table statekeep.actor in access exclusive mode")

    async def late(*arguments: object) -> object:
        if not changes:
            while moment != "before the count" and not await world.rows(COUNTED):
                pass
            changes.append(asyncio.create_task(change()))
            while not (await world.rows(WAITING))[0][0]:
                assert not changes[0].done()
        return await work(*arguments)

    monkeypatch.setattr(place, name, late)
    async with asyncio.timeout(30):
        done = await world.apply("v2", approved)
        await changes[0]
    assert isinstance(done, Deployment)
    assert done.needs_rescue == 1


async def assert_the_log_counts_alike(world: World, deployment: Deployment) -> None:
    counted = await world.rows(TALLIES, {"id": deployment.id})
    await forget(world, deployment)
    assert await deployments.count_all(world.database) == 1
    found = await world.database.read(
        lambda connection: deployments.find(connection, deployment.version_id)
    )
    assert found == deployment
    assert await world.rows(TALLIES, {"id": deployment.id}) == counted

"""The feed's order is that of every actor and of the deployments between, whatever commits when."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from tests.store.conftest import World
from tests.store.definitions import LOAN_1, LOAN_2
from tests.store.test_counting import broken_off
from tests.store.test_races import RING

from statekeep.engine.store import changes, deployments
from statekeep.engine.store.changes import (
    BEGINNING,
    STRETCH,
    ActorChanged,
    Change,
    Horizon,
    VersionDeployed,
)
from statekeep.engine.store.locks import MACHINE_SPACE
from statekeep.engine.store.migrations.versions import r0005_change_feed


class Reader:
    """Reads the feed of one world, as far as it is settled."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.horizon = Horizon()
        self.seen: list[Change] = []
        self.mark = BEGINNING

    async def look(self) -> list[Change]:
        """Read on, and return what is new."""
        news = await self.world.database.watch(
            lambda connection: changes.read_on(
                connection, self.world.catalogue, self.horizon, [self.world.namespace], self.mark
            )
        )
        assert news.is_there
        self.mark = news.upto
        self.seen += news.changes
        return list(news.changes)


def told(seen: Sequence[Change]) -> list[str]:
    """Return changes in short: actor and event type, actor alone where it was spawned, or version."""
    return [
        f"{one.actor_id} {one.event_type or ''}".strip()
        if isinstance(one, ActorChanged)
        else str(one.version)
        for one in seen
    ]


@contextmanager
def holding(url: str, statement: str, *parameters: object) -> Iterator[psycopg.Connection[Any]]:
    """Keep a transaction open that has executed a statement."""
    with psycopg.connect(url) as connection:
        connection.execute(statement, parameters)
        yield connection


async def waiting(world: World, number: int) -> None:
    """Return when that many transactions of this database wait for a lock."""
    query = (
        "select count(*) from pg_locks l join pg_stat_activity a using (pid)"
        " where not l.granted and a.datname = current_database()"
    )
    async with asyncio.timeout(30):
        while (await world.rows(query))[0][0] < number:  # noqa: ASYNC110  (Postgres sets no Event)
            await asyncio.sleep(0.005)


PAUSE = """
create function pause() returns trigger language plpgsql as
  'begin perform pg_advisory_xact_lock_shared(hashtext(new.idempotency_key)); return new; end';
create constraint trigger pause after insert on statekeep.event deferrable initially deferred
  for each row when (new.idempotency_key like 'slow%') execute function pause()
"""
"""Events with such a key wait at their commit, when everything else is done."""


async def pioneers(world: World) -> None:
    """Take the first steps, so that nobody waits for others to have stored where those lead."""
    await world.spawn("first", "v1", "A")
    await world.spawn("second", "v1", "B")


HOLD = "select pg_advisory_xact_lock(hashtext(%s))"


async def test_a_spawn_and_its_events_come_as_they_happened(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    await world.spawn("b", "v1")
    reader = Reader(world)
    await reader.look()
    assert told(reader.seen) == ["a", "a START", "a PAY", "b"]
    first, *_, last = reader.seen
    assert isinstance(first, ActorChanged)
    assert (first.seq, first.configuration.label) == (0, "idle")
    assert isinstance(last, ActorChanged)
    assert last.event_type is None
    marks = [one.mark.position for one in reader.seen]
    assert marks == sorted(set(marks))


async def test_a_deployment_stands_between_the_events_before_and_behind_it(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    await world.propose("v2", LOAN_2, parent="v1", path=["START", "PAY"])
    await world.apply("v2")
    await world.answered("a", "VERIFY")
    reader = Reader(world)
    await reader.look()
    assert told(reader.seen) == ["a", "a START", "a PAY", "v2", "a VERIFY"]
    deployed = reader.seen[3]
    assert isinstance(deployed, VersionDeployed)
    assert (deployed.machine, deployed.parent, deployed.migrated) == ("m", "v1", 1)


async def test_a_deployment_that_met_nobody_is_no_change(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.propose("v2", LOAN_2, parent="v1")
    await world.apply("v2")
    assert await Reader(world).look() == []


async def test_many_events_of_one_actor_in_one_batch_keep_their_order(world: World) -> None:
    await world.propose("v1", RING)
    for name in ("a", "b", "c"):
        await world.spawn(name, "v1")
    sent = [(name, event) for event in "ABABAABBAB" * 5 for name in ("b", "a", "c")]
    outcomes = await world.process(*(world.event(*one) for one in sent))
    assert len(outcomes) == 150
    reader = Reader(world)
    await reader.look()
    for name in ("a", "b", "c"):
        mine = [
            one for one in reader.seen if isinstance(one, ActorChanged) and one.actor_id == name
        ]
        assert [one.seq for one in mine] == list(range(len(mine)))
        logged = [one.event_type for one in await world.log(name)]
        assert [one.event_type for one in mine[1:]] == logged


async def test_the_order_of_an_actors_events_is_kept_where_transaction_ids_are_the_other_way_round(
    world: World, database_url: str
) -> None:
    """The first one to write is not the first one to get the actor."""
    await world.propose("v1", RING)
    await world.spawn("x", "v1")
    await world.spawn("y", "v1")
    keys = {name: (await world.actor(name)).key for name in ("x", "y")}
    low, high = sorted(keys, key=lambda name: keys[name])  # actors are locked in this order
    with holding(
        database_url, "select from statekeep.actor where key = %s for update", keys[high]
    ) as blocker:
        waiter = asyncio.create_task(world.send(high, "A"))
        await waiting(world, 1)  # it waits for the actor, and has written nothing yet
        both = asyncio.create_task(world.process(world.event(low, "A"), world.event(high, "B")))
        await waiting(world, 2)  # it has locked the first actor, and waits behind the other one
        blocker.rollback()
        await asyncio.gather(waiter, both)
    [(first,), (second,)] = await world.rows(
        "select cast(cast(e.xmin as text) as bigint) from event e join actor a on a.key = e.actor_key"
        " where a.id = :high order by e.seq",
        {"high": high},
    )
    assert first > second, "this test is to provoke the inversion"
    reader = Reader(world)
    await reader.look()
    mine = [one for one in told(reader.seen) if one.startswith(f"{high} ")]
    assert mine == [f"{high} A", f"{high} B"]


async def test_what_drew_a_number_first_and_commits_last_is_waited_for(
    world: World, database_url: str
) -> None:
    await world.propose("v1", RING)
    await world.propose("w1", RING, machine="other")
    await pioneers(world)
    await world.spawn("a", "v1")
    await world.spawn("b", "v1")
    await world.spawn("c", "w1")
    with psycopg.connect(database_url) as connection:
        connection.execute(PAUSE)
    reader = Reader(world)
    assert told(await reader.look())[-3:] == ["a", "b", "c"]
    before = len(reader.seen)
    with holding(database_url, HOLD, "slow"):
        slow = asyncio.create_task(world.send("a", "A", idempotency_key="slow"))
        await waiting(world, 1)
        await world.answered("b", "B")
        await world.answered("c", "A")
        for _ in range(5):
            assert await reader.look() == []
    await slow
    await reader.look()
    assert told(reader.seen[before:]) == ["a A", "b B", "c A"]


async def test_under_steady_traffic_the_feed_is_never_stuck(
    world: World, database_url: str
) -> None:
    """Somebody is always writing; only those are waited for who were at the look before."""
    await world.propose("v1", RING)
    await pioneers(world)
    for name in ("a", "b", "c"):
        await world.spawn(name, "v1")
    with psycopg.connect(database_url) as connection:
        connection.execute(PAUSE)
    reader = Reader(world)
    await reader.look()
    with (
        holding(database_url, HOLD, "slow1") as first,
        holding(database_url, HOLD, "slow2") as second,
        holding(database_url, HOLD, "slow3"),
    ):
        one = asyncio.create_task(world.send("a", "A", idempotency_key="slow1"))
        await waiting(world, 1)
        two = asyncio.create_task(world.send("b", "A", idempotency_key="slow2"))
        await waiting(world, 2)
        first.rollback()
        await one
        assert await reader.look() == []
        three = asyncio.create_task(world.send("c", "A", idempotency_key="slow3"))
        await waiting(world, 2)
        second.rollback()
        await two
        assert told(await reader.look()) == ["a A"]
        assert await reader.look() == []
    await three
    assert told(await reader.look()) == ["b A", "c A"]


async def paused(world: World, database_url: str) -> Reader:
    """Let two actors stand at the beginning, whose events wait where they are told to; return who has seen that."""
    await world.propose("v1", RING)
    await pioneers(world)
    for name in ("a", "b"):
        await world.spawn(name, "v1")
    with psycopg.connect(database_url) as connection:
        connection.execute(PAUSE)
    reader = Reader(world)
    await reader.look()
    return reader


NUMBER = "select last_value from statekeep.change_position"


async def test_numbers_that_a_crash_of_postgres_has_given_back_settle_nothing(
    world: World, database_url: str
) -> None:
    """Nobody had committed them; who draws them now may commit after those who draw higher ones."""
    reader = await paused(world, database_url)
    before = len(reader.seen)
    with psycopg.connect(database_url) as lost:
        lost.execute("select pg_advisory_xact_lock_shared(%s, 1)", [MACHINE_SPACE])
        [(logged,)] = lost.execute(NUMBER).fetchall()
        lost.execute("select nextval('statekeep.change_position') from generate_series(1, 4)")
        assert await reader.look() == []
        lost.rollback()
        lost.execute("select setval('statekeep.change_position', %s)", [logged])
    with holding(database_url, HOLD, "slow"):
        slow = asyncio.create_task(world.send("a", "A", idempotency_key="slow"))
        await waiting(world, 1)
        for _ in range(5):
            await world.answered("b", "A")
        for _ in range(3):
            assert await reader.look() == []
    await slow
    await reader.look()
    assert told(reader.seen[before:]) == ["a A"] + 5 * ["b A"]


async def test_a_change_that_was_noted_and_is_lost_settles_nothing(
    world: World, database_url: str
) -> None:
    """As where an asynchronous standby takes over: another change may get its number."""
    reader = await paused(world, database_url)
    with psycopg.connect(database_url) as connection:
        [(number,)] = connection.execute(NUMBER).fetchall()
    before = len(reader.seen)
    with psycopg.connect(database_url) as writer:
        writer.execute("select pg_advisory_xact_lock_shared(%s, 1)", [MACHINE_SPACE])
        await world.answered("b", "A")
        await world.answered("b", "A")
        assert await reader.look() == []
    with psycopg.connect(database_url) as connection:
        connection.execute("alter table statekeep.event disable trigger user")
        connection.execute("delete from statekeep.event where position > %s", [number])
        connection.execute("update statekeep.actor set seq = 0 where id = 'b'")
        connection.execute("alter table statekeep.event enable trigger user")
        connection.execute("select setval('statekeep.change_position', %s)", [number])
    with holding(database_url, HOLD, "slow"):
        slow = asyncio.create_task(world.send("a", "A", idempotency_key="slow"))
        await waiting(world, 1)
        await world.answered("b", "A")
        for _ in range(3):
            assert await reader.look() == []
    await slow
    await reader.look()
    assert told(reader.seen[before:]) == ["a A", "b A"]


async def test_a_long_stretch_of_numbers_that_nobody_used_is_passed_over(
    world: World, database_url: str
) -> None:
    await world.propose("v1", RING)
    await world.spawn("a", "v1")
    reader = Reader(world)
    await reader.look()
    with psycopg.connect(database_url) as connection:
        connection.execute(f"select setval('statekeep.change_position', {3 * STRETCH})")
    await world.answered("a", "A")
    assert told(await reader.look()) == ["a A"]


async def test_a_transaction_that_fails_leaves_no_gap_that_anybody_waits_for(
    world: World, database_url: str
) -> None:
    await world.propose("v1", RING)
    await world.spawn("a", "v1")
    reader = Reader(world)
    await reader.look()
    with psycopg.connect(database_url) as connection:
        connection.execute("select nextval('statekeep.change_position')")
        connection.rollback()
    await world.answered("a", "A")
    assert told(await reader.look()) == ["a A"]
    assert reader.seen[1].mark.position == reader.seen[0].mark.position + 2


async def test_a_long_transaction_of_somebody_else_holds_nothing_up(
    world: World, database_url: str
) -> None:
    await world.propose("v1", RING)
    await world.spawn("a", "v1")
    reader = Reader(world)
    with holding(database_url, "create table elsewhere (number integer)"):
        await world.answered("a", "A")
        assert told(await reader.look()) == ["a", "a A"]


async def test_a_mark_names_its_change_and_no_other(world: World, database_url: str) -> None:
    await world.propose("v1", RING)
    await world.spawn("a", "v1", "A")

    async def mark(position: int) -> changes.Mark:
        return await world.database.read(lambda connection: changes.mark_at(connection, position))

    reader = Reader(world)
    await reader.look()
    spawned, happened = reader.seen
    assert await mark(0) == BEGINNING
    assert await mark(spawned.mark.position) == spawned.mark
    assert await mark(happened.mark.position) == happened.mark
    assert await mark(happened.mark.position + 1000) == happened.mark
    with psycopg.connect(database_url) as connection:
        connection.execute("alter table statekeep.event disable trigger user")
        connection.execute("update statekeep.event set at = at + interval '1 microsecond'")
    assert await mark(happened.mark.position) != happened.mark


BEFORE = """
drop table statekeep.spawn;
alter table statekeep.event drop column position;
alter table statekeep.deployment drop column position cascade;
drop sequence statekeep.change_position;
"""
"""Back to the revision before; the triggers and indexes of the columns go with them."""


async def test_what_was_there_before_there_was_a_feed_is_numbered_as_it_happened(
    world: World, database_url: str
) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    await world.spawn("b", "v1", "START")
    await world.propose("v2", LOAN_2, parent="v1", path=["START", "PAY"])
    await world.apply("v2")
    await world.spawn("c", "v2")
    await world.answered("b", "PAY")
    await world.answered("a", "VERIFY")
    before = Reader(world)
    await before.look()
    with psycopg.connect(database_url) as connection:
        connection.execute("drop trigger fixed_position on statekeep.event")
        connection.execute(BEFORE)

    def again(connection: sa.Connection) -> None:
        with Operations.context(MigrationContext.configure(connection)):
            r0005_change_feed.upgrade()

    await world.database.transact(lambda connection: connection.run_sync(again))
    after = Reader(world)
    await after.look()
    assert told(after.seen) == told(before.seen)
    await world.answered("c", "START")
    assert told(await after.look()) == ["c START"]


async def test_a_position_never_changes(world: World, database_url: str) -> None:
    await world.propose("v1", RING)
    await world.spawn("a", "v1", "A")
    with (
        psycopg.connect(database_url) as connection,
        pytest.raises(psycopg.errors.RestrictViolation),
    ):
        connection.execute("update statekeep.event set position = position + 1")


async def test_a_deployment_is_told_once_it_is_counted_and_what_follows_it_only_then(
    world: World,
) -> None:
    reader = Reader(world)
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1", "START", "PAY")
    await world.propose("v2", LOAN_2, parent="v1")
    await broken_off(world, "v2")
    await world.send("a", "VERIFY")
    assert told(await reader.look()) == ["a", "a START", "a PAY"]
    assert told(await reader.look()) == []
    await deployments.count_all(world.database)
    assert told(await reader.look()) == ["v2", "a VERIFY"]
    [deployed] = [one for one in reader.seen if isinstance(one, VersionDeployed)]
    assert deployed.migrated == 1

"""Pages cost what they look at: however many are passed over, whoever walks them meets everybody once."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.store.conftest import World
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.engine.ids import ActorId, VersionName
from statekeep.engine.json import JsonObject
from statekeep.engine.routing.decision import Migrate, Stay
from statekeep.engine.routing.evaluation import Decided
from statekeep.engine.routing.policy import MigrationPolicy
from statekeep.engine.routing.replay import Walk
from statekeep.engine.routing.version import Version, read_version
from statekeep.engine.store import audit, passengers, populations, versions
from statekeep.engine.store.deployments import Deployment
from statekeep.engine.store.events import Answer
from statekeep.engine.store.versions import StoredVersion

P = TypeVar("P", audit.ActorPage, audit.CohortPage)

DIGITS: JsonObject = {
    "initial": "even",
    "states": {
        "even": {"on": {**dict.fromkeys("02468", "even"), **dict.fromkeys("13579", "odd")}},
        "odd": {"on": {**dict.fromkeys("02468", "even"), **dict.fromkeys("13579", "odd")}},
    },
}

NO_SEVENS: JsonObject = {
    "initial": "even",
    "states": {
        "even": {"on": {**dict.fromkeys("02468", "even"), **dict.fromkeys("13579", "odd")}},
        "odd": {"on": {**dict.fromkeys("02468", "even"), **dict.fromkeys("1359", "odd")}},
    },
}


async def populate(world: World, lives: dict[str, str], version: str = "v1") -> None:
    """Spawn actors and let each live through its digits, many at a time."""
    for name in lives:
        await world.spawn(name, version)
    for place in range(max(map(len, lives.values()))):
        now = [world.event(name, life[place]) for name, life in lives.items() if len(life) > place]
        for outcome in await world.process(*now):
            assert isinstance(outcome, Answer)
            assert outcome.handled


def target(definition: JsonObject, path: str) -> Version:
    return read_version(
        VersionName("v2"),
        parent=VersionName("v1"),
        path=tuple(path),
        policy=MigrationPolicy(),
        definition=definition,
    )


async def parent(world: World) -> StoredVersion:
    found = await world.database.read(
        lambda connection: versions.find(connection, world.namespace, VersionName("v1"))
    )
    assert found is not None
    return found


async def turn(
    world: World, version: Version, outcome: passengers.Outcome, after: ActorId | None, limit: int
) -> passengers.Page:
    """Return one page, read as a request of its own."""
    above = await parent(world)
    return await world.database.read(
        lambda connection: passengers.page(
            connection, Walk(version), above, outcome, after=after, limit=limit
        )
    )


async def walked(
    world: World, version: Version, outcome: passengers.Outcome, limit: int
) -> AsyncIterator[passengers.Page]:
    """Yield the pages of one list."""
    last = None
    for _ in range(10_000):
        page = await turn(world, version, outcome, last, limit)
        assert len(page.passengers) <= limit
        yield page
        if page.last is None:
            return
        assert last is None or page.last > last
        last = page.last
    raise AssertionError("the pages never end")


async def leafed(
    world: World, read: Callable[..., Awaitable[P]], done: Deployment, limit: int
) -> list[P]:
    """Return every page of a deployment's decisions, in the one way or the other."""
    pages: list[P] = []
    while not pages or pages[-1].last is not None:
        after = pages[-1].last if pages else None
        pages.append(
            await world.database.read(
                partial(
                    read,
                    catalogue=world.catalogue,
                    deployment_id=done.id,
                    after=after,
                    limit=limit,
                )
            )
        )
    return pages


async def whole(world: World, version: Version) -> dict[str, Decided]:
    """Return what is decided of everybody at once, by the id of the actor."""
    above = await parent(world)

    async def work(connection: AsyncConnection) -> list[Decided]:
        walk = await populations.histories(connection, version, above)
        return list(await populations.decided(connection, walk, above))

    everything = {
        (one.cohort.history_id, one.cohort.configuration_id): one
        for one in await world.database.read(work)
    }
    rows = await world.rows(
        "select a.id, c.history_id, c.configuration_id from actor a join cohort c on c.id = a.cohort_id"
        " where c.version_id = :id",
        {"id": above.id},
    )
    return {row.id: everything[row.history_id, row.configuration_id] for row in rows}


def told(one: Decided) -> object:
    """Return what is shown of somebody; the number of actors of a cohort is not."""
    cohort = one.cohort
    return cohort.history_id, cohort.configuration_id, cohort.value, cohort.done, one.decision


SHARED = {f"a{number:03}": f"{number % 7}{number % 3}7"[: 1 + number % 3] for number in range(150)}
UNIQUE = {f"a{number:03}": f"{number:03}" for number in range(150)}
LONG = {f"a{number:02}": f"{number:02}" * 20 for number in range(30)}


@pytest.mark.parametrize("lives", [SHARED, UNIQUE, LONG], ids=["shared", "unique", "long"])
@pytest.mark.parametrize("path", ["", "1", "07"])
async def test_all_pages_together_are_the_whole_preview(
    world: World, monkeypatch: pytest.MonkeyPatch, lives: dict[str, str], path: str
) -> None:
    await world.propose("v1", DIGITS)
    await world.propose("aside", NO_SEVENS, parent="v1", path=["9"])
    await populate(world, lives | {"a0-elsewhere": "9", "z-elsewhere": "9"})
    assert isinstance(await world.apply("aside"), Deployment)
    version = target(NO_SEVENS, path)
    expected = {name: told(one) for name, one in (await whole(world, version)).items()}
    assert len(expected) == len(lives)
    for at_once, actors, events, limit in [
        (1_000, 10_000, 200_000, 1_000),
        (1_000, 10_000, 200_000, 7),
        (5, 13, 200_000, 4),
        (8, 10_000, 25, 50),
    ]:
        monkeypatch.setattr(passengers, "AT_ONCE", at_once)
        monkeypatch.setattr(passengers, "ACTORS", actors)
        monkeypatch.setattr(passengers, "EVENTS", events)
        found: list[tuple[str, object]] = []
        for outcome in (Migrate, Stay):
            before = len(found)
            async for page in walked(world, version, outcome, limit):
                found += [(name, told(one)) for name, one in page.passengers]
                assert all(isinstance(one.decision, outcome) for _, one in page.passengers)
            names = [name for name, _ in found[before:]]
            assert names == sorted(names)
        assert sorted(name for name, _ in found) == sorted(expected)
        assert dict(found) == expected


async def test_where_one_in_many_migrates_pages_are_short_and_the_walk_still_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passengers, "ACTORS", 100)
    await world.propose("v1", DIGITS)
    lives = {f"a{number:04}": f"{number % 5}" for number in range(1_000)}
    await populate(world, lives | {"a0555": "9"})
    version = target(DIGITS, "9")
    pages = [page async for page in walked(world, version, Migrate, 10)]
    ends = [f"a0{hundred}99" for hundred in range(10)]
    assert [name for page in pages for name, _ in page.passengers] == ["a0555"]
    assert [page.last for page in pages] == [*ends, None]
    staying = [page async for page in walked(world, version, Stay, 1_000)]
    assert [len(page.passengers) for page in staying] == [100] * 5 + [99] + [100] * 4 + [0]


READ = """
select relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) as rows
  from pg_stat_xact_user_tables where schemaname = 'statekeep'
"""


async def read(connection: AsyncConnection) -> dict[str, int]:
    """Return how many rows of each table this process of Postgres has read of late, this transaction included."""
    return {row.relname: row.rows for row in await connection.execute(sa.text(READ))}


async def test_a_page_reads_its_own_actors_and_their_histories_and_no_others(world: World) -> None:
    await world.propose("v1", DIGITS)
    await populate(world, {f"a{number:04}": f"{number:03}" for number in range(1_000)})
    await world.analyze()
    version, above = target(NO_SEVENS, ""), await parent(world)

    async def work(connection: AsyncConnection) -> tuple[passengers.Page, Walk, dict[str, int]]:
        walk, before = Walk(version), await read(connection)
        page = await passengers.page(
            connection, walk, above, Migrate, after=ActorId("a0200"), limit=10
        )
        now = await read(connection)
        return page, walk, {table: rows - before[table] for table, rows in now.items()}

    page, walk, rows = await world.database.read(work)
    assert [name for name, _ in page.passengers] == [f"a02{number:02}" for number in range(1, 11)]
    assert page.last == "a0210"
    histories = await world.rows("select id from history")
    assert len(histories) > 1_000
    assert sum(row.id in walk for row in histories) == 11 + 4  # root, 2, 20 and 21
    assert rows["actor"] == rows["cohort"] == 11
    assert rows["history"] < 100


@pytest.mark.parametrize(
    ("events", "each"), [(1, 1), (40, 1), (79, 1), (80, 2), (100, 2), (200, 5)]
)
async def test_a_page_reads_only_so_many_events_and_one_history_in_any_case(
    world: World, monkeypatch: pytest.MonkeyPatch, events: int, each: int
) -> None:
    monkeypatch.setattr(passengers, "EVENTS", events)
    await world.propose("v1", DIGITS)
    await populate(world, {f"a{number}": f"{number}" * 40 for number in range(5)})
    pages = [page async for page in walked(world, target(DIGITS, ""), Migrate, 10)]
    sizes = [len(page.passengers) for page in pages if page.passengers]
    assert sizes == [each] * (5 // each) + [5 % each] * (5 % each > 0)


async def test_a_long_history_behind_others_is_left_to_the_next_page(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passengers, "EVENTS", 10)
    monkeypatch.setattr(passengers, "AT_ONCE", 2)
    await world.propose("v1", DIGITS)
    await populate(world, {"a": "1", "b": "2", "c": "3" * 40, "d": "4"})
    pages = [page async for page in walked(world, target(DIGITS, ""), Migrate, 10)]
    assert [[name for name, _ in page.passengers] for page in pages] == [["a", "b"], ["c"], ["d"]]


async def test_who_came_after_a_deployment_fills_pages_but_is_passed_over_one_page_at_a_time(
    world: World,
) -> None:
    await world.propose("v1", LOAN_1)
    for name in ("b", "c"):
        await world.spawn(name, "v1", "START", "PAY")
    await world.propose("v2", LOAN_2, parent="v1", path=["START"])
    done = await world.apply("v2")
    assert isinstance(done, Deployment)
    late = [f"a{number:02}" for number in range(25)]
    for name in late:
        await world.spawn(name, "v1", "START", "PAY")
    await world.propose("v3", LOAN_2, parent="v1")
    await world.apply("v3")
    pages = await leafed(world, audit.of_deployment_by_actor, done, 10)
    assert [page.last for page in pages] == ["a09", "a19", None]
    assert [[name for name, _ in page.decisions] for page in pages] == [[], [], ["b", "c"]]


async def test_decisions_that_concern_nobody_are_passed_over_one_page_at_a_time(
    world: World,
) -> None:
    """Each place that an actor has left is a cohort without anybody, of which something is decided."""
    await world.propose("v1", DIGITS)
    await world.spawn("a", "v1", *("0" * 23))
    await world.propose("v2", DIGITS, parent="v1")
    done = await world.apply("v2")
    assert isinstance(done, Deployment)
    assert await world.count("decision") == 24
    pages = await leafed(world, audit.of_deployment, done, 10)
    assert [[(one.events, n) for one, n in page.decisions] for page in pages] == [[], [], [(23, 1)]]

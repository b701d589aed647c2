"""Many at once: nothing is lost, nothing happens twice, and a deployment falls between two events."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.conftest import KEYS
from tests.store.conftest import World
from tests.store.definitions import LOAN_1
from tests.store.model import Model, ModelActor, ModelVersion, fingerprint

from statekeep.engine.errors import StoreUnavailable
from statekeep.engine.ids import VersionName
from statekeep.engine.json import JsonObject
from statekeep.engine.routing.policy import MigrationPolicy, UnhandledEvents
from statekeep.engine.store import versions
from statekeep.engine.store.database import ATTEMPTS, connect
from statekeep.engine.store.deployments import Deployment, NotShown
from statekeep.engine.store.events import Answer, Event
from statekeep.engine.store.spawning import Spawned

RING: JsonObject = {
    "initial": "p",
    "states": {
        "p": {"on": {"A": "q", "B": "p"}},
        "q": {"on": {"A": "p", "B": "r"}},
        "r": {"on": {"A": "q", "C": "r"}},
    },
}
LONGER: JsonObject = {
    "initial": "p",
    "states": {
        "p": {"on": {"A": "q", "B": "s"}},
        "q": {"on": {"A": "s", "B": "r"}},
        "r": {"on": {"A": "q"}},
        "s": {"on": {"A": "p", "B": "p"}},
    },
}
"""Another way round, and nobody handles ``C``."""

SKIP = MigrationPolicy(unhandled_events=UnhandledEvents.SKIP)

FAMILY = [
    ModelVersion("v2", LONGER, "v1", ("A",)),
    ModelVersion("v3", RING, "v2", ("**", "B")),
    ModelVersion("v4", RING, "v1"),
    ModelVersion("v5", LONGER, "v3", (), SKIP),
]


@pytest.fixture
async def worlds(world: World, database_url: str) -> AsyncIterator[Sequence[World]]:
    """Three processes on one database, as far as the database can tell."""
    others = [World(connect(database_url, KEYS, pool_size=4)) for _ in range(2)]
    yield [world, *others]
    for other in others:
        await other.database.close()


async def test_batches_over_the_same_actors_lose_nothing(worlds: Sequence[World]) -> None:
    first = worlds[0]
    for machine in ("m1", "m2"):
        await first.propose(machine, RING, machine=machine)
    names = [f"a{number}" for number in range(12)]
    for number, name in enumerate(names):
        await first.spawn(name, "m1" if number % 2 else "m2")
    chance = random.Random(7)

    async def send(world: World) -> list[tuple[Event, Answer]]:
        events = [world.event(chance.choice(names), chance.choice("ABC")) for _ in range(40)]
        outcomes = await world.process(*events)
        answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
        return list(zip(events, answers, strict=True))

    batches = await asyncio.gather(*(send(world) for world in list(worlds) * 4))
    sent = [pair for batch in batches for pair in batch]
    for name in names:
        taken = {a.seq: e.type for e, a in sent if e.actor_id == name and a.handled}
        log = await first.log(name)
        assert [(one.seq, one.event_type) for one in log] == sorted(taken.items())
        assert [one.seq for one in log] == list(range(1, len(log) + 1))
        assert sum(a.handled for e, a in sent if e.actor_id == name) == len(log)
        assert (await first.actor(name)).fingerprint == fingerprint(one.event_type for one in log)


async def test_a_transaction_that_lost_a_deadlock_is_run_again(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await world.spawn("a", "v1")
    await world.spawn("b", "v1")
    both = asyncio.Barrier(2)
    runs = itertools.count()

    async def lock(first: str, second: str) -> str:
        async def work(connection: AsyncConnection) -> str:
            lock = sa.text("select id from statekeep.actor where id = :id for update")
            await connection.execute(lock, {"id": first})
            if next(runs) < 2:
                await both.wait()
            await connection.execute(lock, {"id": second})
            return first + second

        return await world.database.transact(work)

    assert list(await asyncio.gather(lock("a", "b"), lock("b", "a"))) == ["ab", "ba"]
    assert next(runs) == 3


@pytest.mark.parametrize("way", ["transact", "read"])
async def test_a_transaction_that_loses_every_race_is_told_as_an_outage(
    world: World, way: str
) -> None:
    runs = itertools.count()

    async def lose(connection: AsyncConnection) -> None:
        next(runs)
        await connection.execute(sa.text("do $$ begin raise sqlstate '40P01'; end $$"))

    with pytest.raises(StoreUnavailable, match="lost a race"):
        await getattr(world.database, way)(lose)
    assert next(runs) == ATTEMPTS


@dataclass
class Lull:
    """Traffic that slackens while a deployment is held: it is held as long as kinds of move come up that nobody saw."""

    pause_s: float = 0.0
    """Between two batches of a sender."""

    async def wait(self) -> None:
        await asyncio.sleep(self.pause_s)

    async def applied(self, world: World, name: str) -> Deployment:
        """Apply a version, however often it is held."""
        while not isinstance(result := await world.apply(name), Deployment):
            self.pause_s = 1.5 * self.pause_s or 0.02
        self.pause_s = 0.0
        return result


@dataclass
class Traffic:
    """Actors that come to be and live on while deployments happen."""

    worlds: Sequence[World]
    names: list[str] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(3))
    over: bool = False
    batches: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    lull: Lull = field(default_factory=Lull)

    async def send(self, world: World) -> None:
        while not self.over:
            await self.lull.wait()
            some = self.chance.choices(self.names, k=20)
            outcomes = await world.process(
                *(world.event(name, self.chance.choice("AABBC")) for name in some)
            )
            assert all(isinstance(outcome, Answer) for outcome in outcomes), outcomes
            self.batches.release()

    async def spawn(self, world: World) -> None:
        for number in itertools.count():
            if self.over:
                return
            wish = world.wish(f"young{number}", "m", by_machine=True)
            assert isinstance(await world.ask(wish), Spawned)
            self.names.append(wish.actor_id)

    async def deploy(self, world: World) -> list[Deployment]:
        """Apply the family one after the other, each while batches go on."""
        done: list[Deployment] = []
        for version in FAMILY:
            for _ in range(6):
                await self.batches.acquire()
            await world.propose(
                version.name,
                version.definition,
                parent=version.parent,
                path=version.path,
                policy=version.policy,
            )
            done.append(await self.lull.applied(world, version.name))
        for _ in range(6):
            await self.batches.acquire()
        self.over = True
        return done


async def test_events_and_spawns_during_deployments_end_as_if_one_after_the_other(
    worlds: Sequence[World],
) -> None:
    world = worlds[0]
    await world.propose("v1", RING)
    for number in range(30):
        await world.spawn(f"a{number}", "v1")
    traffic = Traffic(worlds, [f"a{number}" for number in range(30)])
    async with asyncio.TaskGroup() as group:
        deploying = group.create_task(traffic.deploy(world))
        group.create_task(traffic.spawn(worlds[1]))
        for one in list(worlds) * 2:
            group.create_task(traffic.send(one))
    deployments = deploying.result()
    assert [deployment.epoch for deployment in deployments] == [1, 2, 3, 4]
    model = Model({"v1": ModelVersion("v1", RING, None)} | {v.name: v for v in FAMILY})
    for name in traffic.names:
        await agrees_with_its_log(world, model, name)
    [(counted,)] = await world.rows("select count(*) from actor")
    assert counted == len(traffic.names)
    for deployment in deployments:
        moved = deployment.migrated + deployment.stayed + deployment.needs_rescue
        [(actors,)] = await world.rows(
            "select coalesce(sum(actors), 0) from tally where deployment_id = :id",
            {"id": deployment.id},
        )
        assert actors == moved


async def agrees_with_its_log(world: World, model: Model, name: str) -> None:
    """Replay one actor's log through the deployments that came between its events."""
    [(spawn_epoch,)] = await world.rows(
        "select spawn_epoch from actor where id = :id", {"id": name}
    )
    rows = await world.rows(
        "select h.event_type, e.epoch, e.seq, v.name, c.value from event e join actor a on a.key = e.actor_key"
        " join history h on h.id = e.history_id join configuration c on c.id = e.configuration_id"
        " join version v on v.id = c.version_id where a.id = :id order by e.seq",
        {"id": name},
    )
    order = [version.name for version in FAMILY]
    actor = ModelActor(["v1", *order][spawn_epoch] if name.startswith("young") else "v1")
    ahead = list(rows)
    for epoch in range(spawn_epoch, len(order) + 1):
        if epoch > spawn_epoch and model.versions[order[epoch - 1]].parent == actor.version:
            model.rule(order[epoch - 1], actor, None)
        while ahead and ahead[0].epoch == epoch:
            row = ahead.pop(0)
            actor.events.append(row.event_type)
            assert row.seq == len(actor.events)
            stood = model.where(actor)
            assert (row.name, row.value) == (actor.version, f'"{stood.value}"')
    assert not ahead
    assert await world.place(name) == (actor.version, model.where(actor).value)
    assert [(d.version, d.reason, d.fingerprint) for d in await world.decisions(name)] == [
        (ruling.version, ruling.reason, ruling.fingerprint) for ruling in actor.rulings
    ]


async def test_an_actor_asked_for_by_machine_is_never_left_behind(worlds: Sequence[World]) -> None:
    """Whoever is spawned on the old version was there when the deployment looked."""
    world = worlds[0]
    await world.propose("v0", LOAN_1)
    for round_ in range(1, 6):
        await world.propose(f"v{round_}", LOAN_1, parent=f"v{round_ - 1}")
        wishes = [world.wish(f"a{round_}-{n}", "m", by_machine=True) for n in range(30)]
        await asyncio.gather(
            *(one.ask(wish) for one, wish in zip(itertools.cycle(worlds), wishes, strict=False)),
            applied(worlds[2], f"v{round_}"),
        )
        rows = await world.rows(
            "select v.name, count(*) from actor a join cohort c on c.id = a.cohort_id"
            " join version v on v.id = c.version_id group by v.name"
        )
        assert [tuple(row) for row in rows] == [(f"v{round_}", 30 * round_)]


async def applied(world: World, name: str) -> None:
    while not isinstance(await world.apply(name), Deployment):
        pass  # an actor came in between whose kind of move was not shown


async def test_a_version_is_either_withdrawn_or_applied(worlds: Sequence[World]) -> None:
    await worlds[0].propose("v1", LOAN_1)
    await worlds[0].spawn("a", "v1", "START")
    ends = set()
    for round_ in range(8):
        name = f"v2-{round_}"
        await worlds[0].propose(name, LOAN_1, parent="v1", path=["NEVER"])
        shown = (await worlds[0].preview(name)).id
        result, gone = await asyncio.gather(
            worlds[1].apply(name, shown),
            worlds[2].database.transact(
                lambda connection, name=name: versions.withdraw(  # type: ignore[misc]
                    connection, worlds[2].namespace, VersionName(name)
                )
            ),
        )
        assert isinstance(result, NotShown) if gone else isinstance(result, Deployment)
        ends.add(gone)
    assert ends <= {True, False}

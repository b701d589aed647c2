"""Many callers at once: nothing fails, nothing is lost, everything has an order."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import psycopg
import pytest
from tests.api.conftest import Site, together
from tests.api.definitions import COUNTER

from statekeep.controller.api import batcher, server
from statekeep.controller.api.app import create
from statekeep.engine.history.fingerprint import fingerprint, show
from statekeep.engine.store.locks import MACHINE_SPACE


async def test_events_from_fifty_connections_for_one_actor_come_one_after_another(
    site: Site,
) -> None:
    await site.declare("counter", COUNTER)
    await site.spawn("n", "counter")

    async def caller(number: int) -> list[int]:
        sent = [await site.send("n", "ABC"[number % 3], data=number) for _ in range(3)]
        assert {reply.status for reply in sent} == {200}
        return [reply.body["seq"] for reply in sent]

    seqs = await together(*(caller(number) for number in range(50)))
    assert all(mine == sorted(mine) for mine in seqs)
    assert sorted(seq for mine in seqs for seq in mine) == list(range(1, 151))
    log = await site.pages("/v1/actors/n/events", "events", limit=40)
    assert [one["seq"] for one in log] == list(range(1, 151))
    assert all(one["seq"] in seqs[one["data"]] for one in log)
    types = [one["type"] for one in log]
    assert (await site.actor("n"))["fingerprint"] == show(fingerprint(types))
    assert log[99]["fingerprint"] == show(fingerprint(types[:100]))


async def test_many_actors_may_go_ways_that_nobody_has_gone_all_at_once(site: Site) -> None:
    await site.declare("counter", COUNTER)
    names = [f"n{number}" for number in range(60)]
    await together(*(site.spawn(name, "counter") for name in names))
    draw = random.Random(7)
    ways = {name: draw.choices("ABC", k=4) for name in names}

    async def go(name: str) -> None:
        for seq, event_type in enumerate(ways[name], 1):
            reply = await site.send(name, event_type)
            assert (reply.status, reply.body["seq"]) == (200, seq)

    await together(*(go(name) for name in names))
    for name in names:
        assert (await site.actor(name))["fingerprint"] == show(fingerprint(ways[name]))


MANY = 30
"""More than a process has connections."""


@asynccontextmanager
async def held(site: Site, url: str) -> AsyncIterator[None]:
    """Hold a machine, as a deployment does while it rewrites a large one; there is another one that is free."""
    for machine in ("held", "free"):
        await site.declare(f"{machine}-1", COUNTER, machine=machine)
        for number in range(3):
            await site.spawn(f"{machine}-{number}", f"{machine}-1")
    async with await psycopg.AsyncConnection.connect(url) as holder:
        lock = "select pg_advisory_xact_lock(%s, id) from statekeep.machine where name = 'held' and namespace = %s"
        await holder.execute(lock, (MACHINE_SPACE, site.namespace))
        yield


async def test_whoever_waits_for_a_machine_that_is_held_holds_up_nobody_else(
    site: Site, shared_url: str
) -> None:
    """Here nobody lets go until all others are through."""
    async with AsyncExitStack() as holding:
        await holding.enter_async_context(held(site, shared_url))
        sent = [asyncio.create_task(site.send(f"held-{n % 3}", "A")) for n in range(MANY)]
        arrays = [
            asyncio.create_task(site.batch([{"actor": f"{of}-0", "type": "B"} for of in mixed]))
            for mixed in (("held",), ("free", "held"), ("held", "free", "held"))
            for _ in range(4)
        ]
        spawned = [
            asyncio.create_task(site.post("/v1/actors", {"id": f"new-{n}", "version": "held-1"}))
            for n in range(MANY)
        ]
        keyed = asyncio.create_task(
            site.post("/v1/actors", {"version": "held-1"}, headers={"Idempotency-Key": "once"})
        )
        async with asyncio.timeout(30):
            for number in range(20):
                assert (await site.send("free-1", "A")).body["seq"] == number + 1
                [answer] = await site.batch([{"actor": "free-2", "type": "A"}])
                assert answer["seq"] == number + 1
                await site.spawn(f"other-{number}", "free-1")
        assert not any(task.done() for task in (*sent, *arrays, *spawned, keyed))
        assert (await site.actor("held-0"))["seq"] == 0
    assert {reply.status for reply in await asyncio.gather(*sent)} == {200}
    assert {reply.status for reply in await asyncio.gather(*spawned, keyed)} == {201}
    answers = [answer for array in await asyncio.gather(*arrays) for answer in array]
    assert all(answer["handled"] for answer in answers)
    # Ten single ones, and four arrays with one, one and two of them.
    assert (await site.actor("held-0"))["seq"] == MANY // 3 + 4 * (1 + 1 + 2)
    assert (await site.actor("held-1"))["seq"] == MANY // 3
    assert 'outcome="Busy"' not in (await site.get("/metrics")).raw.decode()


async def test_what_waits_for_a_machine_leaves_room_for_the_others_of_its_namespace(
    site: Site, shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batcher, "MAX_ASIDE", 5)
    async with AsyncExitStack() as holding:
        await holding.enter_async_context(held(site, shared_url))
        sent = [
            asyncio.create_task(
                site.session.post(f"{site.url}/v1/actors/held-0/events", json={"type": "A"})
            )
            for _ in range(12)
        ]
        async with asyncio.timeout(30):
            await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result().status for task in sent if task.done()} == {503}
    statuses = [reply.status for reply in await asyncio.gather(*sent)]
    assert 503 in statuses
    assert statuses.count(200) == (await site.actor("held-0"))["seq"] >= 5


async def test_a_server_stops_though_a_machine_is_held(
    site: Site, shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What still waited was not done, and is not done later."""
    monkeypatch.setattr(server, "SHUTDOWN_S", 1.0)
    async with held(site, shared_url), asyncio.timeout(30), aiohttp.ClientSession() as session:
        async with server.listening(create(site.database, site.namespace), "127.0.0.1", 0) as url:
            sent = [
                asyncio.create_task(
                    session.post(f"{url}/v1/actors/held-0/events", json={"type": "A"})
                )
                for _ in range(5)
            ]
            await asyncio.sleep(0.5)
        done = await asyncio.gather(*sent, return_exceptions=True)
        assert all(isinstance(one, aiohttp.ClientError) for one in done), done
    assert (await site.send("held-0", "A")).body["seq"] == 1


async def test_context_patches_at_once_are_all_applied(site: Site) -> None:
    await site.declare("counter", COUNTER)
    await site.spawn("n", "counter")
    await together(*(site.send("n", "A", context={f"k{n}": n}) for n in range(40)))
    assert (await site.actor("n"))["context"] == {f"k{n}": n for n in range(40)}


async def test_with_if_match_exactly_one_of_many_writers_wins_each_round(site: Site) -> None:
    await site.declare("counter", COUNTER)
    await site.spawn("n", "counter")
    for seq in range(3):
        replies = await together(
            *(site.send("n", "A", {"If-Match": f'"{seq}"'}) for _ in range(20))
        )
        assert sorted(reply.status for reply in replies) == [200] + [412] * 19


async def test_batches_over_the_same_actors_in_any_order_do_not_wait_in_a_circle(
    site: Site,
) -> None:
    await site.declare("counter", COUNTER)
    names = [f"n{number}" for number in range(12)]
    for name in names:
        await site.spawn(name, "counter")
    draw = random.Random(11)
    batches = [draw.sample(names, k=len(names)) for _ in range(20)]
    answers = await together(
        *(site.batch([{"actor": n, "type": draw.choice("ABC")} for n in one]) for one in batches)
    )
    assert all(result["handled"] for results in answers for result in results)
    for name in names:
        log = await site.pages(f"/v1/actors/{name}/events", "events")
        assert [one["seq"] for one in log] == list(range(1, 21))


async def test_actors_that_come_and_go_while_a_version_is_applied_end_in_one_place_each(
    site: Site,
) -> None:
    async def live(number: int) -> str:
        name = f"n{number}"
        assert (await site.post("/v1/actors", {"id": name, "version": "v1"})).status == 201
        for event_type in ("START", "PAY" if number % 2 else "WAIVE", "NOTE"):
            assert (await site.send(name, event_type)).status == 200
        return name

    async def migrate() -> None:
        """Until it is applied: somebody may have paid since the preview, which showed no such move."""
        while "migration" not in (await site.get("/v1/versions/v2")).body:
            await site.migrate()

    names, _ = await together(together(*(live(number) for number in range(40))), migrate())
    migration = (await site.get("/v1/versions/v2")).body["migration"]
    moved = [name for name in names if (await site.actor(name))["version"] == "v2"]
    assert len(moved) == migration["migrated"]
    for name in moved:
        [decision] = (await site.get(f"/v1/actors/{name}/decisions")).body["decisions"]
        assert (decision["outcome"], decision["after"]["state"]) == ("Migrate", "income")

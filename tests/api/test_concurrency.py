"""Many callers at once: nothing fails, nothing is lost, everything has an order."""

import asyncio
import random

import psycopg
from tests.api.conftest import Site, together
from tests.api.definitions import COUNTER

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


async def test_events_for_a_machine_that_is_held_wait_and_hold_up_nobody(
    site: Site, shared_url: str
) -> None:
    """As while a deployment rewrites a large one: here nobody lets go until the others are through."""
    for machine in ("held", "free"):
        await site.declare(f"{machine}-1", COUNTER, machine=machine)
        for number in range(3):
            await site.spawn(f"{machine}-{number}", f"{machine}-1")
    async with await psycopg.AsyncConnection.connect(shared_url) as holder:
        lock = "select pg_advisory_xact_lock(%s, id) from statekeep.machine where name = 'held' and namespace = %s"
        await holder.execute(lock, (MACHINE_SPACE, site.namespace))
        waiting = [
            asyncio.create_task(site.send(f"held-{number % 3}", "A")) for number in range(30)
        ]
        async with asyncio.timeout(20):
            for number in range(30):
                assert (await site.send(f"free-{number % 3}", "A")).body["seq"] == number // 3 + 1
            answered = await together(*(site.send(f"free-{number}", "B") for number in range(3)))
            assert {reply.status for reply in answered} == {200}
        assert not any(task.done() for task in waiting)
        assert (await site.actor("held-0"))["seq"] == 0
    replies = await asyncio.gather(*waiting)
    assert {reply.status for reply in replies} == {200}
    for number in range(3):
        assert sorted(reply.body["seq"] for reply in replies[number::3]) == list(range(1, 11))
    text = (await site.get("/metrics")).raw.decode()
    assert 'outcome="Busy"' not in text
    assert 'statekeep_api_events_total{outcome="Handled"} 63.0' in text


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

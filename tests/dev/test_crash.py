"""Killed at any moment: what was acknowledged is there, what was not can be sent again, nothing is halved."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
from tests.dev.calls import get
from tests.dev.conftest import manifest
from tests.dev.process import Dev, gone

from statekeep.controller.dev import postgres

COUNTER: Any = {
    "id": "counter",
    "initial": "on",
    "states": {"on": {"on": {"A": {}, "B": {}, "C": {}}}},
}


@pytest.fixture
def counters(home: Path) -> Path:
    """A folder with a machine that takes every A, B and C."""
    (home / "manifests").mkdir()
    (home / "manifests" / "v1.yaml").write_text(manifest("v1", COUNTER, machine="counter"))
    return home


class Clients:
    """Clients that lose their server now and then, and say the same again to the next one."""

    def __init__(self) -> None:
        self.url = ""
        self.answered = 0
        self.restarted = asyncio.Condition()

    async def post(self, session: aiohttp.ClientSession, path: str, body: object) -> Any:
        """Post until there is an answer."""
        while True:
            url = self.url
            try:
                async with session.post(url + path, json=body) as response:
                    document = await response.json(content_type=None)
                    if response.status < 500:
                        self.answered += 1
                        return document
            except aiohttp.ClientError:
                pass
            async with self.restarted, asyncio.timeout(120):
                await self.restarted.wait_for(lambda url=url: self.url != url)  # type: ignore[misc]

    async def met(self, url: str) -> None:
        """Tell them where the next server is."""
        async with self.restarted:
            self.url = url
            self.restarted.notify_all()


@asynccontextmanager
async def _sessions() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


async def _lives(clients: Clients, session: aiohttp.ClientSession, number: int) -> int:
    """Spawn an actor and send it twelve events, each with a key; return how many it has taken."""
    name = f"n{number}"
    actor = await clients.post(session, "/v1/actors", {"id": name, "version": "v1"})
    assert actor["id"] == name, actor
    for turn in range(1, 13):
        body = {"type": "ABC"[turn * number % 3], "data": turn, "id": f"turn-{turn}"}
        answer = await clients.post(session, f"/v1/actors/{name}/events", body)
        assert answer["seq"] == turn, answer
    return 12


async def test_nothing_acknowledged_is_lost_and_nothing_is_doubled(counters: Path) -> None:
    draw = random.Random()
    clients = Clients()
    dev = await asyncio.to_thread(Dev, counters)
    await asyncio.to_thread(dev.line, "v1: Applied")
    await clients.met(dev.url)
    async with _sessions() as session:
        living = [asyncio.create_task(_lives(clients, session, number)) for number in range(24)]
        for unplugged in (False, True, False):
            enough = clients.answered + draw.randint(20, 90)
            while clients.answered < enough and not all(one.done() for one in living):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            children = dev.children()
            if unplugged:
                for process in children:
                    process.kill()
            await asyncio.to_thread(dev.kill)
            dev = await asyncio.to_thread(Dev, counters)
            await asyncio.to_thread(gone, children)
            await clients.met(dev.url)
        assert await asyncio.gather(*living) == [12] * 24
    assert get(f"{dev.url}/v1/versions/v1")["actors"] == 24
    for number in range(24):
        log = get(f"{dev.url}/v1/actors/n{number}/events")["events"]
        assert [(one["seq"], one["data"]) for one in log] == [(n, n) for n in range(1, 13)]
    assert await asyncio.to_thread(dev.stop) == 0
    assert "Traceback" not in dev.output


CONSISTENT = """
select v.name, v.applied_at is not null, d.id is not null,
       d.migrated, d.stayed + d.needs_rescue,
       (select sum(t.actors) from statekeep.tally t where t.deployment_id = d.id),
       (select count(*) from statekeep.actor a join statekeep.cohort c on c.id = a.cohort_id
         where c.version_id = v.id)
  from statekeep.version v left join statekeep.deployment d on d.version_id = v.id
 order by v.id
"""
"""Of each version: whether it is applied, whether it has a deployment, whom that moved and left,
how many actors its decisions concerned, and how many actors are on the version."""


def _check(home: Path, crowd: int) -> int:
    """Look into the database while no server runs; return how many versions are applied.

    The actors of the last one may not have been counted yet.
    """
    server = postgres.start(home / ".statekeep" / "postgres")
    try:
        with psycopg.connect(server.url) as connection:
            rows = connection.execute(CONSISTENT).fetchall()
    finally:
        server.close()
    applied = [row for row in rows if row[1]]
    for row in rows[1:]:
        _, is_applied, is_deployed, *numbers, _ = row
        assert is_applied == is_deployed, row
        uncounted = [None, None, None], [None, None, crowd]
        if not is_applied:
            assert numbers == [None, None, None], row
        elif row is not applied[-1] or numbers not in uncounted:
            assert numbers == [crowd, 0, crowd], row
    assert [row[6] for row in applied] == [0] * (len(applied) - 1) + [crowd]
    assert all(row[6] == 0 for row in rows if not row[1])
    return len(applied)


async def test_a_deployment_that_is_killed_has_happened_or_has_not(counters: Path) -> None:
    crowd = 120
    draw = random.Random()
    dev = await asyncio.to_thread(Dev, counters)
    await asyncio.to_thread(dev.line, "v1: Applied")
    clients = Clients()
    await clients.met(dev.url)
    async with _sessions() as session:

        async def come(number: int) -> None:
            body = {"id": f"n{number}", "version": "v1"}
            await clients.post(session, "/v1/actors", body)

        await asyncio.gather(*(come(number) for number in range(crowd)))
        events = [
            {"actor": f"n{number}", "type": draw.choice("ABC")}
            for _ in range(6)
            for number in range(crowd)
        ]
        await clients.post(session, "/v1/events", events)

    for number in range(2, 5):
        latest = manifest(f"v{number}", COUNTER, parent=f"v{number - 1}", approval="Automatic")
        (counters / "manifests" / f"v{number}.yaml").write_text(latest)
        await asyncio.sleep(draw.uniform(0.1, 0.9))  # any moment around the deployment is as good
        await asyncio.to_thread(dev.kill)
        assert await asyncio.to_thread(_check, counters, crowd) in (number - 1, number)
        dev = await asyncio.to_thread(Dev, counters)
        await asyncio.to_thread(dev.line, f"v{number}: Applied")
    for number in (2, 3, 4):
        done = get(f"{dev.url}/v1/versions/v{number}")["migration"]
        assert (done["migrated"], done["stayed"], done["needsRescue"]) == (crowd, 0, 0)
    for number in (0, crowd - 1):
        decisions = get(f"{dev.url}/v1/actors/n{number}/decisions")["decisions"]
        assert [one["version"] for one in decisions] == ["v2", "v3", "v4"]
    assert await asyncio.to_thread(dev.stop) == 0
    assert await asyncio.to_thread(_check, counters, crowd) == 4

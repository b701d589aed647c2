"""Writers, deployments, followers that come and go, and servers that are killed: the feed is the log."""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.api.mirror import Mirror, standing
from tests.api.process import Api
from tests.store.conftest import World
from tests.store.test_races import FAMILY, RING, Lull

from statekeep.controller.api.contract import NDJSON
from statekeep.controller.api.streams import SSE
from statekeep.engine.store.database import Database

KEY_LINE = f"test: {base64.b64encode(bytes(range(32))).decode()}\n"

ACTORS = 40

YOUNG = 300
"""Actors that are spawned meanwhile; at the end each one is compared by itself."""


@dataclass
class Turmoil:
    """Two servers, one of which is killed now and then, and everybody who talks to them."""

    home: Path
    database_url: str
    world: World
    session: aiohttp.ClientSession
    servers: list[Api] = field(default_factory=list)
    chance: random.Random = field(default_factory=random.Random)
    names: list[str] = field(default_factory=list)
    sent: int = 0
    over: bool = False
    batches: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    lull: Lull = field(default_factory=Lull)

    def url(self, path: str) -> str:
        return self.chance.choice(self.servers).url + path

    async def post(self, path: str, body: Any) -> Any:
        """Post until somebody answers."""
        while True:
            try:
                async with self.session.post(self.url(path), json=body) as response:
                    if response.status < 500:
                        return await response.json(content_type=None)
            except aiohttp.ClientError:
                await asyncio.sleep(0.02)

    async def write(self) -> None:
        while not self.over:
            await self.lull.wait()
            names = self.chance.choices(self.names, k=self.chance.choice((1, 5, 40)))
            batch = [
                {"actor": name, "type": self.chance.choice("AABBC"), "id": f"{self.sent}-{number}"}
                for number, name in enumerate(names)
            ]
            self.sent += 1
            results = await self.post("/v1/events", batch)
            assert all("handled" in one or one["status"] == 503 for one in results), results
            self.batches.release()

    async def spawn(self) -> None:
        for number in range(YOUNG):
            body = {"id": f"young{number}", "machine": "m"}
            self.names.append((await self.post("/v1/actors", body))["id"])

    async def deploy(self) -> None:
        """Apply one version after the other, and kill a server between them."""
        for version in FAMILY:
            await self.pass_batches(12)
            await self.world.propose(
                version.name,
                version.definition,
                parent=version.parent,
                path=version.path,
                policy=version.policy,
            )
            await self.lull.applied(self.world, version.name)
            await self.pass_batches(self.chance.randint(1, 8))
            await asyncio.to_thread(self.servers.pop().kill)
            self.servers.append(await asyncio.to_thread(Api, self.home, self.database_url))
        await self.pass_batches(12)
        self.over = True

    async def pass_batches(self, number: int) -> None:
        for _ in range(number):
            await self.batches.acquire()


@dataclass
class Follower:
    """Somebody who comes and goes."""

    turmoil: Turmoil
    accept: str
    seen: list[Any] = field(default_factory=list)
    cursor: str | None = None

    async def follow(self) -> None:
        """Read pieces of any length, for ever."""
        while True:
            await self.read(self.turmoil.chance.randint(1, 400))

    async def finish(self) -> None:
        """Read to the end of everything."""
        while not await self.read(None, follow="false"):
            pass

    async def read(self, patience: int | None, **query: str) -> bool:
        """Read some more; return whether the stream came to its end."""
        headers = {"Accept": self.accept}
        if self.cursor is not None:
            headers["Last-Event-ID"] = self.cursor
        try:
            async with self.turmoil.session.get(
                self.turmoil.url("/v1/changes"), params=query, headers=headers
            ) as response:
                assert response.status == 200, await response.text()
                async for line in documents(response):
                    self.cursor = line["cursor"]
                    if line["kind"] != "bookmark":
                        self.seen.append(line)
                        patience = patience and patience - 1
                    if patience == 0:
                        return False
        except aiohttp.ClientError:
            await asyncio.sleep(0.02)
            return False
        return True


async def documents(response: aiohttp.ClientResponse) -> AsyncIterator[Any]:
    """Yield what came over, whichever way; the id of a line of SSE is its cursor."""
    is_sse = response.content_type == "text/event-stream"
    cursor = ""
    async for raw in response.content:
        if not raw.endswith(b"\n"):  # the server was killed while it wrote this line
            raise aiohttp.ClientPayloadError
        if not is_sse:
            yield json.loads(raw)
        elif raw.startswith(b"id: "):
            cursor = raw[4:].decode().strip()
        elif raw.startswith(b"data: "):
            line = json.loads(raw[6:])
            assert line["cursor"] == cursor
            yield line


@pytest.fixture
async def turmoil(tmp_path: Path, database_url: str, database: Database) -> AsyncIterator[Turmoil]:
    world = World(database)
    (tmp_path / "keys").write_text(KEY_LINE)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        turmoil = Turmoil(tmp_path, database_url, world, session)
        for _ in range(2):
            turmoil.servers.append(await asyncio.to_thread(Api, tmp_path, database_url))
        yield turmoil
        for server in turmoil.servers:
            server.kill()


async def test_the_feed_is_the_log_whoever_is_killed_and_whoever_comes_back(
    turmoil: Turmoil,
) -> None:
    world = turmoil.world
    await world.propose("v1", RING)
    for number in range(ACTORS):
        await world.spawn(f"a{number}", "v1")
        turmoil.names.append(f"a{number}")
    followers = [Follower(turmoil, kind) for kind in (NDJSON, SSE, SSE)]
    async with asyncio.timeout(240), asyncio.TaskGroup() as group:
        following = [group.create_task(one.follow()) for one in followers]
        async with asyncio.TaskGroup() as changing:
            changing.create_task(turmoil.deploy())
            changing.create_task(turmoil.spawn())
            for _ in range(4):
                changing.create_task(turmoil.write())
        for task in following:
            task.cancel()
        await asyncio.wait(following)
        for one in followers:
            await one.finish()
    first, *others = (one.seen for one in followers)
    assert all(other == first for other in others)
    mirror = Mirror()
    mirror.take_all(first)
    assert len(set(mirror.cursors)) == len(first)
    await agrees_with_the_database(world, mirror)


async def agrees_with_the_database(world: World, mirror: Mirror) -> None:
    assert set(mirror.actors) == {row.id for row in await world.rows("select id from actor")}
    [(events,)] = await world.rows("select count(*) from event")
    assert events == sum(map(len, mirror.histories.values()))
    for name, line in mirror.actors.items():
        actor = await world.actor(name)
        configuration = actor.configuration
        status = "done" if configuration.done else "active"
        stands = (configuration.version, configuration.label, status, actor.seq, actor.fingerprint)
        assert standing(line) == stands
        assert [one.event_type for one in await world.log(name)] == mirror.histories[name]
        moved = [one.deployment for one in await world.decisions(name) if one.after is not None]
        assert moved == mirror.migrations[name]
    for deployment, number in mirror.moved.items():
        told = [name for name, moves in mirror.migrations.items() if deployment in moves]
        assert len(told) == number
    assert len(mirror.deployments) == len(FAMILY)

"""The real application over real HTTP; whatever a test does, no answer may be a server error."""

import asyncio
import io
import itertools
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import psycopg
import pytest
from sqlalchemy.engine import make_url
from tests.api.definitions import LOAN_1, LOAN_2

from statekeep.controller.api.app import create
from statekeep.controller.api.cursors import Cursors
from statekeep.controller.api.server import listening
from statekeep.controller.dev.postgres import EmbeddedPostgres
from statekeep.controller.manifest.manifest import Approval, Manifest
from statekeep.controller.outcome import Outcome
from statekeep.controller.reconcile import reconcile
from statekeep.engine.ids import MachineName, Namespace, VersionName
from statekeep.engine.json import JsonObject
from statekeep.engine.routing.policy import MigrationPolicy
from statekeep.engine.store.database import Database, connect
from statekeep.engine.store.keyring import KeyRing

KEYS = KeyRing({"test": bytes(range(32))})
PROBLEM = "application/problem+json"
MEMBERS = {"type", "title", "status", "detail"}

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Reply:
    """One answer, its body read."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def detail(self) -> str:
        """What a problem says."""
        return str(self.body["detail"])

    @property
    def kind(self) -> str:
        """What a problem's type ends with."""
        return str(self.body["type"]).rpartition("/")[2]


@dataclass
class Site:
    """One server, one namespace of it, and the shortest way to talk to both."""

    database: Database
    namespace: Namespace
    url: str
    session: aiohttp.ClientSession

    async def call(self, method: str, path: str, **options: Any) -> Reply:
        """Send a request; check that a refusal is a problem (RFC 9457) and no fault of ours."""
        async with self.session.request(method, self.url + path, **options) as response:
            reply = Reply(response.status, response.headers, await response.read())
        assert reply.status < 500, reply
        if reply.status >= 400:
            assert response.content_type == PROBLEM, reply
            assert set(reply.body) >= MEMBERS, reply
            assert reply.body["status"] == reply.status
            assert reply.body["type"].startswith("https://statekeep.io/problems/")
        return reply

    async def cursor_of(self, *position: str | int | None) -> str:
        """Return the cursor that this API would give for a place."""
        return (await self._cursors()).write(self.namespace, *position)

    async def place_of(self, cursor: str) -> Any:
        """Return the place that a cursor stands for."""
        return (await self._cursors()).read(self.namespace, cursor, Any)

    async def _cursors(self) -> Cursors:
        return await Cursors(self.database).ready()

    async def get(self, path: str, **query: str | int) -> Reply:
        return await self.call("GET", path, params=query)

    async def post(self, path: str, body: object, **options: Any) -> Reply:
        return await self.call("POST", path, json=body, **options)

    async def send_raw(self, path: str, raw: bytes, kind: str = "application/json") -> Reply:
        """Post bytes as they are."""
        headers = {"Content-Type": kind}
        return await self.call("POST", path, data=io.BytesIO(raw), headers=headers)

    async def spawn(self, actor_id: str, version: str = "v1", *events: str, **more: Any) -> Any:
        """Spawn an actor and send it events, all of which must be handled."""
        reply = await self.post("/v1/actors", {"id": actor_id, "version": version, **more})
        assert reply.status == 201, reply
        for event_type in events:
            assert (await self.send(actor_id, event_type)).body["handled"], event_type
        return reply.body

    async def send(
        self, actor_id: str, event_type: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Reply:
        """Send one event."""
        path = f"/v1/actors/{actor_id}/events"
        return await self.post(path, {"type": event_type, **more}, headers=headers)

    async def batch(self, events: Iterable[object]) -> list[Any]:
        """Send many events as one JSON array."""
        reply = await self.post("/v1/events", list(events))
        assert reply.status == 200, reply
        results: list[Any] = reply.body
        return results

    async def actor(self, actor_id: str) -> Any:
        """Return an actor that is known to exist."""
        reply = await self.get(f"/v1/actors/{actor_id}")
        assert reply.status == 200, reply
        return reply.body

    async def place(self, actor_id: str) -> tuple[str, str]:
        """Return (version, state) of an actor."""
        actor = await self.actor(actor_id)
        return actor["version"], actor["state"]

    async def pages(self, path: str, key: str, **query: str | int) -> list[Any]:
        """Walk all pages and return their items; no page but an only one is empty for nothing."""
        items: list[Any] = []
        for _ in range(1_000):
            page = (await self.get(path, **query)).body
            items += page[key]
            if "nextCursor" not in page:
                return items
            query["cursor"] = page["nextCursor"]
        raise AssertionError("the pages never end")

    async def declare(
        self,
        name: str,
        definition: JsonObject,
        *,
        parent: str | None = None,
        machine: str | None = None,
        path: Sequence[str] | None = None,
        policy: MigrationPolicy | None = None,
        apply: bool = False,
    ) -> Outcome:
        """Reconcile a version as its manifest would be; a root is applied at once."""
        manifest = Manifest(
            name=VersionName(name),
            namespace=self.namespace,
            definition=definition,
            machine=None if machine is None else MachineName(machine),
            parent_id=None if parent is None else VersionName(parent),
            history_path=None if path is None else tuple(path),
            migration=policy or MigrationPolicy(),
            approval=Approval.AUTOMATIC if apply else Approval.MANUAL,
        )
        return await reconcile(manifest, {}, self.database)

    async def loan(self) -> None:
        """Put ``v1`` of the loan machine in force."""
        await self.declare("v1", LOAN_1, machine="loan")

    async def migrate(self) -> None:
        """Apply ``v2`` to those who paid."""
        await self.declare("v2", LOAN_2, parent="v1", path=["START", "PAY"], apply=True)


@pytest.fixture(scope="session")
def shared_url(embedded: EmbeddedPostgres, template: str) -> str:
    """One database for all these tests: each has a namespace of its own, and must not notice."""
    with psycopg.connect(embedded.url, autocommit=True) as connection:
        connection.execute(f"create database api template {template}")
    return make_url(embedded.url).set(database="api").render_as_string(hide_password=False)


@pytest.fixture
async def site(shared_url: str) -> AsyncIterator[Site]:
    """A server whose namespace holds the first loan version and nobody yet."""
    database = connect(shared_url, KEYS)
    namespace = Namespace(f"test-{next(_numbers)}")
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        listening(create(database, namespace), "127.0.0.1", 0) as url,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        site = Site(database, namespace, url, session)
        await site.loan()
        yield site
    await database.close()


async def together(*calls: Any) -> list[Any]:
    """Make calls at the same time, and return their results in order."""
    return await asyncio.gather(*calls)


@pytest.fixture
async def alone(database_url: str) -> AsyncIterator[Site]:
    """A server on a database that no other test has written to."""
    database = connect(database_url, KEYS)
    async with (
        listening(create(database, Namespace("default")), "127.0.0.1", 0) as url,
        aiohttp.ClientSession() as session,
    ):
        site = Site(database, Namespace("default"), url, session)
        await site.loan()
        yield site
    await database.close()

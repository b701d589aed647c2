"""No token, key or payload is ever logged, whatever goes wrong with the request that carries it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import aiohttp
import psycopg
import pytest
from tests.api.conftest import KEYS, Site
from tests.api.reviews import fake_cluster
from tests.conftest import KEYS as OTHER
from tests.indiscretion import MARKER

from statekeep.controller.access import secret
from statekeep.controller.access.callers import Guard
from statekeep.controller.access.keys import KeyGuard
from statekeep.controller.access.kubernetes import ClusterGuard, Reviews
from statekeep.controller.access.modes import Mode
from statekeep.controller.api import problems
from statekeep.controller.api.app import create
from statekeep.controller.api.server import listening
from statekeep.controller.kubernetes.session import Session
from statekeep.engine.ids import Namespace
from statekeep.engine.store.database import connect
from statekeep.engine.store.keyring import KeyHolder, KeyRing

_NAMESPACE = Namespace("default")

SECRET = MARKER
"""In every payload, context, header value and query of these tests."""

BREAK = """
create function pg_temp_fail() returns trigger language plpgsql as
  $$ begin raise exception 'out of order'; end $$;
create trigger out_of_order before insert on statekeep.event
  for each row execute function pg_temp_fail();
"""


@pytest.fixture
def everything(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    """All that any logger says, at any level, as often as it would."""
    monkeypatch.setattr(problems, "QUIET_S", 0.0)
    caplog.set_level(logging.DEBUG)
    return caplog


async def test_a_request_that_fails_in_the_database_logs_nothing_of_what_it_carries(
    database_url: str, everything: pytest.LogCaptureFixture
) -> None:
    database = connect(database_url, KEYS)
    async with (
        listening(create(database, _NAMESPACE), "127.0.0.1", 0) as url,
        aiohttp.ClientSession() as session,
    ):
        site = Site(database, _NAMESPACE, url, session)
        await site.loan()
        await site.spawn("a")
        with psycopg.connect(database_url) as connection:
            connection.execute(BREAK)
        body = {"type": "START", "data": {"iban": SECRET}, "context": {"iban": SECRET}}
        headers = {"Idempotency-Key": SECRET}
        path = url + "/v1/actors/a/events"
        async with session.post(path, json=body, headers=headers) as response:
            assert response.status == 500
            assert SECRET not in await response.text()
        item = body | {"actor": "a", "id": SECRET}
        async with session.post(url + "/v1/events", json=[item]) as response:
            assert [one["status"] for one in await response.json()] == [500]
    await database.close()
    assert "out of order" in everything.text
    assert "Traceback" in everything.text
    assert SECRET not in everything.text


async def test_bodies_that_cannot_be_used_are_not_logged(
    site: Site, everything: pytest.LogCaptureFixture
) -> None:
    await site.spawn("a")
    path = "/v1/actors/a/events"
    for raw in (
        f'{{"type": "START", "data": "{SECRET}"'.encode(),
        f'{{"type": "START", "dota": "{SECRET}"}}'.encode(),
        f'{{"type": 7, "data": "{SECRET}"}}'.encode(),
        f'{{"type": "START", "data": {"[" * 400}"{SECRET}"{"]" * 400}}}'.encode(),
        json.dumps({"type": "START", "data": SECRET * 2_000_000}).encode(),
        b'{"type": "START", "data": "' + SECRET.encode() + b'\xff"}',
    ):
        assert (await site.send_raw(path, raw)).status >= 400
    large = {"type": "START", "context": {"x": SECRET * 200_000}}
    assert (await site.send_raw(path, json.dumps(large).encode())).status == 409
    assert (await site.get("/v1/actors", state="x", cursor=SECRET)).status == 422
    assert (await site.get("/v1/actors", **{SECRET: 1})).status == 422
    assert SECRET not in everything.text


async def test_a_value_that_does_not_open_is_named_by_its_key_alone(
    site: Site, everything: pytest.LogCaptureFixture
) -> None:
    await site.spawn("a", "v1", context={"iban": SECRET})
    assert (await site.send("a", "START", data={"iban": SECRET})).body["handled"]
    site.database.holder.ring = KeyRing({"other": bytes(32)})
    for path in ("/v1/actors/a", "/v1/actors/a/events"):
        assert (await site.get(path)).status == 200
    async with site.session.get(site.url + "/v1/actors/a/snapshot") as response:
        assert response.status == 500
    assert "key test is not in the key ring" in everything.text
    assert SECRET not in everything.text


async def test_tokens_are_not_logged_whether_they_are_known_or_not(
    site: Site, everything: pytest.LogCaptureFixture
) -> None:
    async with fake_cluster() as cluster:
        session = Session(cluster.login, agent="test")
        away = connect("postgresql://nobody@/nothing?host=/nonexistent", OTHER)
        token = f"{SECRET}.token.{SECRET}"
        cluster.users[f"{token}known"] = ("ann", "statekeep")
        key = secret.new_key()[1]
        for database in (site.database, away):
            posted: dict[Mode, Guard] = {
                Mode.KUBERNETES: ClusterGuard(Reviews(session, "statekeep")),
                Mode.KEYS: KeyGuard(database),
            }
            async with listening(create(database, _NAMESPACE, posted), "127.0.0.1", 0) as url:
                for shown in (token, f"{token}known", key, f"{SECRET}\x80"):
                    headers = {"Authorization": f"Bearer {shown}"}
                    async with site.session.get(url + "/v1/actors", headers=headers) as response:
                        assert response.status in (401, 403, 503)
                        assert shown not in await response.text()
            await cluster.stop()
        await session.close()
        await away.close()
    assert "authorization-unavailable" in everything.text
    assert "database-unavailable" in everything.text
    assert SECRET not in everything.text
    assert key not in everything.text


async def test_a_request_that_is_no_http_is_not_logged(
    site: Site, everything: pytest.LogCaptureFixture
) -> None:
    host, port = site.url.removeprefix("http://").split(":")
    for raw, status in (
        (f"GET /v1/actors HTTP/1.1\r\nAuthorization: Bearer {SECRET}\x01\r\n\r\n", b" 400 "),
        (f"GET /v1/actors HTTP/1.1\r\nAuthorization Bearer {SECRET}\r\n\r\n", b" 400 "),
        (f"{SECRET} {SECRET}\r\n\r\n", b" 400 "),
        (f"GET /v1/actors HTTP/1.1\r\nAuthorization: {SECRET * 5_000}\r\n\r\n", b" 431 "),
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(raw.encode())
        assert status in await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert SECRET not in everything.text


async def test_a_stream_that_breaks_off_is_not_logged(
    site: Site, everything: pytest.LogCaptureFixture
) -> None:
    await site.spawn("a")

    async def lines() -> AsyncIterator[bytes]:
        yield json.dumps({"actor": "a", "type": "START", "data": SECRET}).encode() + b"\n"
        raise ConnectionResetError

    kind = {"Content-Type": "application/x-ndjson"}
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await site.session.post(site.url + "/v1/events", data=lines(), headers=kind)
    assert SECRET not in everything.text


def test_no_key_is_in_what_is_printed_of_it() -> None:
    ring = KeyRing({"test": b"S" * 32})
    for shown in (repr(ring), str(ring), repr(KeyHolder(ring))):
        assert "SSS" not in shown

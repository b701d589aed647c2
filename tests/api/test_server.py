"""Listening, probes, and what happens when the database is not there."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiohttp
import psycopg
import pytest
from tests.api.conftest import KEYS, Site

from statekeep.controller.api.app import create
from statekeep.controller.api.server import AddressRefused, listening
from statekeep.controller.dev.postgres import EmbeddedPostgres
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE
from statekeep.engine.store.database import Database, connect

NOWHERE = "postgresql://nobody@/nothing?host=/nonexistent"


async def test_the_probes_say_yes_where_all_is_well(site: Site) -> None:
    for path in ("/healthz", "/readyz"):
        reply = await site.get(path)
        assert (reply.status, reply.body) == (200, {"status": "ok"})


async def test_without_a_database_the_process_lives_but_is_not_ready() -> None:
    database = connect(NOWHERE, KEYS)
    async with (
        listening(create(database, DEFAULT_NAMESPACE), "127.0.0.1", 0) as url,
        aiohttp.ClientSession() as session,
    ):
        for method, path, body, status, kind in (
            ("GET", "/healthz", None, 200, None),
            ("GET", "/readyz", None, 503, "not-ready"),
            ("GET", "/v1/actors", None, 503, "database-unavailable"),
            ("POST", "/v1/actors", {"version": "v1"}, 503, "database-unavailable"),
            ("POST", "/v1/actors/a/events", {"type": "A"}, 503, "database-unavailable"),
        ):
            async with session.request(method, url + path, json=body) as response:
                assert response.status == status, path
                if kind is not None:
                    assert response.content_type == "application/problem+json"
                    assert (await response.json(content_type=None))["type"].endswith(kind)
                if kind == "database-unavailable":
                    assert response.headers["Retry-After"] == "1"
        path, event = url + "/v1/actors/a/events", {"type": "A"}
        for headers, advice in (
            ({"Idempotency-Key": "k"}, "retry with the same Idempotency-Key"),
            ({}, "where you sent neither, read the actor first"),
        ):
            async with session.post(path, json=event, headers=headers) as response:
                assert (await response.json(content_type=None))["detail"].endswith(advice)
        item = {"actor": "a", "type": "A"}
        async with session.post(url + "/v1/events", json=[item, item]) as response:
            assert [one["status"] for one in await response.json()] == [503, 503]
    await database.close()


async def test_a_database_of_no_release_is_not_ready(embedded: EmbeddedPostgres) -> None:
    database = connect(embedded.url, KEYS)
    async with (
        listening(create(database, DEFAULT_NAMESPACE), "127.0.0.1", 0) as url,
        aiohttp.ClientSession() as session,
        session.get(url + "/readyz") as response,
    ):
        assert response.status == 503
        assert "revision none" in (await response.json(content_type=None))["detail"]
    await database.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
async def test_an_address_that_others_can_reach_is_refused(database: Database, host: str) -> None:
    with pytest.raises(AddressRefused, match=r"listen on 127\.0\.0\.1"):
        async with listening(create(database, DEFAULT_NAMESPACE), host, 0):
            pass


async def test_a_port_that_is_taken_is_refused_with_its_number(
    site: Site, database: Database
) -> None:
    port = int(site.url.rpartition(":")[2])
    with pytest.raises(AddressRefused, match=f"127.0.0.1:{port}.*choose another --port"):
        async with listening(create(database, DEFAULT_NAMESPACE), "127.0.0.1", port):
            pass


async def test_requests_in_flight_are_answered_when_the_server_stops(
    site: Site, shared_url: str
) -> None:
    await site.spawn("a")
    stop = asyncio.Event()
    started: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def serve() -> None:
        async with listening(create(site.database, site.namespace), "127.0.0.1", 0) as url:
            started.set_result(url)
            await stop.wait()

    serving = asyncio.create_task(serve())
    url = await started
    with psycopg.connect(shared_url) as blocker:
        blocker.execute(
            "select from statekeep.actor where namespace = %s for update", [site.namespace]
        )
        second = replace(site, url=url)
        sending = asyncio.create_task(second.send("a", "START"))
        await _until(lambda: _waiters(blocker) == 1)
        stop.set()
        await _until(lambda: _is_closed(url))
        assert not sending.done()
        blocker.rollback()
    reply = await sending
    assert (reply.status, reply.body["seq"]) == (200, 1)
    await serving


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110  (Postgres and the kernel set no asyncio.Event)
            await asyncio.sleep(0.01)


def _waiters(connection: psycopg.Connection[Any]) -> int:
    """Return how many transactions wait for this one."""
    row = connection.execute(
        "select count(*) from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid))"
    ).fetchone()
    assert row is not None
    return int(row[0])


def _is_closed(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False

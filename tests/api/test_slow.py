"""Whoever is slow, silent or many takes nothing from the others, and comes to an end."""

import asyncio
import contextlib
import re
import resource
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import uvloop
from aiohttp import web
from tests.api.conftest import Site
from tests.api.process import Api, ask
from tests.api.raw import connected, everything, statuses

from statekeep.controller.api import connections, requests

HEAD = b"GET /v1/actors HTTP/1.1\r\nHost: a\r\n"
POST = (
    b"POST /v1/actors/a/events HTTP/1.1\r\nHost: a\r\n"
    b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
)
IDLE = 10_000
MOST_BYTES_EACH = 40 * 1024
"""Of memory for an idle connection."""


@contextlib.asynccontextmanager
async def opened(site: Site) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = site.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    yield reader, writer
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def dripped(site: Site, begin: bytes, drop: bytes) -> bytes:
    """Send a beginning and then drop after drop until the server has lost its patience; return what it said."""
    async with opened(site) as (reader, writer):
        writer.write(begin)
        answer = asyncio.ensure_future(reader.readuntil(b'too-slow"'))
        while not answer.done():
            with contextlib.suppress(ConnectionError):
                writer.write(drop)
                await writer.drain()
            await asyncio.wait([answer], timeout=0.02)
        return await answer


def told(said: bytes) -> list[int]:
    """Return the statuses in what a server said, the last body of which may be cut."""
    return [int(status) for status in re.findall(rb"HTTP/1.1 (\d+)", said)]


async def test_a_head_that_drips_is_ended_and_told_so(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.3)
    said = await dripped(site, HEAD, b"X: a\r\n")
    assert told(said) == [408]
    assert (await site.get("/v1/actors")).status == 200


def test_a_head_that_drips_is_ended_on_the_event_loop_of_the_server_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.3)

    async def play() -> bytes:
        runner = connections.Runner(web.Application(), shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            reader, writer = await asyncio.open_connection(*runner.addresses[0])
            writer.write(HEAD)
            try:
                return await asyncio.wait_for(reader.read(), 20)
            finally:
                writer.close()
        finally:
            await runner.cleanup()

    assert told(uvloop.run(play())) == [408]


async def test_the_head_of_a_later_request_is_awaited_no_longer(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.3)
    said = await dripped(site, HEAD + b"\r\n" + HEAD, b"X: a\r\n")
    assert told(said) == [200, 408]


async def test_a_body_that_drips_is_ended_and_told_so(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "BODY_S", 0.3)
    await site.spawn("a")
    said = await dripped(site, POST, b" ")
    assert told(said) == [408]


async def test_a_connection_that_says_nothing_is_not_hurried(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.0)
    async with opened(site) as (reader, writer):
        assert (await site.get("/v1/actors")).status == 200
        writer.write(HEAD + b"Connection: close\r\n\r\n")
        assert statuses(await reader.read()) == [200]


async def test_where_there_is_no_room_the_idle_make_some(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "room", lambda: 10)
    async with contextlib.AsyncExitStack() as stack:
        several = [await stack.enter_async_context(opened(site)) for _ in range(10)]
        reader, writer = several[0]  # the oldest one, used last
        writer.write(HEAD + b"\r\n")
        assert b" 200 " in await reader.readline()
        newer = await stack.enter_async_context(opened(site))
        newer[1].write(HEAD + b"\r\n")
        assert b" 200 " in await newer[0].readline()
        assert await several[1][0].read() == b""
        writer.write(HEAD + b"\r\n")
        assert await reader.readuntil(b"\r\n\r\n")


def test_ten_thousand_idle_connections_leave_room_and_memory(
    tmp_path: Path, database_url: str
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + 1_000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"the system allows {hard} file descriptors, {wanted} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    api = Api(tmp_path, database_url)
    idle: list[socket.socket] = []
    try:
        process = psutil.Process(api.process.pid)
        before = process.memory_info().rss
        while len(idle) < IDLE + 500:
            idle += [connected(api.url) for _ in range(50)]  # as many as may wait to be accepted
            assert ask(f"{api.url}/healthz")[0] == 200
        assert ask(f"{api.url}/v1/actors")[0] == 200
        took = process.memory_info().rss - before
        assert took < IDLE * MOST_BYTES_EACH, took
        # Those that were there longest have made room.
        assert everything(idle[0]) == b""
        assert process.num_fds() < IDLE + connections.SPARE_FILES
    finally:
        for one in idle:
            one.close()
        api.kill()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

"""Bodies that nobody reads to their end: they take no memory, no time, and nobody's answer."""

import asyncio
import contextlib
import gc
import gzip
import time
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
from tests.api.conftest import Site
from tests.api.raw import PATIENCE_S, statuses
from tests.api.test_slow import opened

from statekeep.controller.api.app import MAX_BODY_BYTES

JSON = "application/json"
NDJSON = "application/x-ndjson"
EVENTS = "/v1/actors/a/events"

UPLOADS = 20
MOST_BYTES_LEFT = 5_000_000
"""Of ``UPLOADS`` bodies together; each of them is held with 2 MB or more while it arrives."""

BOMBS = 8
BOMB_MB = 250
MOST_CPU_S = 0.8
"""For ``BOMBS`` of them; unpacking one takes more than a quarter of that."""


def post(path: str, kind: str, length: int, *headers: str) -> bytes:
    """Return the head of a request whose body has so many bytes."""
    lines = (f"POST {path} HTTP/1.1", "Host: a", f"Content-Type: {kind}", *headers)
    return "\r\n".join((*lines, f"Content-Length: {length}", "", "")).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def chunked(path: str, kind: str, *headers: str) -> bytes:
    """Return the head of a request whose body comes in chunks."""
    lines = (f"POST {path} HTTP/1.1", "Host: a", f"Content-Type: {kind}", *headers)
    return "\r\n".join((*lines, "Transfer-Encoding: chunked", "", "")).encode()


@pytest.fixture
def seldom_collected() -> Iterator[None]:
    """Memory is counted, and Python does not look for garbage, as it seldom does in a server."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    yield
    tracemalloc.stop()
    gc.enable()


PACKED = gzip.compress(b" " * 8_000_000)
LINE = b'{"actor": "a", "type": "' + b"x" * 1_900_000
BROKEN = {
    "a body that breaks off": post(EVENTS, JSON, len(PACKED), "Content-Encoding: gzip")
    + PACKED[:-4],
    "a body that cannot be unpacked": post(EVENTS, JSON, len(PACKED), "Content-Encoding: gzip")
    + PACKED[:-4]
    + b"\xff" * 4,
    "a line that breaks off": post("/v1/events", NDJSON, len(LINE) + 1) + LINE,
    "a line whose end is no chunk": chunked("/v1/events", NDJSON) + chunk(LINE) + b"zz\r\n",
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
async def test_what_had_arrived_of_a_broken_body_is_gone_with_its_request(
    site: Site, seldom_collected: None, raw: bytes
) -> None:

    async def upload() -> None:
        async with opened(site) as (_, writer):
            writer.write(raw)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(0.1)

    await upload()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(UPLOADS):
        await upload()
    await asyncio.sleep(0.1)
    after, _ = tracemalloc.get_traced_memory()
    assert after - before < MOST_BYTES_LEFT


async def test_what_is_left_of_a_compressed_body_is_not_unpacked_after_its_answer(
    site: Site,
) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(bytes(1_000_000)) for _ in range(BOMB_MB)]
    bomb = b"".join([*parts, packer.flush()])
    began = time.process_time()
    for _ in range(BOMBS):
        async with opened(site) as (reader, writer):
            writer.write(post("/v1/nothing", JSON, len(bomb), "Content-Encoding: gzip") + bomb)
            assert statuses(await asyncio.wait_for(reader.read(), PATIENCE_S)) == [404]
    assert time.process_time() - began < MOST_CPU_S


async def test_who_still_sends_a_body_that_nobody_reads_gets_the_answer(site: Site) -> None:
    for headers in ((), ("Content-Encoding: gzip",)):
        async with opened(site) as (reader, writer):
            writer.write(post("/v1/nothing", JSON, 3_000_000, *headers))
            await asyncio.sleep(0.1)  # answered by now
            for _ in range(30):
                writer.write(bytes(100_000))
                await writer.drain()
            assert b" 404 " in await asyncio.wait_for(reader.readline(), PATIENCE_S)


async def test_a_compressed_body_that_was_read_whole_keeps_its_connection(site: Site) -> None:
    await site.spawn("a")
    body = gzip.compress(b'{"type": "NOTE"}')
    async with opened(site) as (reader, writer):
        sent = post(EVENTS, JSON, len(body), "Content-Encoding: gzip")
        writer.write((sent + body) * 2 + post(EVENTS, JSON, len(body), "Connection: close") + body)
        assert statuses(await asyncio.wait_for(reader.read(), PATIENCE_S)) == [200, 200, 400]


NOT_A_CHUNK = {
    "no number": b"zz\r\n",
    "a chunk without its end": b"4\r\nabcdef",
}


@pytest.mark.parametrize("bad", NOT_A_CHUNK.values(), ids=NOT_A_CHUNK)
@pytest.mark.parametrize("headers", [(), ("Content-Encoding: deflate",)], ids=["plain", "deflate"])
async def test_what_is_no_chunk_ends_the_body_at_once(
    site: Site, bad: bytes, headers: tuple[str, ...]
) -> None:
    body = b'{"type": "NOTE"}'
    async with opened(site) as (reader, writer):
        writer.write(chunked(EVENTS, JSON, *headers))
        writer.write(chunk(zlib.compress(body) if headers else body))
        await asyncio.sleep(0.1)
        writer.write(bad)
        said = await asyncio.wait_for(reader.read(), PATIENCE_S)
    assert statuses(said) == [400]
    assert b"/broken-body" in said


async def test_what_is_no_chunk_ends_a_stream_of_lines_at_once(site: Site) -> None:
    await site.spawn("a")
    async with opened(site) as (reader, writer):
        writer.write(chunked("/v1/events", NDJSON) + chunk(b'{"actor": "a", "type": "NOTE"}\n'))
        assert b'"seq"' in await asyncio.wait_for(reader.readuntil(b"}\n"), PATIENCE_S)
        writer.write(b"zz\r\n")
        assert b"/broken-body" in await asyncio.wait_for(reader.read(), PATIENCE_S)


async def test_a_packed_body_without_an_end_is_broken_however_it_comes(site: Site) -> None:
    body = zlib.compress(b'{"type": "NOTE"}')[:-6]
    for pause in (0.0, 0.1):
        async with opened(site) as (reader, writer):
            writer.write(post(EVENTS, JSON, len(body), "Content-Encoding: deflate"))
            await asyncio.sleep(pause)
            writer.write(body)
            said = await asyncio.wait_for(reader.read(), PATIENCE_S)
        assert statuses(said) == [400]
        assert b"/broken-body" in said


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip"])
async def test_an_encoding_that_is_not_taken_is_refused_with_those_that_are(
    site: Site, encoding: str
) -> None:
    async with opened(site) as (reader, writer):
        writer.write(post(EVENTS, JSON, 2, f"Content-Encoding: {encoding}") + b"{}")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
        said = await asyncio.wait_for(reader.readuntil(b"}"), PATIENCE_S)
    assert b" 415 " in head
    assert b"Accept-Encoding: gzip, deflate\r\n" in head
    assert b"/unsupported-media-type" in said
    assert b"gzip or deflate" in said


async def test_a_body_that_is_going_to_be_too_long_is_refused_before_any_of_it_came(
    site: Site,
) -> None:
    async with opened(site) as (reader, writer):
        writer.write(post(EVENTS, JSON, MAX_BODY_BYTES + 1))
        assert b" 413 " in await asyncio.wait_for(reader.readline(), PATIENCE_S)
    await site.spawn("a")
    async with opened(site) as (reader, writer):
        writer.write(post("/v1/events", NDJSON, 10 * MAX_BODY_BYTES))
        writer.write(b'{"actor": "a", "type": "NOTE"}\n')
        assert b'"seq"' in await asyncio.wait_for(reader.readuntil(b"}\n"), PATIENCE_S)


async def test_bodies_that_wait_behind_an_answer_without_an_end_take_no_memory(
    site: Site, seldom_collected: None
) -> None:
    await site.spawn("a")
    changes = b"GET /v1/changes?after=now HTTP/1.1\r\nHost: a\r\n\r\n"
    body = gzip.compress(b" " * 250_000)
    behind = post(EVENTS, JSON, len(body), "Content-Encoding: gzip") + body
    async with contextlib.AsyncExitStack() as stack:
        before, _ = tracemalloc.get_traced_memory()
        readers = []
        for number in range(UPLOADS):
            reader, writer = await stack.enter_async_context(opened(site))
            if number % 2:
                writer.write(changes)
                await reader.readuntil(b"\r\n\r\n")
                writer.write(behind * 32)
            else:
                writer.write(changes + behind * 32)
                await reader.readuntil(b"\r\n\r\n")
            readers.append(reader)
        await asyncio.sleep(0.2)
        after, _ = tracemalloc.get_traced_memory()
        assert after - before < MOST_BYTES_LEFT
        await site.send("a", "START")
        for reader in readers:  # and who waits for changes still gets them
            assert await asyncio.wait_for(reader.readuntil(b"}"), PATIENCE_S)


async def test_many_small_requests_may_wait_behind_each_other(site: Site) -> None:
    await site.spawn("a")
    body = b'{"type": "NOTE"}'
    one = post(EVENTS, JSON, len(body)) + body
    last = post(EVENTS, JSON, len(body), "Connection: close") + body
    async with opened(site) as (reader, writer):
        writer.write(one * 99 + last)
        assert statuses(await asyncio.wait_for(reader.read(), PATIENCE_S)) == [200] * 100

"""Many events in one request: each with an outcome of its own, in order."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

import psycopg
import pytest
from tests.api.conftest import Site
from tests.api.definitions import COUNTER

from statekeep.controller.api.batcher import MAX_BATCH
from statekeep.controller.api.events import MAX_ITEMS, MAX_LINE_BYTES

EVENTS = "/v1/events"
NDJSON = "application/x-ndjson"

Sent = TypeVar("Sent")


def event(actor: str, event_type: str, **more: object) -> dict[str, object]:
    return {"actor": actor, "type": event_type, **more}


def lines(*items: object) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


async def _stream(site: Site, raw: bytes) -> list[dict[str, object]]:
    reply = await site.send_raw(EVENTS, raw, NDJSON)
    assert (reply.status, reply.headers["Content-Type"]) == (200, NDJSON)
    return [json.loads(line) for line in reply.raw.splitlines()]


async def test_every_event_is_answered_in_its_place(site: Site) -> None:
    for actor_id in ("a", "b", "c"):
        await site.spawn(actor_id, "v1", "START")
    results = await site.batch([event("b", "PAY"), event("c", "APPROVE"), event("a", "WAIVE")])
    assert [result["id"] for result in results] == ["b", "c", "a"]
    assert [result["handled"] for result in results] == [True, False, True]
    assert await site.batch([]) == []


async def test_events_for_one_actor_keep_their_order(site: Site) -> None:
    story = ("START", "PAY", "UPLOAD", "BACK", "UPLOAD", "APPROVE")
    for actor_id in ("a", "b"):
        await site.spawn(actor_id)
    mixed = [event(actor_id, event_type) for event_type in story for actor_id in ("a", "b")]
    results = await site.batch(mixed)
    assert [result["seq"] for result in results] == [n for n in range(1, 7) for _ in "ab"]
    assert results[-1]["status"] == results[-2]["status"] == "done"
    for actor_id in ("a", "b"):
        log = await site.pages(f"/v1/actors/{actor_id}/events", "events")
        assert tuple(one["type"] for one in log) == story


BAD: list[tuple[object, int]] = [
    ({"actor": "nobody", "type": "PAY"}, 404),
    ({"actor": "a"}, 422),
    ({"type": "PAY"}, 422),
    ({"actor": "a", "type": "xstate.init"}, 422),
    ({"actor": "a", "type": ""}, 422),
    ({"actor": "a\n", "type": "PAY"}, 422),
    ({"actor": "a", "type": "PAY", "id": "\0"}, 422),
    ({"actor": "a", "type": "PAY", "ifSeq": -1}, 422),
    ({"actor": "a", "type": "PAY", "ifSeq": 7}, 412),
    ({"actor": "a", "type": "PAY", "ifSeq": 10**30}, 412),
    ({"actor": "a", "type": "PAY", "strict": "yes"}, 422),
    ({"actor": "a", "type": "APPROVE", "strict": True}, 409),
    ({"actor": "a", "type": "PAY", "colour": "red"}, 422),
    (None, 422),
    (7, 422),
    ("PAY", 422),
    ([], 422),
    ([{"actor": "a", "type": "PAY"}], 422),
]


async def _neighbours(site: Site) -> list[object]:
    """Spawn ``a`` and as many others as there are bad events, and mix events for them with those."""
    await site.spawn("a", "v1", "START")
    mixed: list[object] = []
    for number, (bad, _) in enumerate(BAD):
        await site.spawn(f"good-{number}")
        mixed += [bad, event(f"good-{number}", "START")]
    return mixed


def _check(results: list[dict[str, object]]) -> None:
    assert [result["status"] for result in results[::2]] == [status for _, status in BAD]
    for result in results[::2]:
        assert set(result) >= {"type", "title", "status", "detail"}
    assert all(result["handled"] for result in results[1::2])


async def test_a_bad_item_of_an_array_never_fails_its_neighbours(site: Site) -> None:
    _check(await site.batch(await _neighbours(site)))
    assert await site.place("a") == ("v1", "fee")


async def test_a_bad_line_of_a_stream_never_fails_its_neighbours(site: Site) -> None:
    _check(await _stream(site, lines(*await _neighbours(site))))
    assert await site.place("a") == ("v1", "fee")


async def test_a_line_that_is_not_json_is_one_bad_line(site: Site) -> None:
    await site.spawn("a")
    bad = [b"{", b"\xff", b'{"actor": "a\\ud800"}', b"[" * 5_000, b"x" * (MAX_LINE_BYTES + 10)]
    raw = b"\n".join([*bad, b"", b" \r", lines(event("a", "START"))])
    results = await _stream(site, raw)
    assert [result["status"] for result in results] == [400, 400, 400, 422, 422, "active"]


async def test_a_last_line_needs_no_line_feed_and_a_carriage_return_does_no_harm(
    site: Site,
) -> None:
    await site.spawn("a")
    raw = lines(event("a", "START"), event("a", "PAY")).replace(b"\n", b"\r\n").rstrip()
    assert [result["seq"] for result in await _stream(site, raw)] == [1, 2]
    assert await _stream(site, b"") == []


async def test_a_stream_longer_than_a_transaction_keeps_its_order(site: Site) -> None:
    await site.declare("counter", COUNTER)
    names = [f"n{number}" for number in range(40)]
    for name in names:
        await site.spawn(name, "counter")
    sent = [event(names[number % 40], "ABC"[number % 3], data=number) for number in range(1_010)]
    assert len(sent) > 2 * MAX_BATCH
    results = await _stream(site, lines(*sent))
    assert [(one["id"], one["seq"]) for one in results] == [
        (one["actor"], number // 40 + 1) for number, one in enumerate(sent)
    ]
    log = await site.pages("/v1/actors/n7/events", "events")
    assert [one["data"] for one in log] == list(range(7, 1_010, 40))


async def _cut_in_the_middle(url: str, sending: Awaitable[Sent]) -> Sent:
    """Cut the connection of the batch that waits for an actor's row; return what its sender is told."""
    waiting = "from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid))"
    with psycopg.connect(url) as blocker:
        blocker.execute("select from statekeep.actor for update")
        task = asyncio.ensure_future(sending)
        cut = f"select pg_terminate_backend(pid) {waiting}"
        while not blocker.execute(cut).fetchone():  # noqa: ASYNC110  (Postgres sets no Event)
            await asyncio.sleep(0.01)
        return await task


async def test_no_event_of_an_array_overtakes_one_that_an_outage_lost(
    alone: Site, database_url: str
) -> None:
    await alone.spawn("a", "v1")
    between = [event("nobody", "PAY")] * MAX_BATCH
    sending = alone.batch([event("a", "START"), *between, event("a", "PAY")])
    results = await _cut_in_the_middle(database_url, sending)
    assert [one["status"] for one in results] == [503] * (MAX_BATCH + 2)
    assert await alone.place("a") == ("v1", "idle")


async def test_a_stream_ends_with_an_outage(alone: Site, database_url: str) -> None:
    await alone.spawn("a", "v1")
    between = [event("nobody", "PAY")] * MAX_BATCH
    sending = _stream(alone, lines(event("a", "START"), *between, event("a", "PAY")))
    results = await _cut_in_the_middle(database_url, sending)
    assert {one["status"] for one in results} == {503}
    assert len(results) <= MAX_BATCH + 2
    assert await alone.place("a") == ("v1", "idle")


async def test_a_line_is_answered_before_the_next_one_is_sent(site: Site) -> None:
    await site.spawn("a")
    answers: asyncio.Queue[bytes] = asyncio.Queue()

    async def body() -> AsyncIterator[bytes]:
        for number, event_type in enumerate(("START", "PAY", "UPLOAD"), 1):
            yield lines(event("a", event_type))
            assert json.loads(await answers.get())["seq"] == number

    headers = {"Content-Type": NDJSON}
    async with site.session.post(site.url + EVENTS, data=body(), headers=headers) as response:
        async for line in response.content:
            answers.put_nowait(line)
    assert await site.place("a") == ("v1", "review")


async def test_an_array_of_more_events_than_one_answer_holds_is_422(site: Site) -> None:
    reply = await site.send_raw(EVENTS, b"[" + b"1," * MAX_ITEMS + b"1]")
    assert reply.status == 422
    assert NDJSON in reply.detail


async def test_two_events_of_one_batch_under_one_key_are_one(site: Site) -> None:
    await site.spawn("a")
    twice = [event("a", "START", id="k"), event("a", "START", id="k"), event("a", "PAY", id="k")]
    first, second, other = await site.batch(twice)
    assert first == second
    assert other["status"] == 422
    assert (await site.actor("a"))["seq"] == 1


async def test_a_key_means_each_actor_its_own_event(site: Site) -> None:
    for actor_id in ("a", "b"):
        await site.spawn(actor_id)
    results = await site.batch([event("a", "START", id="k"), event("b", "START", id="k")])
    assert [result["seq"] for result in results] == [1, 1]


async def test_lines_that_came_before_the_caller_vanished_may_count_and_later_ones_never_do(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await site.declare("counter", COUNTER)
    await site.spawn("n", "counter")
    host, port = site.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/namespaces/{site.namespace}/events HTTP/1.1\r\nHost: x\r\n"
    head += f"Content-Type: {NDJSON}\r\nContent-Length: 1000000\r\n\r\n"
    writer.write(head.encode() + lines(*[event("n", "TICK")] * 3) + b'{"actor": "n", "type": "A')
    await writer.drain()
    writer.transport.abort()
    await site.spawn("other", "counter", "A", "B")
    log = await site.pages("/v1/actors/n/events", "events")
    assert {one["type"] for one in log} <= {"TICK"}
    assert not [record for record in caplog.records if record.name.startswith("statekeep")]


@pytest.mark.parametrize("path", ["actors", "events"])
@pytest.mark.parametrize("kind", ["application/json", NDJSON])
async def test_a_body_whose_transfer_is_broken_is_no_fault_of_ours(
    site: Site, caplog: pytest.LogCaptureFixture, path: str, kind: str
) -> None:
    await site.spawn("a")
    host, port = site.url.removeprefix("http://").split(":")
    line = lines(event("a", "START"))
    chunk = b"%x\r\n%s\r\n" % (len(line), line)
    chunked, gzip = "Transfer-Encoding: chunked\r\n", "Content-Encoding: gzip\r\n"
    for transfer, body in (
        (chunked, chunk + b"zz\r\n"),
        (chunked + gzip, chunk + b"0\r\n\r\n"),
        (f"Content-Length: {len(line)}\r\n{gzip}", line),
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /v1/{path} HTTP/1.1\r\nHost: x\r\n{transfer}Content-Type: {kind}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
        answer = await reader.read()
        assert not answer.startswith(b"HTTP/1.1 5"), answer
        assert answer.count(b"HTTP/1.1") <= 1, answer
        writer.close()
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")]

"""Every size has a limit, with a clear refusal behind it; ``docs/api.md`` lists exactly these."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.api.conftest import PROBLEM, Reply, Site
from tests.api.definitions import COUNTER, LOAN_2

from statekeep.controller.api.actors import MAX_PAGE_BYTES
from statekeep.controller.api.app import MAX_BODY_BYTES
from statekeep.controller.api.events import MAX_DATA_BYTES, MAX_ITEMS, MAX_LINE_BYTES
from statekeep.controller.api.problems import MAX_HEAD_BYTES
from statekeep.controller.api.requests import MAX_DEPTH
from statekeep.engine.store.walk import MAX_CONTEXT_BYTES

ACTORS = "/v1/actors"
EVENTS = "/v1/actors/a/events"
DOCS = Path(__file__).parent.parent.parent / "docs" / "api.md"

Attempt = Callable[[Site, int], Awaitable[Reply]]
"""Sends something of that size to a site where actor ``a`` is in ``documents``."""


def nested(levels: int) -> object:
    """Return objects inside each other."""
    value: object = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def sized(total: int) -> dict[str, str]:
    """Return an object that is so many bytes of JSON."""
    return {"a": "x" * (total - len('{"a":""}'))}


async def large(site: Site, path: str, body: object) -> Reply:
    """Post a body that aiohttp's client would not like to take whole."""
    return await site.send_raw(path, json.dumps(body).encode())


def preview(path: list[str]) -> dict[str, object]:
    return {"id": "v2", "parentId": "v1", "historyPath": path, "definition": LOAN_2}


async def _body(site: Site, size: int) -> Reply:
    raw = json.dumps({"type": "NOTE"}).encode()
    return await site.send_raw(EVENTS, raw + b" " * (size - len(raw)))


async def _line(site: Site, size: int) -> Reply:
    raw = json.dumps({"actor": "a", "type": "NOTE"}).encode()
    line = raw + b" " * (size - len(raw))
    return await site.send_raw("/v1/events", line, "application/x-ndjson")


async def _array(site: Site, size: int) -> Reply:
    return await site.send_raw("/v1/events", b"[" + b",".join([b"1"] * size) + b"]")


async def _head(site: Site, size: int) -> Reply:
    return await site.call("GET", "/v1/actors/a", headers={"X-Long": "x" * size})


async def _patch(site: Site, size: int) -> Reply:
    await site.send("a", "NOTE", context={"a": None, "b": ""})
    patch = {"a": "x" * (size - len('{"b": "", "a": ""}'))}
    return await large(site, EVENTS, {"type": "NOTE", "context": patch})


LIMITS: dict[str, tuple[int, int, Attempt]] = {
    "the URL, or one header": (MAX_HEAD_BYTES, 431, _head),
    "a body that is not NDJSON": (MAX_BODY_BYTES, 413, _body),
    "events in an array; NDJSON takes any number": (MAX_ITEMS, 422, _array),
    "a line of NDJSON": (MAX_LINE_BYTES, 422, _line),
    "arrays and objects inside each other": (
        MAX_DEPTH - 2,
        422,
        lambda site, size: site.send("a", "NOTE", data=nested(size)),
    ),
    "an actor's id, of `A–Z a–z 0–9 . _ : @ ~ + = , -`, the first one a letter or digit": (
        253,
        422,
        lambda site, size: site.post(ACTORS, {"id": "x" * size, "version": "v1"}),
    ),
    "the name of a version or machine": (
        253,
        422,
        lambda site, size: site.get(ACTORS, version="x" * size),
    ),
    "an event's type": (
        1_024,
        422,
        lambda site, size: site.send("a", "é" * (size // 2) + "x" * (size % 2)),
    ),
    "an `Idempotency-Key` of printable ASCII": (
        255,
        400,
        lambda site, size: site.send("a", "NOTE", {"Idempotency-Key": f'"{"x" * size}"'}),
    ),
    "an event's `id`": (255, 422, lambda site, size: site.send("a", "NOTE", id="é" * size)),
    "an event's `data`": (
        MAX_DATA_BYTES,
        422,
        lambda site, size: large(site, EVENTS, {"type": "NOTE", "data": sized(size)}),
    ),
    "the context of a spawn": (
        MAX_CONTEXT_BYTES,
        422,
        lambda site, size: large(site, ACTORS, {"version": "v1", "context": sized(size)}),
    ),
    "a context after its patch": (MAX_CONTEXT_BYTES, 409, _patch),
    "elements of a history path": (
        256,
        422,
        lambda site, size: site.post("/v1/previews", preview(["A"] * size)),
    ),
    "an element of a history path": (
        256,
        422,
        lambda site, size: site.post("/v1/previews", preview(["é" * size])),
    ),
    "a cursor": (1_000, 422, lambda site, size: site.get(ACTORS, cursor="W" * size)),
    "a `state` to filter by": (4_000, 422, lambda site, size: site.get(ACTORS, state="x" * size)),
    "`limit`": (1_000, 422, lambda site, size: site.get(ACTORS, limit=size)),
}


@pytest.mark.parametrize("what", LIMITS)
async def test_as_much_as_is_allowed_is_taken_and_one_more_is_refused(
    site: Site, what: str
) -> None:
    most, status, attempt = LIMITS[what]
    await site.spawn("a", "v1", "START", "PAY")
    allowed, refused = await attempt(site, most), await attempt(site, most + 1)
    if what == "a cursor":  # nobody ever gets one so long
        assert "characters" not in allowed.detail.replace("is not one", "")
        assert "length" in refused.detail
    else:
        assert allowed.status in (200, 201), allowed
    if what == "a line of NDJSON":
        assert (refused.status, refused.body["status"]) == (200, status)
    else:
        assert refused.status == status


def rows() -> dict[str, str]:
    """Return what ``docs/api.md`` says of each size."""
    table = DOCS.read_text().partition("## Sizes")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    return {what: most for what, most, _ in found if what not in ("what", "---")}


ELSEWHERE = {
    "payloads on a page of a history",
    "changes that `limit` ends a stream after",
    "readers of the change feed, in one process",
}
"""Limits that have tests of their own: below, and beside the change feed."""

UNITS = {"bytes": 1, "characters": 1, "levels": 1, "items": 1, "MiB": 1024 * 1024}


def test_the_documentation_lists_exactly_these_limits() -> None:
    listed = rows()
    assert set(listed) == {*LIMITS, *ELSEWHERE}
    for what, (most, _, _) in LIMITS.items():
        number, _, unit = listed[what].partition(" ")
        told = int(number.replace(",", "")) * UNITS.get(unit, 1)
        assert told - most in (0, 2 if unit == "levels" else 0), what


async def test_a_page_of_a_history_ends_before_its_payloads_fill_the_memory(site: Site) -> None:
    await site.declare("counter", COUNTER)
    await site.spawn("n", "counter")
    payload = "x" * (MAX_DATA_BYTES - 2)
    count = 2 * MAX_PAGE_BYTES // MAX_DATA_BYTES + 3
    for _ in range(count):
        await large(site, "/v1/actors/n/events", {"type": "A", "data": payload})
    first = (await site.get("/v1/actors/n/events", limit=1_000)).body
    assert len(first["events"]) * MAX_DATA_BYTES <= MAX_PAGE_BYTES + MAX_DATA_BYTES
    log = await site.pages("/v1/actors/n/events", "events", limit=1_000)
    assert [one["seq"] for one in log] == list(range(1, count + 1))
    assert all(one["data"] == payload for one in log)


@pytest.mark.parametrize(
    ("raw", "status", "kind"),
    [
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431, "head-too-large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 500 + b"\r\n", 400, "refused"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400, "refused"),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400, "refused"),
        (b"\x16\x03\x01 this is TLS\r\n\r\n", 400, "refused"),
        (
            b"GET /v1/actors HTTP/1.1\r\nHost: x\r\nExpect: much\r\nConnection: close\r\n\r\n",
            417,
            "refused",
        ),
    ],
    ids=["an endless URL", "too many headers", "no length", "not ASCII", "not HTTP", "Expect"],
)
async def test_what_never_becomes_a_request_is_answered_with_a_problem_too(
    site: Site, raw: bytes, status: int, kind: str
) -> None:
    host, port = site.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(raw)
    head, _, body = (await asyncio.wait_for(reader.read(), 20)).partition(b"\r\n\r\n")
    writer.close()
    assert f"Content-Type: {PROBLEM}".encode() in head
    problem = json.loads(body)
    assert (problem["status"], problem["type"].rpartition("/")[2]) == (status, kind)
    assert head.split()[1] == str(status).encode()

"""One tenant learns nothing of another by asking, and does not hold another up by asking much."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from typing import Any

import pytest
from tests.api.conftest import Reply, Site
from tests.api.definitions import COUNTER, LOAN_1, LOAN_2

from statekeep.controller.api.admission import MOST_BYTES_OF_ONE, MOST_OF_ONE, Admission
from statekeep.controller.api.app import MAX_BODY_BYTES
from statekeep.controller.api.contract import NDJSON
from statekeep.controller.api.metrics import Metrics
from statekeep.controller.api.problems import Problem
from statekeep.controller.api.shares import Shares
from statekeep.engine.ids import Namespace


@pytest.fixture
async def other(site: Site) -> Site:
    """Another namespace of the same server."""
    return replace(site, namespace=Namespace(f"{site.namespace}-other"))


def under(site: Site, path: str) -> str:
    return f"/v1/namespaces/{site.namespace}{path}"


def blurred(reply: Reply, name: str) -> tuple[int, dict[str, str], bytes]:
    """Return an answer without the name that was asked for, and without the time."""
    headers = {key.lower(): value for key, value in reply.headers.items() if key != "Date"}
    return reply.status, headers, reply.raw.replace(name.encode(), b"?")


async def test_what_another_has_and_what_nobody_has_get_the_same_answer(
    site: Site, other: Site
) -> None:
    """Byte for byte, so that guessing ids tells nothing; on every route that names one."""
    await other.declare("w1", LOAN_1, machine="loan")
    spawned = await site.post(under(other, "/actors"), {"id": "theirs", "version": "w1"})
    assert spawned.status == 201
    for event_type in ("START", "PAY"):
        await site.post(under(other, "/actors/theirs/events"), {"type": event_type})
    await other.declare("w2", LOAN_2, parent="w1", path=["START", "PAY"], apply=True)
    shown = (await site.get(under(other, "/versions/w2"))).body
    number = str(shown["migration"]["deployment"])
    names = [("theirs", "nobody"), ("w2", "x9"), (number, "9" * len(number))]
    paths: list[tuple[str, str, Any]] = [
        ("GET", "/actors/{}", None),
        ("GET", "/actors/{}/events", None),
        ("GET", "/actors/{}/decisions", None),
        ("GET", "/actors/{}/snapshot", None),
        ("POST", "/actors/{}/events", {"type": "START"}),
        ("GET", "/versions/{}", None),
        ("GET", "/deployments/{}/decisions", None),
        ("GET", "/deployments/{}/decisions?actors=true", None),
        ("GET", "/actors?version={}", None),
    ]
    for method, path, body in paths:
        for theirs, nobodys in names:
            options = {} if body is None else {"json": body}
            foreign = await site.call(method, "/v1" + path.format(theirs), **options)
            absent = await site.call(method, "/v1" + path.format(nobodys), **options)
            assert blurred(foreign, theirs) == blurred(absent, nobodys), path
    for target in ("version", "machine"):
        foreign = await site.post("/v1/actors", {target: "w2"})
        absent = await site.post("/v1/actors", {target: "x9"})
        assert blurred(foreign, "w2") == blurred(absent, "x9")
    body = {"id": "v9", "definition": LOAN_2}
    foreign = await site.post("/v1/previews", body | {"parentId": "w2"})
    absent = await site.post("/v1/previews", body | {"parentId": "x9"})
    assert blurred(foreign, "w2") == blurred(absent, "x9")
    items = [{"actor": "theirs", "type": "START"}, {"actor": "nobody", "type": "START"}]
    first, second = await site.batch(items)
    assert str(first).replace("theirs", "?") == str(second).replace("nobody", "?")


async def test_a_cursor_of_another_shows_nothing_of_theirs(site: Site, other: Site) -> None:
    await other.declare("w1", COUNTER, machine="counter")
    for number in range(5):
        body = {"id": f"theirs-{number}", "version": "w1"}
        assert (await site.post(under(other, "/actors"), body)).status == 201
        await site.post(under(other, f"/actors/theirs-{number}/events"), {"type": "TICK"})
    await site.spawn("mine")
    page = (await site.get(under(other, "/actors"), limit=2)).body
    for path in ("/actors", "/versions"):
        reply = await site.get("/v1" + path, cursor=page["nextCursor"])
        assert (reply.status, reply.kind) == (422, "invalid")
    told = await site.get(under(other, "/changes"), follow="false")
    cursors = re.findall(r'"cursor":"([^"]+)"', told.raw.decode())
    for cursor in cursors[:3]:
        mine = await site.get("/v1/changes", follow="false", after=cursor)
        assert (mine.status, mine.kind) == (410, "cursor-gone")


async def test_what_another_does_cannot_be_counted(site: Site, other: Site) -> None:
    """Numbers of deployments, cursors and bodies are the same, whatever others have done in between."""

    async def deployed(name: str) -> list[int]:
        await site.declare(f"{name}-1", LOAN_1, machine=name)
        await site.declare(f"{name}-2", LOAN_2, parent=f"{name}-1", apply=True)
        page = (await site.get("/v1/versions", limit=200)).body["versions"]
        shown = [(await site.get(f"/v1/versions/{one['name']}")).body for one in page]
        return [one["migration"]["deployment"] for one in shown if "migration" in one]

    assert await deployed("one") == [1]
    for number in range(3):
        await other.declare(f"w{number}", LOAN_1, machine=f"w{number}")
        await other.declare(f"x{number}", LOAN_2, parent=f"w{number}", apply=True)
    assert await deployed("two") == [1, 2]
    last = (await other.get(under(other, "/versions/x2"))).body
    assert last["migration"]["deployment"] == 3


async def test_a_cursor_shows_no_number(site: Site) -> None:
    for number in range(3):
        await site.spawn(f"a{number}", "v1", "START")
    pages = [
        (await site.get(path, limit=1)).body["nextCursor"]
        for path in ("/v1/actors", "/v1/versions", "/v1/actors/a0/events")
        if "nextCursor" in (await site.get(path, limit=1)).body
    ]
    told = (await site.get("/v1/changes", follow="false")).raw.decode()
    cursors = re.findall(r'"cursor":"([^"]+)"', told)
    assert len(pages) >= 1
    assert len(cursors) >= 6
    for cursor in (*pages, *cursors):
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        assert not re.search(rb"[0-9]{3}|a[012]", raw), raw


FLOOD = 60
"""Arrays at once, of 1,000 events each."""


async def test_a_flood_of_one_holds_up_neither_single_events_nor_batches_of_another(
    site: Site, other: Site
) -> None:
    await other.declare("w1", COUNTER, machine="counter")
    await site.declare("c1", COUNTER, machine="counter")
    await site.spawn("mine", "c1")
    for number in range(20):
        await site.post(under(other, "/actors"), {"id": f"theirs-{number}", "version": "w1"})
    flood = [{"actor": f"theirs-{number % 20}", "type": "TICK"} for number in range(1_000)]
    floods = [asyncio.create_task(site.post(under(other, "/events"), flood)) for _ in range(FLOOD)]
    await asyncio.wait(floods, return_when=asyncio.FIRST_COMPLETED)
    for _ in range(5):
        assert (await site.send("mine", "TICK")).body["handled"]
        assert len(await site.batch([{"actor": "mine", "type": "TICK"}] * 20)) == 20
    left = sum(not one.done() for one in floods)
    assert left > FLOOD / 3, "most of the flood went first"
    assert all(reply.status == 200 for reply in await asyncio.gather(*floods))


@pytest.mark.parametrize(
    ("size", "most"),
    [(0, MOST_OF_ONE), (MAX_BODY_BYTES, MOST_BYTES_OF_ONE // MAX_BODY_BYTES)],
    ids=["many requests", "large bodies"],
)
def test_the_places_of_one_namespace_are_not_all_places(size: int, most: int) -> None:
    admission = Admission(Metrics())
    one, another = Namespace("one"), Namespace("another")
    with ExitStack() as held:
        for _ in range(most):
            admission.share(one, held.enter_context(admission.admit(size)))
        with admission.admit(size) as place:
            with pytest.raises(Problem):
                admission.share(one, place)
            admission.share(another, place)
    with admission.admit(size) as place:
        admission.share(one, place)


def test_what_was_not_announced_counts_as_it_arrives() -> None:
    admission = Admission(Metrics())
    one, another = Namespace("one"), Namespace("another")
    with admission.admit(0) as large:
        admission.share(one, large)
        large.hold(MOST_BYTES_OF_ONE - 10)
        with admission.admit(0) as small:
            admission.share(one, small)
            small.hold(10)
            with pytest.raises(Problem, match="too many requests"):
                small.hold(11)
            small.hold(5)
            large.hold(MOST_BYTES_OF_ONE - 5)
            with pytest.raises(Problem, match="too many requests"):
                large.hold(MOST_BYTES_OF_ONE)
        with admission.admit(0) as foreign:
            admission.share(another, foreign)
            foreign.hold(MOST_BYTES_OF_ONE)
    with admission.admit(0) as small:
        admission.share(one, small)
        small.hold(MOST_BYTES_OF_ONE)


STREAMS = 40
"""Each would once have counted as the largest body of all, for as long as it was open."""


async def test_streams_that_are_idle_take_the_room_of_nobody(site: Site) -> None:
    await site.spawn("a")
    gone = asyncio.Event()

    async def lines() -> AsyncIterator[bytes]:
        yield b'{"actor": "a", "type": "NEVER"}\n'
        await gone.wait()

    streams = []
    async with AsyncExitStack() as open_streams:
        for _ in range(STREAMS):
            stream = await open_streams.enter_async_context(
                site.session.post(
                    f"{site.url}/v1/events", data=lines(), headers={"Content-Type": NDJSON}
                )
            )
            assert stream.status == 200
            assert json.loads(await stream.content.readline())["handled"] is False
            streams.append(stream)
        assert (await site.send("a", "START")).status == 200
        assert (await site.post("/v1/events", [{"actor": "a", "type": "PAY"}])).status == 200
        gone.set()
        assert [await stream.read() for stream in streams] == [b""] * STREAMS


async def test_a_namespace_waits_for_its_own_turns_first() -> None:
    shares = Shares(each=1, together=2)
    order: list[str] = []
    go, two = asyncio.Event(), asyncio.Event()

    async def turn(namespace: str, name: str) -> None:
        async with shares.turn(Namespace(namespace)):
            order.append(name)
            if len(order) == 2:
                two.set()
            await go.wait()

    many = [asyncio.create_task(turn("a", f"a{number}")) for number in range(5)]
    await asyncio.sleep(0)
    one = asyncio.create_task(turn("b", "b"))
    await two.wait()
    assert order == ["a0", "b"]
    go.set()
    await asyncio.gather(*many, one)
    assert not shares._shares

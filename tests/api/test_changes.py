"""Following: every change once, in order, however often somebody comes back."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import psycopg
import pytest
from tests.api.conftest import Reply, Site
from tests.api.definitions import COUNTER, LOAN_1
from tests.api.mirror import Mirror, standing

from statekeep.controller.api import changes, feed, streams
from statekeep.controller.api.app import create
from statekeep.controller.api.server import SHUTDOWN_S, listening
from statekeep.engine.errors import StoreUnavailable
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.changes import newest
from statekeep.engine.store.locks import MACHINE_SPACE

PATH = "/v1/changes"


def documents(reply: Reply) -> list[Any]:
    assert reply.status == 200, reply
    return [json.loads(line) for line in reply.raw.splitlines()]


async def read(site: Site, **query: str | int) -> list[Any]:
    """Return all changes that there are, without the bookmark at the end."""
    *lines, last = documents(await site.get(PATH, follow="false", **query))
    assert last["kind"] == "bookmark"
    return lines


async def now(site: Site) -> str:
    [line] = documents(await site.get(PATH, follow="false", after="now"))
    return str(line["cursor"])


@asynccontextmanager
async def following(
    site: Site, headers: dict[str, str] | None = None, **query: str
) -> AsyncIterator[AsyncIterator[Any]]:
    """Hold an open stream of NDJSON."""
    async with site.session.get(site.url + PATH, params=query, headers=headers) as response:
        assert response.status == 200, await response.text()

        async def lines() -> AsyncIterator[Any]:
            async for line in response.content:
                yield json.loads(line)

        yield lines()


async def room(site: Site) -> list[Any]:
    """Return all changes, once the server has room for one more follower."""
    async with asyncio.timeout(30):
        while True:
            query = {"follow": "false"}
            async with site.session.get(site.url + PATH, params=query) as response:
                raw = await response.read()
            if response.status == 200:
                return [json.loads(line) for line in raw.splitlines()]
            assert response.status == 503
            await asyncio.sleep(0.01)


def short(line: Any) -> str:
    return " ".join(str(line[key]) for key in ("kind", "actor", "type", "version") if key in line)


async def story(site: Site) -> None:
    """Alice pays and Bob does not; a new version moves her; both go on."""
    await site.spawn("alice", "v1", "START", "PAY")
    await site.spawn("bob", "v1", "START", "WAIVE")
    await site.migrate()
    await site.send("alice", "VERIFY")
    await site.send("bob", "UPLOAD")


STORY = [
    "spawn alice v1",
    "event alice START v1",
    "event alice PAY v1",
    "spawn bob v1",
    "event bob START v1",
    "event bob WAIVE v1",
    "deployment v2",
    "migration alice v2",
    "event alice VERIFY v2",
    "event bob UPLOAD v1",
]


async def test_the_feed_tells_the_story_and_a_mirror_of_it_is_right(site: Site) -> None:
    await story(site)
    lines = await read(site)
    assert [short(line) for line in lines] == STORY
    mirror = Mirror()
    mirror.take_all(lines)
    for name in ("alice", "bob"):
        assert mirror.standings()[name] == standing(await site.actor(name))


async def test_a_line_says_where_the_actor_stands_and_why(site: Site) -> None:
    await story(site)
    lines = await read(site)
    paid, deployed, moved = lines[2], lines[6], lines[7]
    assert paid["stateValue"] == paid["state"] == "documents"
    assert (paid["machine"], paid["status"], paid["seq"]) == ("loan", "active", 2)
    assert (deployed["parentId"], deployed["machine"]) == ("v1", "loan")
    assert [deployed[key] for key in ("migrated", "stayed", "needsRescue")] == [1, 1, 0]
    assert moved["before"] == {"version": "v1", "stateValue": "documents", "state": "documents"}
    assert (moved["state"], moved["deployment"]) == ("income", deployed["deployment"])
    reply = await site.get(f"/v1/deployments/{deployed['deployment']}/decisions", actors="true")
    assert [one["actor"] for one in reply.body["decisions"] if one["outcome"] == "Migrate"] == [
        "alice"
    ]


async def test_an_actor_that_is_done_says_so(site: Site) -> None:
    await site.spawn("a", "v1", "START", "PAY", "UPLOAD", "APPROVE")
    assert [line["status"] for line in await read(site)] == ["active"] * 4 + ["done"]


async def test_an_event_that_nothing_takes_is_no_change(site: Site) -> None:
    await site.spawn("a")
    assert not (await site.send("a", "PAY", headers={"Idempotency-Key": "k"})).body["handled"]
    assert [short(line) for line in await read(site)] == ["spawn a v1"]


async def test_whoever_comes_back_with_any_cursor_misses_nothing_and_sees_nothing_twice(
    site: Site,
) -> None:
    await story(site)
    lines = await read(site)
    for number, line in enumerate(lines):
        assert await read(site, after=line["cursor"]) == lines[number + 1 :]
        reply = await site.call(
            "GET",
            PATH,
            params={"follow": "false", "after": "now"},
            headers={"Last-Event-ID": line["cursor"]},
        )
        assert documents(reply)[:-1] == lines[number + 1 :]
    for limit in (1, 2, 3, 7):
        seen: list[Any] = []
        while len(seen) < len(lines):
            cursor = {"after": seen[-1]["cursor"]} if seen else {}
            some = documents(await site.get(PATH, follow="false", limit=limit, **cursor))
            assert len([line for line in some if line["kind"] != "bookmark"]) <= limit
            seen += [line for line in some if line["kind"] != "bookmark"]
        assert seen == lines


async def test_what_has_been_answered_is_there_at_once(site: Site) -> None:
    """Also in a process whose own look at the log is a little old."""
    await site.declare("counter", COUNTER)
    await site.spawn("a", "counter")
    for seq in range(1, 6):
        await site.send("a", "TICK")
        assert (await read(site))[-1]["seq"] == seq


async def test_a_stream_stays_open_and_tells_what_happens_meanwhile(site: Site) -> None:
    await site.spawn("a")
    async with asyncio.timeout(30), following(site, after="now") as lines:
        assert (await anext(lines))["kind"] == "bookmark"  # where now is
        await site.send("a", "START")
        assert short(await anext(lines)) == "event a START v1"
        await site.send("a", "PAY")
        await site.migrate()
        assert [short(await anext(lines)) for _ in range(3)] == [
            "event a PAY v1",
            "deployment v2",
            "migration a v2",
        ]


async def test_two_followers_of_which_one_began_earlier_see_the_same(site: Site) -> None:
    await site.spawn("a", "v1", "START")
    async with asyncio.timeout(30), following(site) as early:
        seen = [await anext(early) for _ in range(2)]
        await site.send("a", "PAY")
        seen.append(await anext(early))
        async with following(site) as late:
            assert [await anext(late) for _ in range(3)] == seen
            await site.send("a", "UPLOAD")
            assert await anext(late) == await anext(early)


async def test_server_sent_events_carry_cursor_and_kind(site: Site) -> None:
    await story(site)
    lines = await read(site)
    headers = {"Accept": "text/event-stream"}
    reply = await site.call("GET", PATH, params={"limit": 10}, headers=headers)
    assert reply.headers["Content-Type"] == "text/event-stream"
    assert reply.headers["Cache-Control"] == "no-store"
    retry, *events = reply.raw.decode().strip().split("\n\n")
    assert retry == "retry: 1000"
    for event, line in zip(events, lines, strict=True):
        fields = dict(row.split(": ", 1) for row in event.split("\n"))
        assert fields["id"] == line["cursor"]
        assert fields["event"] == line["kind"]
        assert json.loads(fields["data"]) == line


async def test_silence_is_broken_by_bookmarks_that_one_can_go_on_from(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BOOKMARK_S", 0.0)
    monkeypatch.setattr(changes, "LOOK_S", 0.05)
    await site.spawn("a")
    async with asyncio.timeout(30), following(site, kinds="deployment") as lines:
        while (mark := (await anext(lines))["cursor"]) != await now(site):
            pass
    await site.send("a", "START")
    assert [short(line) for line in await read(site, after=mark)] == ["event a START v1"]
    headers = {"Accept": "text/event-stream"}
    async with (
        asyncio.timeout(30),
        site.session.get(site.url + PATH, params={"after": "now"}, headers=headers) as response,
    ):
        assert await response.content.readline() == b"retry: 1000\n"
        await response.content.readline()
        for _ in range(3):  # an id alone: EventSource remembers it, and dispatches nothing
            assert (await response.content.readline()).startswith(b"id: ")
            assert await response.content.readline() == b"\n"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"kinds": "migration"}, ["migration alice v2"]),
        ({"kinds": "deployment,spawn"}, ["spawn alice v1", "spawn bob v1", "deployment v2"]),
        ({"machine": "other"}, ["spawn zoe o1"]),
        ({"machine": "loan"}, STORY),
        ({"machine": "none"}, []),
    ],
)
async def test_filters_leave_out_the_rest(
    site: Site, query: dict[str, str], expected: list[str]
) -> None:
    if "kinds" not in query:
        await site.declare("o1", LOAN_1, machine="other")
        await site.spawn("zoe", "o1")
    await story(site)
    assert [short(line) for line in await read(site, **query)] == expected


async def test_a_namespace_sees_nothing_of_another(site: Site) -> None:
    await story(site)
    elsewhere = f"/v1/namespaces/{site.namespace}x/changes"
    [line] = documents(await site.get(elsewhere, follow="false"))
    assert line["kind"] == "bookmark"


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"after": "garbage"}, "cursor"),
        ({"after": "WzEsMl0"}, "cursor"),
        ({"follow": "yes"}, "query parameter follow"),
        ({"kinds": "event,evnt"}, "'evnt' is none of"),
        ({"limit": "0"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"actor": "a"}, "unknown query parameter"),
    ],
)
async def test_what_cannot_be_read_is_refused(
    site: Site, query: dict[str, str], detail: str
) -> None:
    reply = await site.get(PATH, **query)
    assert (reply.status, reply.kind) == (422, "invalid")
    assert detail in reply.detail


async def test_a_cursor_that_names_no_change_of_this_log_is_gone(site: Site) -> None:
    await site.spawn("a")
    position, check, _ = await site.place_of(await now(site))
    for other in ((position, check ^ 1, None), (position + 10**9, check, None)):
        reply = await site.get(PATH, after=await site.cursor_of(*other))
        assert (reply.status, reply.kind) == (410, "cursor-gone")
        assert "list the actors" in reply.detail


async def test_followers_are_told_when_the_log_is_put_back_to_an_older_state(
    alone: Site, database_url: str
) -> None:
    """As after the failover to a replica that had not got everything: numbers are given again."""
    await alone.spawn("a", "v1", "START", "PAY")
    async with asyncio.timeout(30), following(alone) as lines:
        seen = [await anext(lines) for _ in range(3)]
        with psycopg.connect(database_url) as connection:
            connection.execute("alter table statekeep.event disable trigger user")
            connection.execute("delete from statekeep.event where seq = 2")
            connection.execute("update statekeep.actor set seq = 1")
            connection.execute("select setval('statekeep.change_position', 2)")
        await alone.spawn("b")
        await alone.spawn("c")
        assert (await anext(lines))["type"].endswith("cursor-gone")
    assert (await alone.get(PATH, after=seen[2]["cursor"])).status == 410
    again = await read(alone, after=seen[1]["cursor"])
    assert [short(line) for line in again] == ["spawn b v1", "spawn c v1"]


async def test_a_stream_outlives_an_outage_of_the_database(
    alone: Site, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where somebody is writing when it is back: what was settled before stays so."""
    monkeypatch.setattr(feed, "BACKOFF_S", 0.05)
    await alone.spawn("a", "v1", "START")
    ours = "from pg_stat_activity where application_name = 'statekeep' and datname = current_database()"
    async with asyncio.timeout(30), following(alone) as lines:
        seen = [await anext(lines) for _ in range(2)]
        with (
            psycopg.connect(database_url) as writer,
            psycopg.connect(database_url, autocommit=True) as outage,
        ):
            writer.execute(
                "select pg_advisory_xact_lock_shared(%s, id) from statekeep.machine",
                [MACHINE_SPACE],
            )
            writer.execute("select nextval('statekeep.change_position')")
            outage.execute(f"select pg_terminate_backend(pid) {ours}")
            watched = f"select pid {ours} and state = 'idle'"
            while not outage.execute(watched).fetchone():  # noqa: ASYNC110  (Postgres sets no Event)
                await asyncio.sleep(0.01)
        while (await _tried(alone, "PAY")) != 200:
            pass
        await alone.send("a", "UPLOAD")
        seen += [await anext(lines) for _ in range(2)]
    assert [line["seq"] for line in seen] == [0, 1, 2, 3]


async def _tried(site: Site, event_type: str) -> int:
    """Return the status of an event whose connection may be a dead one."""
    path = f"{site.url}/v1/actors/a/events"
    async with site.session.post(path, json={"type": event_type, "id": event_type}) as response:
        return response.status


async def test_a_deployment_of_many_actors_can_be_left_and_come_back_to_anywhere(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "PAGE", 2)
    names = [f"a{number}" for number in range(7)]
    for name in names:
        await site.spawn(name, "v1", "START", "WAIVE" if name == "a3" else "PAY")
    await site.migrate()
    await site.spawn("z", "v2")
    lines = await read(site)
    deployed = next(i for i, line in enumerate(lines) if line["kind"] == "deployment")
    moved = [line["actor"] for line in lines[deployed + 1 : -1]]
    assert moved == [name for name in names if name != "a3"]
    for number in range(deployed, len(lines)):
        assert await read(site, after=lines[number]["cursor"]) == lines[number + 1 :]
    without = await read(site, after=lines[deployed]["cursor"], kinds="spawn,event")
    assert [short(line) for line in without] == ["spawn z v2"]


async def test_who_is_further_behind_than_memory_reaches_reads_from_the_database(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "STRETCH", 3)
    monkeypatch.setattr(feed, "MAX_TAIL", 2)
    await site.declare("counter", COUNTER)
    begin = await now(site)
    await site.spawn("n", "counter", "A")
    async with asyncio.timeout(30), following(site, after=begin) as early:
        assert [(await anext(early))["seq"] for _ in range(2)] == [0, 1]
        await site.batch([{"actor": "n", "type": "ABC"[n % 3]} for n in range(40)])
        async with following(site, after=begin) as late:
            assert [(await anext(late))["seq"] for _ in range(42)] == list(range(42))
        assert [(await anext(early))["seq"] for _ in range(40)] == list(range(2, 42))


async def test_no_more_changes_are_kept_in_memory_than_there_should_be(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MAX_TAIL", 5)
    await site.declare("counter", COUNTER)
    await site.spawn("n", "counter")
    watching = feed.Feed(site.database, Catalogue())
    try:
        async with asyncio.timeout(30), watching.following(site.namespace) as follower:
            first = await watching.settle(await site.database.read(newest))
            await site.batch([{"actor": "n", "type": "ABC"[n % 3]} for n in range(8)])
            last = await watching.settle(await site.database.read(newest))
            [tail] = watching._tails.values()
            assert (len(tail.changes), tail.changes[-1].mark) == (5, last)
            passage = await follower.passage(first.position, 0)
            assert passage is not None
            assert len(passage.changes) == 8
    finally:
        await watching.close()


async def test_a_feed_that_ends_before_it_has_settled_does_not_claim_to_be_at_its_end(
    site: Site,
) -> None:
    await site.declare("counter", COUNTER)
    await site.spawn("n", "counter")
    await site.batch([{"actor": "n", "type": "A"}])
    watching = feed.Feed(site.database, Catalogue())
    await watching.close()
    with pytest.raises(StoreUnavailable, match="has to stop"):
        await watching.settle(await site.database.read(newest))


async def test_a_reader_that_takes_nothing_is_let_go_and_costs_no_memory(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(streams, "STALLED_S", 0.2)
    monkeypatch.setattr(feed, "MAX_FOLLOWERS", 1)
    name = "long" * 60
    await site.declare("wordy", {"initial": name, "states": {name: {"on": {"TICK": {}}}}})
    names = [f"n{number}" for number in range(100)]
    for name in names:
        await site.spawn(name, "wordy")
    await site.batch({"actor": name, "type": "TICK"} for _ in range(100) for name in names)
    host, port = site.url.removeprefix("http://").split(":")
    with socket.socket() as idle:
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        idle.connect((host, int(port)))
        path = f"/v1/namespaces/{site.namespace}/changes"
        idle.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert len(await room(site)) == 10_101
    assert not [record for record in caplog.records if record.exc_info]


async def test_more_followers_than_a_process_serves_are_told_to_come_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MAX_FOLLOWERS", 1)
    await site.spawn("a")
    async with following(site) as lines:
        await anext(lines)
        async with site.session.get(site.url + PATH) as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "5"
            problem = await response.json(content_type=None)
            assert problem["type"].endswith("too-many-followers")
    assert len(await room(site)) == 2


async def test_followers_of_one_namespace_leave_room_for_those_of_another(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MOST_OF_ONE", 1)
    other = f"/v1/namespaces/{site.namespace}-other/changes"
    await site.spawn("a")
    async with following(site) as lines:
        await anext(lines)
        assert (await site.session.get(site.url + PATH)).status == 503
        async with site.session.get(site.url + other) as response:
            assert response.status == 200
    assert len(await room(site)) == 2


async def test_streams_end_at_once_when_the_server_stops(site: Site) -> None:
    await site.spawn("a")
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session:
        async with listening(create(site.database, site.namespace), "127.0.0.1", 0) as url:
            response = await session.get(url + PATH)
            assert short(json.loads(await response.content.readline())) == "spawn a v1"
            began = loop.time()
        took_s = loop.time() - began
        [last] = (await response.content.read()).splitlines()
        response.close()
    assert took_s < SHUTDOWN_S / 2
    mark = json.loads(last)
    assert mark["kind"] == "bookmark"
    assert await read(site, after=mark["cursor"]) == []


async def test_a_stream_that_has_lived_long_enough_ends_with_a_bookmark(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "LIFE_S", 0.0)
    await site.spawn("a")
    [line] = documents(await site.get(PATH))
    assert line["kind"] == "bookmark"


async def test_a_read_to_the_end_that_ends_before_it_says_so(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.spawn("a")
    with monkeypatch.context() as hurried:
        hurried.setattr(changes, "LIFE_S", 0.0)
        mark, problem = documents(await site.get(PATH, follow="false"))
    assert problem["type"].endswith("/broken-off")
    assert [line["kind"] for line in await read(site, after=mark["cursor"])] == ["spawn"]

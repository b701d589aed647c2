"""One event at a time: what it does, what it answers, and on which conditions."""

import psycopg
import pytest
from tests.api.conftest import Site
from tests.api.definitions import PLAYER

from statekeep.engine.history.fingerprint import fingerprint, show
from statekeep.engine.json import JsonValue


async def test_an_event_answers_where_the_actor_is_now(site: Site) -> None:
    await site.spawn("a")
    reply = await site.send("a", "START")
    assert (reply.status, reply.headers["ETag"]) == (200, '"1"')
    assert "Idempotency-Replayed" not in reply.headers
    assert reply.body == {
        "id": "a",
        "machine": "loan",
        "version": "v1",
        "stateValue": "fee",
        "state": "fee",
        "status": "active",
        "handled": True,
        "seq": 1,
        "fingerprint": show(fingerprint(["START"])),
    }
    actor = await site.actor("a")
    assert {key: actor[key] for key in ("state", "seq", "fingerprint")} == {
        key: reply.body[key] for key in ("state", "seq", "fingerprint")
    }


async def test_an_event_that_no_transition_takes_changes_nothing(site: Site) -> None:
    await site.spawn("a", "v1", "START")
    before = await site.actor("a")
    reply = await site.send("a", "APPROVE", data={"x": 1}, context={"y": 2})
    assert (reply.status, reply.body["handled"], reply.body["seq"]) == (200, False, 1)
    assert reply.body["state"] == "fee"
    assert await site.actor("a") == before
    assert len(await site.pages("/v1/actors/a/events", "events")) == 1


async def test_a_done_actor_takes_no_event_any_more(site: Site) -> None:
    await site.spawn("a", "v1", "START", "PAY", "UPLOAD", "APPROVE")
    actor = await site.actor("a")
    assert (actor["status"], actor["state"]) == ("done", "approved")
    reply = await site.send("a", "START")
    assert (reply.status, reply.body["handled"], reply.body["status"]) == (200, False, "done")
    strict = await site.send("a", "START", {"Prefer": "handling=strict"})
    assert strict.status == 409
    assert "done" in strict.detail


async def test_who_prefers_strict_handling_is_told_of_an_event_nobody_takes(site: Site) -> None:
    await site.spawn("a", "v1", "START")
    for prefer in ("handling=strict", "wait=5, handling=strict", "handling=strict; foo"):
        reply = await site.send("a", "APPROVE", {"Prefer": prefer})
        assert (reply.status, reply.kind, reply.body["state"]) == (409, "unhandled", "fee")
    assert (await site.send("a", "APPROVE", {"Prefer": "handling=lenient"})).status == 200
    assert (await site.send("a", "PAY", {"Prefer": "handling=strict"})).status == 200


async def test_if_match_lets_only_one_of_two_writers_through(site: Site) -> None:
    await site.spawn("a", "v1", "START")
    stale = await site.send("a", "PAY", {"If-Match": '"0"'})
    assert (stale.status, stale.kind, stale.body["seq"]) == (412, "seq-differs", 1)
    fresh = await site.send("a", "PAY", {"If-Match": '"1"'})
    assert (fresh.status, fresh.body["seq"]) == (200, 2)
    assert (await site.send("a", "UPLOAD", {"If-Match": "*"})).status == 200
    assert (await site.actor("a"))["seq"] == 3


async def test_an_event_for_nobody_is_404(site: Site) -> None:
    for actor_id in ("nobody", "%00", "a%2Fb", "é"):
        reply = await site.send(actor_id, "START")
        assert (reply.status, reply.kind) == (404, "not-found")


@pytest.mark.parametrize(
    "event_type",
    [
        "",
        "*",
        "xstate.init",
        "xstate.done.state.loan.approved",
        "xstate.stop",
        "xstate.",
        "a\0b",
        "x" * 1_025,
        "é" * 600,
    ],
)
async def test_an_event_type_that_is_not_for_callers_is_422(site: Site, event_type: str) -> None:
    await site.spawn("a")
    assert (await site.send("a", event_type)).status == 422
    assert (await site.actor("a"))["seq"] == 0


@pytest.mark.parametrize(
    "event_type",
    ["xstate.done.actor.x", "xstate.error.actor.x", "xstate.after.1000.x", "a b", "é", "\n", "𝄞"],
)
async def test_an_event_type_that_may_be_sent_is_answered(site: Site, event_type: str) -> None:
    await site.spawn("a")
    reply = await site.send("a", event_type)
    assert (reply.status, reply.body["handled"]) == (200, False)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": None},
        {"type": 1},
        {"type": "START", "context": []},
        {"type": "START", "context": None},
        {"type": "START", "payload": {}},
        {"type": "START", "id": ""},
        {"type": "START", "id": "x" * 256},
        {"type": "START", "actor": "a"},
    ],
    ids=repr,
)
async def test_a_body_that_is_no_event_is_422(site: Site, body: dict[str, object]) -> None:
    await site.spawn("a")
    assert (await site.post("/v1/actors/a/events", body)).status == 422
    assert (await site.actor("a"))["seq"] == 0


async def test_a_context_is_patched_as_rfc_7396_says(site: Site) -> None:
    await site.spawn("a", "v1", "START", context={"a": "b", "c": {"d": "e", "f": "g"}, "l": [1, 2]})
    patch = {"a": "z", "c": {"f": None, "n": {"x": None, "y": 1}}, "l": [3], "none": None}
    assert (await site.send("a", "PAY", context=patch)).status == 200
    expected = {"a": "z", "c": {"d": "e", "n": {"y": 1}}, "l": [3]}
    assert (await site.actor("a"))["context"] == expected
    assert (await site.get("/v1/actors/a/snapshot")).body["context"] == expected


async def test_the_first_patch_makes_the_context(site: Site) -> None:
    await site.spawn("a")
    assert "context" not in await site.actor("a")
    assert (await site.send("a", "START", context={"a": {"b": None, "c": 1}})).status == 200
    assert (await site.actor("a"))["context"] == {"a": {"c": 1}}


async def test_a_context_that_grows_beyond_its_limit_is_refused_and_nothing_changes(
    site: Site,
) -> None:
    await site.spawn("a", "v1", "START", context={"a": "x" * 600_000})
    reply = await site.send("a", "PAY", context={"b": "x" * 600_000})
    assert (reply.status, reply.kind) == (409, "context-refused")
    assert await site.place("a") == ("v1", "fee")
    assert (await site.send("a", "PAY", context={"a": None})).body["seq"] == 2


PAYLOADS: list[JsonValue] = [
    None,
    0,
    -1.5e-300,
    2**53,
    10**30,
    "",
    "a\0b é 𝄞 \u2028",
    [],
    {},
    {"a": [{"b": None}], "": ""},
    [[[[]]]],
    "x" * 100_000,
]


async def test_payloads_and_contexts_come_back_as_they_were_sent(
    site: Site, shared_url: str
) -> None:
    await site.spawn("a", "v1", "START", "PAY")
    for payload in PAYLOADS:
        reply = await site.send("a", "NOTE", data=payload, context={"last": payload, "keep": 1})
        assert reply.status == 200
        kept = {"keep": 1} if payload is None else {"keep": 1, "last": payload}
        assert (await site.actor("a"))["context"] == kept
    events = await site.pages("/v1/actors/a/events", "events")
    assert [event["data"] for event in events[2:]] == PAYLOADS
    assert "data" not in events[0]
    with psycopg.connect(shared_url) as connection:
        rows = connection.execute(
            "select e.data, a.context from statekeep.event e join statekeep.actor a"
            " on a.key = e.actor_key where a.namespace = %s and e.seq > 2",
            [site.namespace],
        ).fetchall()
    assert len(rows) == len(PAYLOADS)
    assert not any(b"x" * 8 in sealed or b"keep" in sealed for row in rows for sealed in row)


async def test_data_and_context_may_be_as_deep_as_the_limit(site: Site) -> None:
    await site.spawn("a", "v1", "START", "PAY")
    deep = b'{"a":' * 290 + b"1" + b"}" * 290
    for _ in range(2):
        raw = b'{"type": "NOTE", "context": ' + deep + b', "data": ' + deep + b"}"
        assert (await site.send_raw("/v1/actors/a/events", raw)).status == 200
    assert (await site.get("/v1/actors/a/events")).status == 200
    assert deep in (await site.get("/v1/actors/a")).raw.replace(b" ", b"")


async def test_parallel_states_and_memories_are_shown_as_xstate_writes_them(site: Site) -> None:
    await site.declare("player", PLAYER)
    await site.spawn("p", "player", "POWER", "SOURCE", "POWER", "MUTE")
    actor = await site.actor("p")
    assert actor["stateValue"] == {"power": "off", "volume": "muted"}
    snapshot = (await site.get("/v1/actors/p/snapshot")).body
    assert snapshot["value"] == actor["stateValue"]
    assert snapshot["historyValue"] == {"player.power.on.back": [{"id": "player.power.on.disc"}]}
    assert (snapshot["status"], snapshot["children"], snapshot["context"]) == ("active", {}, {})
    assert (await site.send("p", "POWER")).body["stateValue"] == {
        "power": {"on": "disc"},
        "volume": "muted",
    }

"""A retry with the same key gets the first answer, whatever has happened since."""

import json
from dataclasses import replace

import pytest
from tests.api.conftest import KEYS, Reply, Site, together

from statekeep.controller.api.app import create
from statekeep.controller.api.server import listening
from statekeep.engine.store.database import connect

KEY = {"Idempotency-Key": "k-1"}


async def test_a_retry_is_answered_as_the_first_time_though_the_actor_moved_on(site: Site) -> None:
    await site.spawn("a", "v1", "START")
    first = await site.send("a", "PAY", KEY, data={"amount": 50})
    for event_type in ("UPLOAD", "APPROVE"):
        await site.send("a", event_type)
    again = await site.send("a", "PAY", KEY, data={"amount": 50})
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["ETag"] == first.headers["ETag"] == '"2"'
    assert (await site.actor("a"))["seq"] == 4


async def test_a_retry_is_answered_as_the_first_time_though_the_actor_was_migrated(
    site: Site,
) -> None:
    await site.spawn("a", "v1", "START")
    first = await site.send("a", "PAY", KEY)
    ignored = await site.send("a", "APPROVE", {"Idempotency-Key": "k-2"})
    await site.migrate()
    assert await site.place("a") == ("v2", "income")
    assert (await site.send("a", "PAY", KEY)).body == first.body
    assert first.body["version"] == "v1"
    again = await site.send("a", "APPROVE", {"Idempotency-Key": "k-2"})
    assert (again.body, again.body["handled"]) == (ignored.body, False)
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_an_event_that_nobody_took_stays_untaken_though_it_would_be_now(site: Site) -> None:
    await site.spawn("a", "v1", "START")
    first = await site.send("a", "UPLOAD", KEY)
    assert not first.body["handled"]
    await site.send("a", "PAY")
    again = await site.send("a", "UPLOAD", KEY)
    assert again.body == first.body
    assert await site.place("a") == ("v1", "documents")


async def test_a_retry_needs_no_matching_seq_any_more(site: Site) -> None:
    await site.spawn("a")
    headers = {**KEY, "If-Match": '"0"'}
    first = await site.send("a", "START", headers)
    again = await site.send("a", "START", headers)
    assert (again.status, again.body) == (200, first.body)


async def test_a_precondition_that_failed_does_not_use_up_the_key(site: Site) -> None:
    await site.spawn("a")
    assert (await site.send("a", "START", {**KEY, "If-Match": '"5"'})).status == 412
    reply = await site.send("a", "START", KEY)
    assert (reply.status, reply.body["seq"]) == (200, 1)


@pytest.mark.parametrize("strict", ["handling=strict", 'Handling = "strict"', "a, HANDLING=STRICT"])
async def test_a_strict_refusal_is_repeated_after_the_actor_has_moved_on(
    site: Site, strict: str
) -> None:
    await site.spawn("a")
    headers = {**KEY, "Prefer": strict}
    assert (await site.send("a", "PAY", headers)).status == 409
    await site.send("a", "START")
    assert (await site.send("a", "PAY", headers)).status == 409
    assert (await site.actor("a"))["seq"] == 1


async def test_the_header_may_be_quoted_and_the_id_in_the_body_is_the_same_key(site: Site) -> None:
    await site.spawn("a")
    first = await site.send("a", "START", KEY)
    assert (await site.send("a", "START", {"Idempotency-Key": '"k-1"'})).body == first.body
    assert (await site.send("a", "START", id="k-1")).body == first.body
    assert (await site.send("a", "START", KEY, id="k-1")).body == first.body


async def test_a_header_and_an_id_that_differ_are_422_and_name_both(site: Site) -> None:
    await site.spawn("a")
    reply = await site.send("a", "START", {"Idempotency-Key": "k-2"}, id="k-1")
    assert (reply.status, reply.kind) == (422, "invalid")
    assert "k-1" in reply.detail
    assert "k-2" in reply.detail
    assert (await site.actor("a"))["seq"] == 0


async def test_the_same_key_with_another_body_is_422(site: Site) -> None:
    await site.spawn("a")
    await site.send("a", "START", KEY, data={"a": 1, "b": 2})
    await site.send("a", "APPROVE", {"Idempotency-Key": "ignored"})
    for event_type, more in (
        ("PAY", {"data": {"a": 1, "b": 2}}),
        ("START", {}),
        ("START", {"data": None}),
        ("START", {"data": {"a": 1, "b": 3}}),
        ("START", {"data": {"a": 1, "b": 2}, "context": {}}),
    ):
        reply = await site.send("a", event_type, KEY, **more)
        assert (reply.status, reply.kind) == (422, "idempotency-key-reused")
    reply = await site.send("a", "APPROVE", {"Idempotency-Key": "ignored"}, data=1)
    assert reply.status == 422
    reordered = await site.send("a", "START", KEY, data={"b": 2, "a": 1})
    assert (reordered.status, reordered.body["seq"]) == (200, 1)


def _same(replies: list[Reply]) -> None:
    assert {reply.status for reply in replies} == {200}
    assert len({reply.raw for reply in replies}) == 1
    assert sum("Idempotency-Replayed" not in reply.headers for reply in replies) == 1


async def test_fifty_equal_calls_at_once_are_one_event(site: Site) -> None:
    await site.spawn("a", "v1", "START")
    patch = {"paid": True}
    _same(await together(*(site.send("a", "PAY", KEY, context=patch) for _ in range(50))))
    assert len(await site.pages("/v1/actors/a/events", "events")) == 2
    assert (await site.actor("a"))["context"] == patch


async def test_fifty_equal_calls_at_once_for_an_event_nobody_takes_are_one_answer(
    site: Site,
) -> None:
    await site.spawn("a", "v1", "START")
    _same(await together(*(site.send("a", "UPLOAD", KEY) for _ in range(50))))
    _same(await together(*(site.send("a", "MADE_UP", {"Idempotency-Key": "2"}) for _ in range(50))))
    assert (await site.actor("a"))["seq"] == 1


async def test_single_calls_and_batches_at_once_agree_on_one_first_answer(site: Site) -> None:
    await site.spawn("a")
    item = {"actor": "a", "type": "START", "id": "k-1"}
    single, batched = await together(
        together(*(site.send("a", "START", KEY) for _ in range(15))),
        together(*(site.batch([item, item]) for _ in range(15))),
    )
    answers = [reply.body for reply in single] + [one for batch in batched for one in batch]
    assert all(answer == answers[0] for answer in answers)
    assert (await site.actor("a"))["seq"] == 1


async def test_a_retry_at_the_moment_of_a_migration_is_one_event(site: Site) -> None:
    for number in range(20):
        await site.spawn(f"a{number}", "v1", "START")
    calls = [site.send(f"a{number % 20}", "PAY", KEY) for number in range(60)]
    replies, _ = await together(together(*calls), site.migrate())
    for number in range(20):
        assert len({reply.raw for reply in replies[number::20]}) == 1
        actor = await site.actor(f"a{number}")
        assert actor["seq"] == 2
        place = (actor["version"], actor["state"])
        assert place in {("v2", "income"), ("v1", "documents")}


async def _stream(site: Site, *items: object) -> list[object]:
    lines = b"".join(json.dumps(item).encode() + b"\n" for item in items)
    reply = await site.send_raw("/v1/events", lines, "application/x-ndjson")
    return [json.loads(line) for line in reply.raw.splitlines()]


async def test_the_same_key_twice_in_a_stream_is_one_event_and_a_third_body_is_422(
    site: Site,
) -> None:
    await site.spawn("a")
    item = {"actor": "a", "type": "START", "id": "k-1", "data": 1}
    first, second, other = await _stream(site, item, item, item | {"data": 2})
    assert first == second
    assert isinstance(other, dict)
    assert (other["status"], other["type"].rpartition("/")[2]) == (422, "idempotency-key-reused")
    assert (await site.actor("a"))["seq"] == 1


@pytest.mark.parametrize("header", ["Idempotency-Key", "If-Match"])
@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
async def test_a_header_that_would_stand_for_many_events_is_refused(
    site: Site, header: str, kind: str
) -> None:
    await site.spawn("a")
    raw = b'{"actor": "a", "type": "START"}'
    headers = {header: '"0"', "Content-Type": kind}
    reply = await site.call("POST", "/v1/events", data=raw, headers=headers)
    assert (reply.status, reply.kind) == (422, "invalid")
    assert header in reply.detail
    assert (await site.actor("a"))["seq"] == 0


async def test_after_a_restart_every_kind_of_call_is_answered_as_the_first_time(
    shared_url: str, site: Site
) -> None:
    """Another server on the database, which remembers nothing: what is known is in Postgres."""

    async def tell(on: Site) -> list[object]:
        spawned = await on.post("/v1/actors", {"id": "a", "version": "v1"}, headers=KEY)
        start = await on.send("a", "START", KEY)
        ignored = await on.send("a", "APPROVE", {"Idempotency-Key": "k-2"})
        strict = {"Idempotency-Key": "k-3", "Prefer": "handling=strict"}
        refused = await on.send("a", "APPROVE", strict)
        item = {"actor": "a", "type": "PAY", "id": "k-4"}
        listed = await on.batch([item])
        streamed = await _stream(on, item | {"type": "UPLOAD", "id": "k-5"})
        single = [(reply.status, reply.body) for reply in (spawned, start, ignored, refused)]
        return [*single, listed, streamed]

    first = await tell(site)
    database = connect(shared_url, KEYS)
    async with listening(create(database, site.namespace), "127.0.0.1", 0) as url:
        assert await tell(replace(site, database=database, url=url)) == first
    await database.close()
    assert (await site.actor("a"))["seq"] == 3

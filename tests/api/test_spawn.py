"""Spawning: which version, which id, and that a retry finds what the first call made."""

import pytest
from tests.api.conftest import Site, together
from tests.api.definitions import COUNTER, LOAN_2

ACTORS = "/v1/actors"


async def test_an_actor_begins_in_the_initial_state_of_its_version(site: Site) -> None:
    reply = await site.post(ACTORS, {"id": "alice", "version": "v1", "context": {"amount": 1.50}})
    assert reply.status == 201
    assert reply.headers["Location"] == "/v1/actors/alice"
    assert reply.headers["ETag"] == '"0"'
    actor = reply.body
    assert (actor["id"], actor["machine"]) == ("alice", "loan")
    assert (actor["version"], actor["state"], actor["stateValue"]) == ("v1", "idle", "idle")
    assert (actor["seq"], actor["status"], actor["context"]) == (0, "active", {"amount": 1.50})
    assert actor["createdAt"] == actor["updatedAt"]
    assert actor == await site.actor("alice")


async def test_a_machine_means_its_newest_applied_version(site: Site) -> None:
    reply = await site.post(ACTORS, {"id": "a", "machine": "loan"})
    assert reply.body["version"] == "v1"
    await site.declare("v2", LOAN_2, parent="v1")
    assert (await site.post(ACTORS, {"id": "b", "machine": "loan"})).body["version"] == "v1"
    await site.migrate()
    assert (await site.post(ACTORS, {"id": "c", "machine": "loan"})).body["version"] == "v2"


async def test_the_same_wish_again_finds_the_actor_where_it_is_now(site: Site) -> None:
    wish = {"id": "a", "machine": "loan", "context": {"b": 1, "a": {"y": 2, "x": 1}}}
    first = await site.post(ACTORS, wish)
    assert first.status == 201
    for event_type in ("START", "PAY"):
        await site.send("a", event_type)
    await site.migrate()
    reordered = {"context": {"a": {"x": 1, "y": 2}, "b": 1}, "machine": "loan", "id": "a"}
    again = await site.post(ACTORS, reordered)
    assert (again.status, again.headers["ETag"]) == (200, '"2"')
    assert (again.body["version"], again.body["state"]) == ("v2", "income")


@pytest.mark.parametrize(
    "other",
    [
        {"machine": "loan"},
        {"version": "v1", "context": {}},
        {"version": "v1", "context": {"a": 2}},
        {"version": "v2"},
        {"version": "unknown"},
    ],
)
async def test_another_wish_for_the_same_id_is_a_conflict(
    site: Site, other: dict[str, object]
) -> None:
    await site.spawn("a", "v1", context={"a": 1})
    await site.migrate()
    reply = await site.post(ACTORS, {"id": "a", **other})
    assert (reply.status, reply.kind) == (409, "actor-exists")
    assert (await site.actor("a"))["context"] == {"a": 1}


async def test_without_an_id_each_call_makes_an_actor(site: Site) -> None:
    first, second = [await site.post(ACTORS, {"version": "v1"}) for _ in range(2)]
    assert first.status == second.status == 201
    assert first.body["id"] != second.body["id"]


KEY = {"Idempotency-Key": "order-17"}


async def test_without_an_id_the_idempotency_key_makes_one(site: Site) -> None:
    first = await site.post(ACTORS, {"version": "v1"}, headers=KEY)
    quoted = await site.post(ACTORS, {"version": "v1"}, headers={"Idempotency-Key": '"order-17"'})
    assert (first.status, quoted.status) == (201, 201)
    assert first.body == quoted.body


async def test_a_retry_with_the_key_gets_the_first_answer_though_the_actor_has_moved_on(
    site: Site,
) -> None:
    wish = {"id": "a", "version": "v1", "context": {"a": 1}}
    first = await site.post(ACTORS, wish, headers=KEY)
    assert "Idempotency-Replayed" not in first.headers
    await site.send("a", "START", context={"a": 2})
    await site.send("a", "PAY")
    await site.migrate()
    again = await site.post(ACTORS, wish, headers=KEY)
    assert (again.status, again.body) == (201, first.body)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (again.headers["ETag"], again.headers["Location"]) == ('"0"', "/v1/actors/a")
    assert (await site.actor("a"))["context"] == {"a": 2}


@pytest.mark.parametrize("first", [{"version": "v1"}, {"id": "a", "version": "v1"}], ids=repr)
@pytest.mark.parametrize(
    "other",
    [
        {"version": "v1", "context": {}},
        {"machine": "loan"},
        {"id": "b", "version": "v1"},
        {"id": "a", "version": "v1", "context": {}},
    ],
    ids=repr,
)
async def test_the_same_key_with_another_body_is_422_and_spawns_nobody(
    site: Site, first: dict[str, object], other: dict[str, object]
) -> None:
    assert (await site.post(ACTORS, first, headers=KEY)).status == 201
    reply = await site.post(ACTORS, other, headers=KEY)
    assert (reply.status, reply.kind) == (422, "idempotency-key-reused")
    assert len((await site.get(ACTORS)).body["actors"]) == 1


async def test_a_spawn_that_is_refused_does_not_use_up_its_key(site: Site) -> None:
    await site.spawn("a", "v1", context={"a": 1})
    for refused in ({"id": "a", "version": "v1"}, {"version": "nobody"}):
        assert (await site.post(ACTORS, refused, headers=KEY)).status in (409, 422)
    reply = await site.post(ACTORS, {"version": "v1"}, headers=KEY)
    assert (reply.status, "Idempotency-Replayed" in reply.headers) == (201, False)


async def test_a_key_means_another_spawn_in_another_namespace(site: Site) -> None:
    await site.post(ACTORS, {"version": "v1"}, headers=KEY)
    reply = await site.post("/v1/namespaces/elsewhere/actors", {"version": "v1"}, headers=KEY)
    assert reply.kind == "invalid"  # there is no such version, but the key is free


@pytest.mark.parametrize("wish", [{"version": "v1"}, {"id": "a", "version": "v1"}], ids=repr)
async def test_fifty_equal_spawns_at_once_under_one_key_are_one_answer(
    site: Site, wish: dict[str, object]
) -> None:
    replies = await together(*(site.post(ACTORS, wish, headers=KEY) for _ in range(50)))
    assert {reply.status for reply in replies} == {201}
    assert len({reply.raw for reply in replies}) == 1
    assert sum("Idempotency-Replayed" not in reply.headers for reply in replies) == 1


async def test_different_spawns_at_once_under_one_key_make_one_actor(site: Site) -> None:
    wishes = [{"id": f"a{number}", "version": "v1"} for number in range(20)]
    replies = await together(*(site.post(ACTORS, wish, headers=KEY) for wish in wishes))
    assert sorted(reply.status for reply in replies) == [201] + [422] * 19
    assert len((await site.get(ACTORS)).body["actors"]) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"id": "a"},
        {"id": "a", "version": "v1", "machine": "loan"},
        {"id": "a", "version": "nobody"},
        {"id": "a", "machine": "nobody"},
        {"id": "a", "version": "loan"},
        {"id": "a", "version": ""},
        {"id": "a", "version": "x" * 254},
        {"id": "a", "version": 1},
        {"id": "a", "version": None},
        {"id": "a", "version": "v1", "context": []},
        {"id": "a", "version": "v1", "context": None},
        {"id": "a", "version": "v1", "contxt": {}},
        {"id": "a", "version": "v1", "Version": "v1"},
        {"id": None, "version": "v1"},
        {"id": 1, "version": "v1"},
    ],
    ids=repr,
)
async def test_a_wish_that_cannot_be_granted_is_422(site: Site, body: dict[str, object]) -> None:
    assert (await site.post(ACTORS, body)).status == 422
    assert (await site.get(ACTORS)).body["actors"] == []


@pytest.mark.parametrize(
    "actor_id",
    ["", "-a", ".", "..", "a b", "a/b", "a\n", "a\0", "é", "a?", "a#b", "%41", "x" * 254],
)
async def test_an_id_that_is_not_safe_in_a_path_is_422(site: Site, actor_id: str) -> None:
    assert (await site.post(ACTORS, {"id": actor_id, "version": "v1"})).status == 422


@pytest.mark.parametrize("actor_id", ["a", "0", "x" * 253, "a.b_c:d@e~f+g=h,i-j", "A..B"])
async def test_an_id_that_is_taken_is_the_last_part_of_the_path(site: Site, actor_id: str) -> None:
    reply = await site.post(ACTORS, {"id": actor_id, "version": "v1"})
    assert reply.status == 201
    assert (await site.get(reply.headers["Location"])).body == reply.body


async def test_a_version_that_is_only_proposed_takes_no_actors(site: Site) -> None:
    await site.declare("v2", LOAN_2, parent="v1")
    reply = await site.post(ACTORS, {"version": "v2"})
    assert reply.status == 422
    assert "not applied" in reply.detail


async def test_fifty_equal_wishes_at_once_make_one_actor(site: Site) -> None:
    wish = {"id": "a", "version": "v1", "context": {"a": 1}}
    replies = await together(*(site.post(ACTORS, wish) for _ in range(50)))
    assert sorted(reply.status for reply in replies) == [200] * 49 + [201]
    assert len({reply.body["createdAt"] for reply in replies}) == 1


async def test_different_wishes_for_one_id_at_once_make_one_actor(site: Site) -> None:
    replies = await together(
        *(site.post(ACTORS, {"id": "a", "version": "v1", "context": {"n": n}}) for n in range(30))
    )
    assert sorted(reply.status for reply in replies) == [201] + [409] * 29
    [made] = [reply.body for reply in replies if reply.status == 201]
    assert made == await site.actor("a")


async def test_the_first_actors_of_a_new_machine_may_come_all_at_once(site: Site) -> None:
    await site.declare("counter", COUNTER)
    replies = await together(
        *(site.post(ACTORS, {"id": f"a{n}", "machine": "counter"}) for n in range(60))
    )
    assert {reply.status for reply in replies} == {201}
    assert {reply.body["state"] for reply in replies} == {"on"}

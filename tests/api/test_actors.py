"""Reading: lists with their filters and pages, histories, decisions."""

import pytest
from tests.api.conftest import Site
from tests.api.definitions import COUNTER, LOAN_2, PLAYER

ACTORS = "/v1/actors"


async def _crowd(site: Site) -> None:
    """Spawn five kinds of actors on two machines, and move those who paid to ``v2``."""
    await site.declare("player", PLAYER)
    for number in range(3):
        await site.spawn(f"idle-{number}")
        await site.spawn(f"paid-{number}", "v1", "START", "PAY")
        await site.spawn(f"waived-{number}", "v1", "START", "WAIVE")
        await site.spawn(f"done-{number}", "v1", "START", "WAIVE", "UPLOAD", "APPROVE")
        await site.spawn(f"player-{number}", "player", "POWER")
    await site.migrate()


def _kinds(actors: list[dict[str, str]]) -> set[str]:
    return {actor["id"].partition("-")[0] for actor in actors}


async def test_a_list_holds_whom_its_filters_name(site: Site) -> None:
    await _crowd(site)
    for query, kinds in (
        ({}, {"idle", "paid", "waived", "done", "player"}),
        ({"machine": "loan"}, {"idle", "paid", "waived", "done"}),
        ({"machine": "player"}, {"player"}),
        ({"version": "v1"}, {"idle", "waived", "done"}),
        ({"version": "v2"}, {"paid"}),
        ({"status": "done"}, {"done"}),
        ({"status": "active"}, {"idle", "paid", "waived", "player"}),
        ({"state": "idle"}, {"idle"}),
        ({"state": "income"}, {"paid"}),
        ({"state": "inc"}, set()),
        ({"state": "i%"}, set()),
        ({"state": "_dle"}, set()),
        ({"machine": "loan", "version": "v2", "state": "income", "status": "active"}, {"paid"}),
        ({"machine": "player", "version": "v2"}, set()),
        ({"machine": "nobody"}, set()),
        ({"version": "nobody"}, set()),
    ):
        actors = (await site.get(ACTORS, **query)).body["actors"]
        assert _kinds(actors) == kinds, query
        assert len(actors) == 3 * len(kinds)


async def test_a_list_is_in_the_order_of_ids_and_shows_no_context(site: Site) -> None:
    names = ["b", "B", "a", "A", "a-1", "a.1", "a1", "aa", "Z", "z", "10", "9"]
    for name in names:
        await site.spawn(name, "v1", context={"secret": 1})
    actors = (await site.get(ACTORS)).body["actors"]
    assert [actor["id"] for actor in actors] == sorted(names)
    assert not any("context" in actor for actor in actors)


@pytest.mark.parametrize("limit", [1, 2, 7, 15, 16, 1_000])
async def test_all_pages_together_have_everyone_once(site: Site, limit: int) -> None:
    await site.declare("counter", COUNTER)
    names = sorted(f"n{number}" for number in range(15))
    for name in names:
        await site.spawn(name, "counter")
    await site.spawn("other")
    actors = await site.pages(ACTORS, "actors", limit=limit, machine="counter")
    assert [actor["id"] for actor in actors] == names


async def test_who_comes_or_goes_between_two_pages_disturbs_nobody_else(site: Site) -> None:
    for name in ("b", "d", "f"):
        await site.spawn(name, "v1", "START")
    first = (await site.get(ACTORS, limit=2, state="fee")).body
    await site.send("b", "PAY")
    await site.spawn("a", "v1", "START")
    await site.spawn("e", "v1", "START")
    second = (await site.get(ACTORS, limit=2, state="fee", cursor=first["nextCursor"])).body
    assert [actor["id"] for actor in second["actors"]] == ["e", "f"]
    assert "nextCursor" not in second


async def test_a_history_has_every_event_with_the_state_it_led_to_then(site: Site) -> None:
    await site.spawn("a", "v1", "START", "PAY")
    await site.migrate()
    await site.send("a", "VERIFY", data={"document": "payslip"})
    history = (await site.get("/v1/actors/a/events")).body
    assert history["id"] == "a"
    rows = [(e["seq"], e["type"], e["version"], e["state"]) for e in history["events"]]
    assert rows == [
        (1, "START", "v1", "fee"),
        (2, "PAY", "v1", "documents"),
        (3, "VERIFY", "v2", "documents"),
    ]
    assert history["events"][2]["data"] == {"document": "payslip"}
    for limit in (1, 2, 3):
        paged = await site.pages("/v1/actors/a/events", "events", limit=limit)
        assert paged == history["events"]


async def test_an_actor_is_told_every_decision_that_concerned_it(site: Site) -> None:
    await site.spawn("alice", "v1", "START", "PAY")
    await site.spawn("bob", "v1", "START", "WAIVE")
    await site.migrate()
    await site.spawn("late", "v1", "START", "PAY")
    [moved] = (await site.get("/v1/actors/alice/decisions")).body["decisions"]
    [stayed] = (await site.get("/v1/actors/bob/decisions")).body["decisions"]
    assert (moved["outcome"], moved["version"], moved["events"]) == ("Migrate", "v2", 2)
    assert moved["before"] == {"version": "v1", "stateValue": "documents", "state": "documents"}
    assert moved["after"] == {"version": "v2", "stateValue": "income", "state": "income"}
    assert moved["historyPath"] == ["START", "PAY"]
    assert moved["prefixHash"] == moved["fingerprint"] == (await site.actor("alice"))["fingerprint"]
    assert (stayed["outcome"], stayed["reason"]) == ("Stay", "PathNotInHistory")
    assert stayed["detail"] == "event 2 is WAIVE, the path has PAY"
    assert "after" not in stayed
    assert moved["deployment"] == stayed["deployment"]
    assert (await site.get("/v1/actors/late/decisions")).body == {"decisions": []}


async def test_decisions_come_in_the_order_in_which_they_were_made(site: Site) -> None:
    await site.spawn("alice", "v1", "START", "PAY")
    await site.migrate()
    await site.declare("v3", LOAN_2, parent="v2", path=["**", "VERIFY"], apply=True)
    await site.send("alice", "VERIFY")
    await site.declare("v4", LOAN_2, parent="v2", path=["**", "VERIFY"], apply=True)
    decisions = (await site.get("/v1/actors/alice/decisions")).body["decisions"]
    rows = [(one["version"], one["outcome"], one["before"]["version"]) for one in decisions]
    assert rows == [("v2", "Migrate", "v1"), ("v3", "Stay", "v2"), ("v4", "Migrate", "v2")]
    assert await site.place("alice") == ("v4", "documents")


async def test_whoever_has_an_actor_as_it_is_need_not_get_it_again(site: Site) -> None:
    await site.spawn("a", "v1", "START")
    for path in (f"{ACTORS}/a", f"{ACTORS}/a/snapshot"):
        tag = (await site.get(path)).headers["ETag"]
        for known in (tag, f'"0", {tag}', f"W/{tag}", "*"):
            reply = await site.call("GET", path, headers={"If-None-Match": known})
            assert (reply.status, reply.raw, reply.headers["ETag"]) == (304, b"", tag)
        for other in ('"0"', '"1"', "nonsense", ""):
            assert (await site.call("GET", path, headers={"If-None-Match": other})).status == 200


async def test_an_event_changes_the_tag_and_so_does_a_migration(site: Site) -> None:
    await site.spawn("a", "v1", "START")
    path = f"{ACTORS}/a"
    tags = [(await site.get(path)).headers["ETag"]]
    await site.send("a", "PAY")
    tags.append((await site.get(path)).headers["ETag"])
    await site.migrate()
    reply = await site.call("GET", path, headers={"If-None-Match": tags[-1]})
    assert (reply.status, reply.body["version"], reply.body["seq"]) == (200, "v2", 2)
    assert reply.headers["ETag"] not in tags
    sent = await site.send("a", "VERIFY", {"If-Match": reply.headers["ETag"]})
    assert (sent.status, sent.body["seq"]) == (200, 3)
    assert (await site.send("a", "UPLOAD", {"If-Match": tags[0]})).status == 412


async def test_decisions_come_in_pages_too(site: Site) -> None:
    await site.spawn("a", "v1", "START", "PAY")
    for number in range(2, 7):
        await site.declare(f"v{number}", LOAN_2, parent=f"v{number - 1}", apply=True)
    whole = (await site.get(f"{ACTORS}/a/decisions")).body
    assert [one["version"] for one in whole["decisions"]] == ["v2", "v3", "v4", "v5", "v6"]
    assert "nextCursor" not in whole
    for limit in (1, 2, 4, 5):
        paged = await site.pages(f"{ACTORS}/a/decisions", "decisions", limit=limit)
        assert paged == whole["decisions"]


async def test_a_parameter_that_is_given_twice_is_refused(site: Site) -> None:
    reply = await site.call("GET", f"{ACTORS}?status=done&status=active")
    assert (reply.status, reply.kind) == (422, "invalid")
    assert "more than once" in reply.detail

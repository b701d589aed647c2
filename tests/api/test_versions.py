"""Versions, previews of versions that need not exist, and what deployments decided."""

from typing import Any

import pytest
import sqlalchemy as sa
from tests.api.conftest import Site
from tests.api.definitions import COUNTER, LOAN_1, LOAN_2

from statekeep.engine.routing.policy import MigrationPolicy, UnhandledEvents
from statekeep.engine.store import passengers

PREVIEWS = "/v1/previews"
V2 = {"id": "v2", "parentId": "v1", "historyPath": ["START", "PAY"], "definition": LOAN_2}


async def _crowd(site: Site) -> None:
    """Spawn five who paid, four whose fee was waived, three who have only begun, two who are stuck."""
    for kind, size, events in (
        ("paid", 5, ["PAY"]),
        ("waived", 4, ["WAIVE"]),
        ("begun", 3, []),
        ("stuck", 2, ["PAY", "UPLOAD"]),
    ):
        for number in range(size):
            await site.spawn(f"{kind}-{number}", "v1", "START", *events)


async def test_a_version_is_listed_with_its_actors_by_state(site: Site) -> None:
    await _crowd(site)
    await site.declare("v2", LOAN_2, parent="v1", path=["START", "PAY"])
    one, two = (await site.get("/v1/versions")).body["versions"]
    assert (one["name"], one["machine"], one["standing"], one["actors"]) == (
        "v1",
        "loan",
        "Applied",
        14,
    )
    assert {row["state"]: row["actors"] for row in one["states"]} == {
        "documents": 9,
        "fee": 3,
        "review": 2,
    }
    assert (two["name"], two["standing"], two["parentId"], two["actors"]) == (
        "v2",
        "Proposed",
        "v1",
        0,
    )
    assert two["historyPath"] == ["START", "PAY"]
    assert "appliedAt" not in two


@pytest.mark.parametrize("limit", [1, 2, 3, 1_000])
async def test_versions_come_in_pages_and_by_machine(site: Site, limit: int) -> None:
    await site.declare("counter", COUNTER)
    await site.declare("v2", LOAN_2, parent="v1")
    names = [one["name"] for one in await site.pages("/v1/versions", "versions", limit=limit)]
    assert names == ["v1", "counter", "v2"]
    loans = await site.pages("/v1/versions", "versions", limit=limit, machine="loan")
    assert [one["name"] for one in loans] == ["v1", "v2"]
    assert (await site.get("/v1/versions", machine="nobody")).body == {"versions": []}


async def test_a_proposed_version_comes_with_its_preview_and_an_applied_one_with_its_migration(
    site: Site,
) -> None:
    await _crowd(site)
    await site.declare("v2", LOAN_2, parent="v1", path=["START", "PAY"])
    proposed = (await site.get("/v1/versions/v2")).body
    assert proposed["definition"] == LOAN_2
    assert proposed["preview"]["actors"] == {
        "evaluated": 14,
        "wouldMigrate": 5,
        "wouldStay": 7,
        "needsRescue": 2,
    }
    assert proposed["preview"]["id"] in proposed["preview"]["approve"]
    assert "migration" not in proposed
    await site.migrate()
    applied = (await site.get("/v1/versions/v2")).body
    migration = applied["migration"]
    assert (migration["migrated"], migration["stayed"], migration["needsRescue"]) == (5, 7, 2)
    assert migration["previewId"] == proposed["preview"]["id"]
    assert (applied["standing"], applied["actors"]) == ("Applied", 5)
    assert "preview" not in applied


async def test_a_preview_of_a_version_that_does_not_exist_leaves_nothing_behind(
    site: Site,
) -> None:
    await _crowd(site)
    preview = (await site.post(PREVIEWS, V2)).body
    assert preview["actors"]["wouldMigrate"] == 5
    assert preview["moves"] == [{"from": "documents", "to": "income", "actors": 5}]
    assert {row["reason"] for row in preview["stays"]} == {"PathNotInHistory", "NeedsRescue"}
    assert (await site.get("/v1/versions/v2")).status == 404
    await site.declare("v2", LOAN_2, parent="v1", path=["START", "PAY"])
    stored = (await site.get("/v1/versions/v2")).body["preview"]
    assert stored["id"] == preview["id"]


async def _sides(site: Site, limit: int) -> dict[str, list[Any]]:
    """Walk both lists of a preview to their ends."""
    sides: dict[str, list[Any]] = {"wouldMigrate": [], "wouldStay": []}
    for side, cursor in (("wouldMigrate", "migrateCursor"), ("wouldStay", "stayCursor")):
        query: dict[str, str | int] = {"limit": limit}
        while True:
            answer = (await site.post(PREVIEWS, V2, params=query)).body
            page = answer["migration"][side]
            assert len(page["actors"]) <= limit
            if cursor in query:
                assert answer == {"migration": {side: page}}
            sides[side] += page["actors"]
            if "nextCursor" not in page:
                break
            query[cursor] = page["nextCursor"]
    return sides


@pytest.mark.parametrize("limit", [1, 4, 5, 9, 1_000])
async def test_a_preview_names_everybody_once_on_one_side(site: Site, limit: int) -> None:
    await _crowd(site)
    sides = await _sides(site, limit)
    moving = [one["id"] for one in sides["wouldMigrate"]]
    staying = [one["id"] for one in sides["wouldStay"]]
    assert moving == [f"paid-{number}" for number in range(5)]
    assert staying == sorted(set(staying))
    assert len(staying) == 9
    assert {one["to"] for one in sides["wouldMigrate"]} == {"income"}
    assert {one["reason"] for one in sides["wouldStay"] if one["id"].startswith("stuck")} == {
        "NeedsRescue"
    }


@pytest.mark.parametrize("limit", [1, 4, 1_000])
async def test_a_preview_names_everybody_though_its_pages_are_short(
    site: Site, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    await _crowd(site)
    wanted = await _sides(site, 1_000)
    monkeypatch.setattr(passengers, "ACTORS", 3)
    first = (await site.post(PREVIEWS, V2, params={"limit": limit})).body
    assert first["migration"]["wouldMigrate"].keys() == {"actors", "nextCursor"}
    assert (
        first["migration"]["wouldMigrate"]["actors"] == []
    )  # of those who have begun nobody would
    assert first["actors"]["wouldMigrate"] == 5
    assert await _sides(site, limit) == wanted


async def test_a_page_behind_a_cursor_counts_nobody_and_reads_no_other_histories(
    site: Site,
) -> None:
    await _crowd(site)
    asked: list[str] = []

    def note(*event: Any) -> None:
        asked.append(event[2])

    engine = site.database.engine.sync_engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        first = (await site.post(PREVIEWS, V2, params={"limit": 1})).body["migration"]
        assert any("count(*)" in one for one in asked)
        assert any("where c.version_id" in one for one in asked)
        asked.clear()
        query = {"limit": 1, "stayCursor": first["wouldStay"]["nextCursor"]}
        assert (await site.post(PREVIEWS, V2, params=query)).status == 200
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    assert any("limit" in one for one in asked)
    assert not any("count(*)" in one or "where c.version_id" in one for one in asked)


async def test_both_lists_of_a_preview_are_turned_at_once(site: Site) -> None:
    await _crowd(site)
    first = (await site.post(PREVIEWS, V2, params={"limit": 3})).body["migration"]
    cursors = {
        "migrateCursor": first["wouldMigrate"]["nextCursor"],
        "stayCursor": first["wouldStay"]["nextCursor"],
    }
    second = (await site.post(PREVIEWS, V2, params={"limit": 3, **cursors})).body
    assert second.keys() == {"migration"}
    names = {
        side: [one["id"] for one in page["actors"]] for side, page in second["migration"].items()
    }
    assert names == {
        "wouldMigrate": ["paid-3", "paid-4"],
        "wouldStay": ["stuck-0", "stuck-1", "waived-0"],
    }


@pytest.mark.parametrize(
    "change",
    [
        {"parentId": "nobody"},
        {"parentId": ""},
        {"id": ""},
        {"historyPath": []},
        {"historyPath": [""]},
        {"historyPath": [1]},
        {"historyPath": ["A"] * 257},
        {"historyPath": None},
        {"migration": {"unhandledEvents": "Ignore"}},
        {"migration": {"unhandledevents": "Skip"}},
        {"migration": None},
        {"definition": []},
        {"definition": None},
        {"approval": "Automatic"},
    ],
    ids=repr,
)
async def test_a_preview_of_what_no_manifest_could_say_is_422(
    site: Site, change: dict[str, object]
) -> None:
    assert (await site.post(PREVIEWS, V2 | change)).status == 422


@pytest.mark.parametrize(
    "definition",
    [
        {"id": "m", "initial": "nowhere", "states": {"a": {}}},
        {"id": "m", "initial": "a", "states": {"a": {"on": {"X": "b"}}}},
        {"id": "m", "initial": "a", "states": {"a": {"always": "b"}, "b": {"always": "a"}}},
        {"id": "m", "meta": {"n": 2**60}},
        {"id": "m", "states": {"": {}}},
        {"id": 7},
        {"id": "m", "type": "history"},
        {"id": "m\0", "initial": "a\0", "states": {"a\0": {}}},
    ],
    ids=repr,
)
async def test_a_definition_with_errors_is_answered_with_the_place_of_each(
    site: Site, definition: dict[str, object]
) -> None:
    reply = await site.post(PREVIEWS, V2 | {"definition": definition})
    assert reply.status == 422
    assert all(
        error["pointer"].startswith("/definition") and error["code"] and error["detail"]
        for error in reply.body["errors"]
    )


async def test_a_preview_under_a_parent_that_is_only_proposed_is_422(site: Site) -> None:
    await site.declare("v2", LOAN_2, parent="v1")
    reply = await site.post(PREVIEWS, V2 | {"id": "v3", "parentId": "v2"})
    assert reply.status == 422
    assert "not applied" in reply.detail


async def test_a_preview_that_skips_shows_what_it_skips(site: Site) -> None:
    await site.spawn("a", "v1", "START", "WAIVE", "UPLOAD", "BACK")
    body = {"id": "v2", "parentId": "v1", "definition": LOAN_2}
    assert (await site.post(PREVIEWS, body)).body["actors"]["needsRescue"] == 1
    skipping = body | {"migration": {"unhandledEvents": "Skip"}}
    preview = (await site.post(PREVIEWS, skipping)).body
    assert preview["moves"][0]["skipped"] == ["BACK"]
    policy = MigrationPolicy(unhandled_events=UnhandledEvents.SKIP)
    await site.declare("v2", LOAN_2, parent="v1", policy=policy, apply=True)
    [decision] = (await site.get("/v1/actors/a/decisions")).body["decisions"]
    assert decision["skipped"] == {"BACK": 1}


async def _deployment(site: Site) -> str:
    await _crowd(site)
    await site.migrate()
    number = (await site.get("/v1/versions/v2")).body["migration"]["deployment"]
    return f"/v1/deployments/{number}/decisions"


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 1_000])
async def test_a_deployment_tells_its_decisions_by_cohort_and_by_actor(
    site: Site, limit: int
) -> None:
    path = await _deployment(site)
    cohorts = await site.pages(path, "decisions", limit=limit)
    rows = sorted(
        (one["events"], one["outcome"], one.get("reason"), one["actors"]) for one in cohorts
    )
    assert rows == [
        (1, "Stay", "PathNotInHistory", 3),
        (2, "Migrate", None, 5),
        (2, "Stay", "PathNotInHistory", 4),
        (3, "Stay", "NeedsRescue", 2),
    ]
    by_actor = await site.pages(path, "decisions", actors="true", limit=limit)
    names = [one["actor"] for one in by_actor]
    assert names == sorted(set(names))
    assert len(names) == 14
    for one in by_actor:
        assert (one["outcome"] == "Migrate") == one["actor"].startswith("paid")


async def test_who_came_later_or_was_elsewhere_is_in_no_decision(site: Site) -> None:
    await site.declare("counter", COUNTER)
    await site.spawn("elsewhere", "counter")
    path = await _deployment(site)
    await site.spawn("late", "v1", "START", "PAY")
    for name in ("paid-0", "waived-0"):
        await site.send(name, "VERIFY" if name == "paid-0" else "UPLOAD")
    await site.declare("v3", LOAN_1, parent="v1", apply=True)
    by_actor = await site.pages(path, "decisions", actors="true")
    assert len(by_actor) == 14
    assert {"elsewhere", "late"}.isdisjoint(one["actor"] for one in by_actor)
    assert {one["version"] for one in by_actor} == {"v2"}
    for actors in ("yes", "", "True"):
        assert (await site.get(path, actors=actors)).status == 422

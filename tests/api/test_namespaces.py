"""What is in one namespace does not exist in another, on any route."""

from dataclasses import replace

import pytest
from tests.api.conftest import Site
from tests.api.definitions import COUNTER, LOAN_1, LOAN_2

from statekeep.engine.ids import Namespace


@pytest.fixture
async def other(site: Site) -> Site:
    """Another namespace of the same server, with a machine of the same name."""
    namespace = Namespace(f"{site.namespace}-other")
    other = replace(site, namespace=namespace)
    await other.declare("v1", LOAN_1, machine="loan")
    return other


def under(namespace: str, path: str) -> str:
    return f"/v1/namespaces/{namespace}{path}"


async def test_the_namespace_of_the_server_may_be_named_or_left_out(site: Site) -> None:
    await site.spawn("a", "v1", "START")
    for path in ("/actors", "/actors/a", "/actors/a/events", "/actors/a/snapshot", "/versions"):
        named = await site.get(under(site.namespace, path))
        assert named.status == 200
        assert named.raw == (await site.get("/v1" + path)).raw


async def test_one_id_names_two_actors_in_two_namespaces(site: Site, other: Site) -> None:
    await site.spawn("a", "v1", "START", "PAY")
    reply = await site.post(under(other.namespace, "/actors"), {"id": "a", "version": "v1"})
    assert reply.status == 201
    assert reply.headers["Location"] == under(other.namespace, "/actors/a")
    theirs = (await site.get(reply.headers["Location"])).body
    assert (theirs["state"], theirs["seq"]) == ("idle", 0)

    item = {"actor": "a", "type": "START"}
    [result] = (await site.post(under(other.namespace, "/events"), [item])).body
    assert (result["state"], result["seq"]) == ("fee", 1)
    sent = await site.post(under(other.namespace, "/actors/a/events"), {"type": "WAIVE"})
    assert sent.body["seq"] == 2
    assert (await site.get(under(other.namespace, "/actors/a/events"))).body["events"][1][
        "type"
    ] == "WAIVE"
    assert [e["type"] for e in await site.pages("/v1/actors/a/events", "events")] == [
        "START",
        "PAY",
    ]


async def test_one_idempotency_key_makes_two_actors_in_two_namespaces(
    site: Site, other: Site
) -> None:
    headers = {"Idempotency-Key": "k"}
    mine = await site.post("/v1/actors", {"version": "v1"}, headers=headers)
    path = under(other.namespace, "/actors")
    theirs = await site.post(path, {"version": "v1"}, headers=headers)
    assert (mine.status, theirs.status) == (201, 201)
    assert mine.body["id"] != theirs.body["id"]


async def test_what_another_namespace_has_is_not_there(site: Site, other: Site) -> None:
    await site.spawn("mine", "v1", "START", "PAY")
    await site.declare("counter", COUNTER)
    await site.migrate()
    number = (await site.get("/v1/versions/v2")).body["migration"]["deployment"]
    for path in (
        "/actors/mine",
        "/actors/mine/events",
        "/actors/mine/decisions",
        "/actors/mine/snapshot",
        "/versions/v2",
        "/versions/counter",
        f"/deployments/{number}/decisions",
    ):
        assert (await site.get("/v1" + path)).status == 200
        assert (await site.get(under(other.namespace, path))).status == 404, path
    assert (await site.get(under(other.namespace, "/actors"))).body["actors"] == []
    versions = (await site.get(under(other.namespace, "/versions"))).body["versions"]
    assert [version["name"] for version in versions] == ["v1"]
    assert versions[0]["actors"] == 0
    sent = await site.post(under(other.namespace, "/actors/mine/events"), {"type": "VERIFY"})
    assert sent.status == 404
    for target in ({"version": "v2"}, {"machine": "counter"}):
        assert (await site.post(under(other.namespace, "/actors"), target)).status == 422
    body = {"id": "v3", "parentId": "v2", "definition": LOAN_2}
    assert (await site.post(under(other.namespace, "/previews"), body)).status == 422


async def test_a_deployment_moves_nobody_of_another_namespace(site: Site, other: Site) -> None:
    await site.spawn("a", "v1", "START", "PAY")
    await site.post(under(other.namespace, "/actors"), {"id": "a", "version": "v1"})
    for event_type in ("START", "PAY"):
        await site.post(under(other.namespace, "/actors/a/events"), {"type": event_type})
    body = {"id": "v2", "parentId": "v1", "definition": LOAN_2}
    preview = (await site.post(under(other.namespace, "/previews"), body)).body
    assert preview["actors"]["evaluated"] == 1
    await site.migrate()
    assert (await site.get(under(other.namespace, "/actors/a"))).body["version"] == "v1"
    assert (await site.actor("a"))["version"] == "v2"


async def test_an_unknown_namespace_is_empty(site: Site) -> None:
    assert (await site.get(under("nobody-lives-here", "/actors"))).body == {"actors": []}
    assert (await site.get(under("nobody-lives-here", "/versions"))).body == {"versions": []}


async def test_the_same_names_with_the_same_fate_stay_apart(site: Site, other: Site) -> None:
    """Ids that a caller can guess, and cursors that they were given elsewhere, lead nowhere else."""
    for one in (site, other):
        for name in ("a", "b", "c"):
            path = under(one.namespace, "/actors")
            body = {"id": name, "version": "v1", "context": {"in": one.namespace}}
            await site.post(path, body)
            for event_type in ("START", "PAY"):
                data = {"in": one.namespace}
                sent = {"type": event_type, "data": data, "id": event_type}
                await site.post(under(one.namespace, f"/actors/{name}/events"), sent)
        await one.migrate()

    async def deployment(one: Site) -> int:
        version = (await site.get(under(one.namespace, "/versions/v2"))).body
        assert version["actors"] == 3
        return int(version["migration"]["deployment"])

    mine, theirs = await deployment(site), await deployment(other)
    assert mine == theirs == 1
    for one, own in ((site, mine), (other, theirs)):
        for query in ({}, {"actors": "true"}):
            path = under(one.namespace, f"/deployments/{own}/decisions")
            found = await site.get(path, **query)
            assert found.status == 200
            assert sum(row.get("actors", 1) for row in found.body["decisions"]) == 3
            path = under(one.namespace, f"/deployments/{own + 1}/decisions")
            assert (await site.get(path, **query)).status == 404
        page = (await site.get(under(one.namespace, "/actors/a/events"))).body
        assert [event["data"] for event in page["events"]] == [{"in": one.namespace}] * 2
        context = (await site.get(under(one.namespace, "/actors/a"))).body["context"]
        assert context == {"in": one.namespace}
        shown = (await site.get(under(one.namespace, "/actors/a/decisions"))).body["decisions"]
        assert [decision["deployment"] for decision in shown] == [own]

    for path, key in (
        ("/actors", "actors"),
        ("/actors/a/events", "events"),
        ("/deployments/{}/decisions?actors=true", "decisions"),
        ("/deployments/{}/decisions", "decisions"),
    ):
        join = "&" if "?" in path else "?"
        first = await site.get(under(site.namespace, path.format(mine)) + join + "limit=1")
        cursor = first.body["nextCursor"]
        paged = f"{path.format(theirs)}{join}cursor={cursor}"
        assert (await site.get(under(other.namespace, paged))).status == 422
        found = (await site.get(under(site.namespace, paged))).body[key]
        everything = (await site.get(under(site.namespace, path.format(mine)))).body[key]
        assert first.body[key] + found == everything


async def test_an_id_with_a_slash_reaches_into_no_other_namespace(site: Site, other: Site) -> None:
    await site.spawn("a")
    for name in (f"..%2F{other.namespace}%2Fa", f"{site.namespace}%2Fa", "%2Fa", "a%2F"):
        for path in (f"/v1/actors/{name}", f"/v1/actors/{name}/events"):
            assert (await site.get(path)).status == 404
        sent = await site.post(f"/v1/actors/{name}/events", {"type": "START"})
        assert sent.status == 404

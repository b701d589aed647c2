"""Whatever a caller sends, the answer is a problem that says what is wrong (RFC 9457)."""

import pytest
from tests.api.conftest import Site

ACTORS = "/v1/actors"
EVENTS = "/v1/actors/a/events"
BATCH = "/v1/events"
PREVIEWS = "/v1/previews"
POSTS = (ACTORS, EVENTS, BATCH, PREVIEWS)


async def test_a_path_that_is_not_there_is_404(site: Site) -> None:
    for path in ("/", "/v1", "/v2/actors", "/v1/actors/a/b/c", "/v1/namespaces/x", "/%00", "/%ff"):
        assert (await site.get(path)).status == 404, path


async def test_a_method_that_a_path_does_not_take_is_405_and_names_those_it_takes(
    site: Site,
) -> None:
    reply = await site.call("DELETE", ACTORS)
    assert (reply.status, reply.kind) == (405, "method-not-allowed")
    assert {method.strip() for method in reply.headers["Allow"].split(",")} == {"GET", "POST"}
    assert (await site.call("PUT", BATCH)).status == 405
    assert (await site.call("POST", "/v1/versions", json={})).status == 405


@pytest.mark.parametrize("path", POSTS)
async def test_a_body_that_is_not_called_json_is_415(site: Site, path: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp", ";;"):
        reply = await site.send_raw(path, b"{}", kind)
        assert (reply.status, reply.kind) == (415, "unsupported-media-type")


async def test_a_body_beyond_the_limit_is_413(site: Site) -> None:
    raw = b'{"id": "a", "version": "v1", "context": {"a": "%s"}}' % (b"x" * 9 * 1024 * 1024)
    reply = await site.send_raw(ACTORS, raw)
    assert (reply.status, reply.kind) == (413, "too-large")


BROKEN = {
    "nothing": b"",
    "blank": b"  \n",
    "half": b'{"type": ',
    "two values": b"{} {}",
    "not a number": b'{"type": "A", "data": NaN}',
    "a comment": b'{"type": "A"} // x',
    "a byte order mark": b'\xef\xbb\xbf{"type": "A"}',
    "not UTF-8": b'{"type": "\xff"}',
    "UTF-16": '{"type": "A"}'.encode("utf-16"),
    "half of a surrogate pair": b'{"type": "A\\ud800B"}',
    "a NUL": b'{"type": "A\0B"}',
}


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
async def test_a_body_that_is_not_json_is_400(site: Site, path: str, raw: bytes) -> None:
    reply = await site.send_raw(path, raw)
    assert (reply.status, reply.kind) == (400, "not-json")


@pytest.mark.parametrize("path", POSTS)
async def test_a_body_of_another_shape_is_422(site: Site, path: str) -> None:
    shapes = (b"null", b"1", b'"a"', b"true", b"{}" if path == BATCH else b"[]")
    for raw in shapes:
        assert (await site.send_raw(path, raw)).status == 422, raw


@pytest.mark.parametrize("depth", [301, 500, 700, 900, 950, 980, 990, 1_000, 5_000, 1_000_000])
async def test_a_body_that_is_nested_too_deeply_is_422(site: Site, depth: int) -> None:
    await site.spawn("a", "v1", "START", "PAY")
    opened, closed = b'{"a":' * depth, b"}" * depth
    nested = opened + b"1" + closed
    for path, raw in (
        (ACTORS, b'{"id": "b", "version": "v1", "context": ' + nested + b"}"),
        (EVENTS, b'{"type": "NOTE", "data": ' + nested + b"}"),
        (EVENTS, b'{"type": "NOTE", "context": ' + nested + b"}"),
        (PREVIEWS, b'{"id": "v2", "parentId": "v1", "definition": ' + nested + b"}"),
    ):
        assert (await site.send_raw(path, raw)).status in (413, 422), path
    reply = await site.send_raw(
        BATCH, b'[{"actor": "a", "type": "NOTE", "context": ' + nested + b"}]"
    )
    assert reply.status in (413, 422) or reply.body[0]["status"] == 422
    assert (await site.actor("a"))["seq"] == 2


async def test_a_number_that_nobody_could_keep_is_422(site: Site) -> None:
    await site.spawn("a")
    for number in (b"9" * 5_000, b"-" + b"9" * 400_000, b"1e400"):
        for path, raw in (
            (ACTORS, b'{"version": "v1", "context": {"n": %s}}' % number),
            (EVENTS, b'{"type": "START", "data": %s}' % number),
            (PREVIEWS, b'{"id": "v2", "parentId": "v1", "definition": {"meta": %s}}' % number),
        ):
            assert (await site.send_raw(path, raw)).status == 422, (path, number[:5])


async def test_a_text_with_a_nul_is_refused_where_a_name_is_meant(site: Site) -> None:
    await site.spawn("a")
    for path, body in (
        (ACTORS, {"id": "a\0", "version": "v1"}),
        (ACTORS, {"version": "v1\0"}),
        (ACTORS, {"machine": "\0"}),
        (EVENTS, {"type": "START\0"}),
        (EVENTS, {"type": "START", "id": "k\0"}),
        (PREVIEWS, {"id": "v2", "parentId": "v1\0", "definition": {}}),
        (PREVIEWS, {"id": "v2\0", "parentId": "v1", "definition": {}}),
        (PREVIEWS, {"id": "v2", "parentId": "v1", "historyPath": ["A\0"], "definition": {}}),
    ):
        assert (await site.post(path, body)).status == 422, body
    [result] = await site.batch([{"actor": "a", "type": "START", "id": "\0"}])
    assert result["status"] == 422


@pytest.mark.parametrize(
    "path",
    [
        "/v1/actors/%00",
        "/v1/actors/a%00b/events",
        "/v1/actors/a%0A",
        "/v1/actors/%ff%fe",
        "/v1/actors/a%2Fb",
        "/v1/actors/..%2F..",
        "/v1/actors/%ED%A0%80",
        "/v1/actors/" + "x" * 5_000,
        "/v1/actors/é/snapshot",
        "/v1/actors/%00/decisions",
        "/v1/versions/%00",
        "/v1/versions/%ff",
        "/v1/versions/nobody",
        "/v1/deployments/%00/decisions",
        "/v1/deployments/0/decisions",
        "/v1/deployments/-1/decisions",
        "/v1/deployments/99999999999999999999/decisions",
        "/v1/deployments/²/decisions",
        "/v1/deployments/one/decisions",
    ],
)
async def test_what_no_one_can_be_called_is_404(site: Site, path: str) -> None:
    await site.spawn("a")
    reply = await site.get(path)
    assert (reply.status, reply.kind) == (404, "not-found")


async def test_a_namespace_that_is_no_dns_label_is_422(site: Site) -> None:
    for name in ("A", "a_b", "-a", "a-", "a%0A", "%00", "x" * 64, "%ff", "a.b", "é"):
        assert (await site.get(f"/v1/namespaces/{name}/actors")).status == 422, name


LISTS = ("/v1/actors", "/v1/actors/a/events")


@pytest.mark.parametrize("path", LISTS)
async def test_a_limit_that_is_no_page_size_is_422(site: Site, path: str) -> None:
    await site.spawn("a")
    for limit in ("0", "-1", "1001", "1e3", "", " 1", "²", "9" * 5_000, "000001000999", "\0", "x"):
        assert (await site.get(path, limit=limit)).status == 422, limit
    assert (await site.get(path, limit="1000")).status == 200


CURSORS: dict[str, str | tuple[str | int, ...]] = {
    "empty": "",
    "not base64": "!!!",
    "not ASCII": "é",
    "too short": "AAAA",
    "not sealed": "WyJhIl0",
    "of another key": "A" * 40,
    "a NUL": "\0",
    "endless": "A" * 5_000,
    "a name with a NUL": ("a\0",),
    "a negative number": (-1,),
    "an empty list": (),
    "another list's": (1, 1, 1),
}
"""As they are, or the places that they stand for."""


@pytest.mark.parametrize("which", CURSORS)
async def test_a_cursor_that_nobody_gave_out_is_422(site: Site, which: str) -> None:
    made = CURSORS[which]
    cursor = made if isinstance(made, str) else await site.cursor_of(*made)
    await site.spawn("a", "v1", "START", "PAY")
    await site.migrate()
    deployment = (await site.get("/v1/versions/v2")).body["migration"]["deployment"]
    body = {"id": "v3", "parentId": "v1", "definition": {"id": "m"}}
    for path in (*LISTS, f"/v1/deployments/{deployment}/decisions"):
        assert (await site.get(path, cursor=cursor)).status == 422, path
    by_actor = await site.get(
        f"/v1/deployments/{deployment}/decisions", actors="true", cursor=cursor
    )
    assert by_actor.status == 422
    for name in ("migrateCursor", "stayCursor"):
        assert (await site.post(PREVIEWS, body, params={name: cursor})).status == 422


async def test_a_misspelt_query_parameter_is_422_on_every_route(site: Site) -> None:
    await site.spawn("a", "v1", "START", "PAY")
    await site.migrate()
    deployment = (await site.get("/v1/versions/v2")).body["migration"]["deployment"]
    for path in (
        *LISTS,
        "/v1/actors/a",
        "/v1/actors/a/decisions",
        "/v1/actors/a/snapshot",
        "/v1/versions",
        "/v1/versions/v1",
        f"/v1/deployments/{deployment}/decisions",
    ):
        reply = await site.get(path, statee="idle")
        assert reply.status == 422, path
        assert "statee" in reply.detail
    for path in POSTS:
        reply = await site.post(path, [] if path == BATCH else {}, params={"strict": "true"})
        assert reply.status == 422, path
        assert "strict" in reply.detail
    assert (await site.actor("a"))["seq"] == 2


async def test_a_filter_with_a_nul_is_422(site: Site) -> None:
    for name in ("version", "machine", "state", "status"):
        assert (await site.get(ACTORS, **{name: "a\0"})).status == 422
    assert (await site.get(ACTORS, status="sleeping")).status == 422


async def test_headers_that_cannot_be_read_are_400(site: Site) -> None:
    await site.spawn("a")
    for headers in (
        {"If-Match": "1"},
        {"If-Match": '"x"'},
        {"If-Match": '"-1"'},
        {"If-Match": '"1", "2"'},
        {"If-Match": '"' + "9" * 400 + '"'},
        {"Idempotency-Key": ""},
        {"Idempotency-Key": '""'},
        {"Idempotency-Key": "a\tb"},
        {"Idempotency-Key": "x" * 256},
        {"Idempotency-Key": "\udcff"},
    ):
        assert (await site.send("a", "START", headers)).status == 400, headers
    assert (await site.actor("a"))["seq"] == 0

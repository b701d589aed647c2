"""CloudEvents on ``/v1/events``: both modes of HTTP, from the official producer and from rude ones."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from cloudevents.core.bindings import http
from cloudevents.core.v1.event import CloudEvent
from tests.api.conftest import Reply, Site

EVENTS = "/v1/events"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def event(**attributes: Any) -> dict[str, Any]:
    """Return a CloudEvent in its JSON format."""
    mine = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "START", "subject": "a"}
    return mine | attributes


def headers(**attributes: str) -> dict[str, str]:
    """Return the headers of the binary mode."""
    return {f"ce-{name}": value for name, value in event(**attributes).items()}


async def structured(site: Site, *, kind: str = STRUCTURED, **attributes: Any) -> Reply:
    return await site.send_raw(EVENTS, json.dumps(event(**attributes)).encode(), kind)


async def binary(
    site: Site, raw: bytes = b"", kind: str | None = "application/json", **attributes: str
) -> Reply:
    more = {} if kind is None else {"Content-Type": kind}
    skip = ["Content-Type"] if kind is None else []
    return await site.call(
        "POST",
        EVENTS,
        data=raw,
        headers=headers(**attributes) | more,
        skip_auto_headers=skip,
    )


async def data(site: Site, actor_id: str = "a") -> list[Any]:
    events = (await site.get(f"/v1/actors/{actor_id}/events")).body["events"]
    return [one.get("data", "none") for one in events]


@pytest.mark.parametrize("produce", [http.to_structured_event, http.to_binary_event])
async def test_what_the_official_producer_sends_is_processed_once(
    site: Site, produce: Callable[[CloudEvent], http.HTTPMessage]
) -> None:
    await site.spawn("a")
    attributes = {"type": "START", "source": "/büro?x=1%20", "subject": "a", "shard": "7"}
    content = {"amount": 1, "note": "für Dich"}
    produced = CloudEvent(attributes | {"datacontenttype": "application/json"}, content)
    message = produce(produced)
    first, again = [
        await site.call("POST", EVENTS, data=message.body, headers=message.headers)
        for _ in range(2)
    ]
    assert (first.status, first.body["seq"]) == (200, 1), first
    assert again.body == first.body
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await data(site) == [content]


async def test_an_answer_is_that_to_a_single_event(site: Site) -> None:
    await site.spawn("a")
    reply = await structured(site)
    assert reply.headers["ETag"] == '"1"'
    assert (reply.body["id"], reply.body["state"], reply.body["handled"]) == ("a", "fee", True)
    ignored = await structured(site, id="2", type="NOTE")
    assert (ignored.status, ignored.body["handled"]) == (200, False)
    assert (await structured(site, id="3", subject="nobody")).status == 404


async def test_the_conditions_of_a_single_event_hold(site: Site) -> None:
    await site.spawn("a", "v1", "START")
    reply = await site.call(
        "POST", EVENTS, headers=headers(type="PAY") | {"If-Match": '"0"'}, data=b""
    )
    assert (reply.status, reply.kind) == (412, "seq-differs")
    strict = headers(type="NOTE") | {"Prefer": "handling=strict"}
    reply = await site.call("POST", EVENTS, headers=strict, data=b"")
    assert (reply.status, reply.kind) == (409, "unhandled")


async def test_source_and_id_together_name_an_event(site: Site) -> None:
    await site.spawn("a", "v1", "START", "PAY")
    for source, event_type in (("/shop", "NOTE"), ("/shop", "NOTE"), ("/bank", "NOTE")):
        assert (await structured(site, source=source, type=event_type)).status == 200
    assert (await site.actor("a"))["seq"] == 4
    reused = await structured(site, source="/shop", type="UPLOAD")
    assert (reused.status, reused.kind) == (422, "idempotency-key-reused")
    plain = await site.send("a", "NOTE", headers={"Idempotency-Key": "/bank 1"})
    assert plain.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize(
    ("raw", "kind", "stored"),
    [
        (b'{"pages": [1, 2]}', "application/json", {"pages": [1, 2]}),
        (b'"x"', "application/vnd.shop+json; charset=utf-8", "x"),
        (b"1", None, 1),
        (b"", "application/json", "none"),
        (b"null", "application/json", None),
        ("für Dich".encode(), "text/plain", "für Dich"),
        (b"<a/>", "text/xml", "<a/>"),
    ],
)
async def test_data_is_json_or_text_in_both_modes(
    site: Site, raw: bytes, kind: str | None, stored: object
) -> None:
    await site.spawn("a")
    assert (await binary(site, raw, kind)).status == 200
    assert await data(site) == [stored]
    if raw:
        await site.spawn("b")
        more = {} if kind is None else {"datacontenttype": kind}
        encoded = base64.b64encode(raw).decode()
        assert (await structured(site, subject="b", data_base64=encoded, **more)).status == 200
        assert await data(site, "b") == [stored]


async def test_data_of_the_json_format_is_taken_as_it_is(site: Site) -> None:
    await site.spawn("a")
    assert (await structured(site, data={"a": [None]}, dataschema="https://x")).status == 200
    text = {"data": "<a/>", "datacontenttype": "application/xml", "id": "2", "type": "PAY"}
    assert (await structured(site, **text)).status == 200
    assert await data(site) == [{"a": [None]}, "<a/>"]


@pytest.mark.parametrize(
    ("changed", "detail"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"subject": ""}, "subject"),
        ({"subject": "no body"}, "subject"),
        ({"id": ""}, "id"),
        ({"source": ""}, "source"),
        ({"source": "a b"}, "source"),
        ({"source": "/a\n"}, "source"),
        ({"source": "/" + "s" * 254, "id": "1"}, "257 characters together"),
        ({"type": ""}, "type"),
        ({"type": "xstate.init"}, "type"),
        ({"id": 7}, "id"),
        ({"data": 1, "data_base64": "MQ=="}, "exclude each other"),
        ({"data_base64": "M"}, "Base64"),
        ({"data_base64": "aGk="}, 'say what it is, such as "datacontenttype": "text/plain"'),
        (
            {"data_base64": "aGk=", "datacontenttype": "application/json"},
            "data_base64 is not JSON, though datacontenttype is application/json",
        ),
    ],
)
async def test_an_attribute_that_cannot_be_used_is_named(
    site: Site, changed: dict[str, Any], detail: str
) -> None:
    await site.spawn("a")
    reply = await structured(site, **changed)
    assert (reply.status, reply.kind) == (422, "invalid")
    assert detail in reply.detail
    assert (await site.actor("a"))["seq"] == 0


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type", "subject"])
async def test_an_attribute_that_is_missing_is_named_in_both_modes(
    site: Site, missing: str
) -> None:
    for reply in (
        await site.send_raw(
            EVENTS,
            json.dumps({k: v for k, v in event().items() if k != missing}).encode(),
            STRUCTURED,
        ),
        await site.call(
            "POST", EVENTS, headers={k: v for k, v in headers().items() if k != f"ce-{missing}"}
        ),
    ):
        assert (reply.status, reply.kind) == (422, "invalid")
        assert f"missing required field `{missing}`" in reply.detail


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("caf%C3%A9", "café"),
        ("100%25", "100%"),
        ("%2541", "%41"),
        ('"quoted \\"id\\""', 'quoted "id"'),
        ("  around  ", "around"),
    ],
)
async def test_headers_are_decoded_exactly_once(site: Site, written: str, meant: str) -> None:
    await site.spawn("a")
    assert (await binary(site, id=written)).status == 200
    again = await structured(site, id=meant)
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_headers_that_mean_nothing_are_refused(site: Site) -> None:
    await site.spawn("a")
    refused: list[tuple[dict[str, Any], str]] = [
        ({"id": "%FF"}, "UTF-8"),
        ({"datacontenttype": "application/json"}, "Content-Type"),
        ({"data": "1"}, "the body is the data"),
    ]
    for wrong, detail in refused:
        reply = await binary(site, **wrong)
        assert (reply.status, reply.kind) == (422, "invalid")
        assert detail in reply.detail
    twice = [*headers().items(), ("ce-id", "2")]
    reply = await site.call("POST", EVENTS, headers=twice)
    assert (reply.status, reply.kind) == (422, "invalid")
    assert "twice" in reply.detail
    assert (await binary(site, b"{", "application/json")).kind == "not-json"
    assert (await binary(site, b"\xff", "text/plain")).kind == "invalid"


@pytest.mark.parametrize(
    "kind", ["application/octet-stream", "application/xml", "application/x-ndjson", "image/png"]
)
async def test_data_that_is_neither_json_nor_text_is_415(site: Site, kind: str) -> None:
    await site.spawn("a")
    encoded = base64.b64encode(b"\x00").decode()
    for reply in (
        await binary(site, b"\x00", kind),
        await structured(site, data_base64=encoded, datacontenttype=kind),
    ):
        assert (reply.status, reply.kind) == (415, "unsupported-media-type")
        assert kind in reply.detail


@pytest.mark.parametrize("kind", ["application/cloudevents+xml", "application/cloudevents"])
async def test_a_format_that_is_not_json_is_415(site: Site, kind: str) -> None:
    reply = await structured(site, kind=kind)
    assert (reply.status, reply.kind) == (415, "unsupported-media-type")
    assert STRUCTURED in reply.detail


async def test_a_batch_is_an_array_with_one_answer_each(site: Site) -> None:
    await site.spawn("a")
    items = [event(), event(id="2", type="PAY"), {"type": "X"}, event(), event(subject="b")]
    reply = await site.send_raw(EVENTS, json.dumps(items).encode(), BATCH)
    assert reply.status == 200
    first, second, wrong, again, missing = reply.body
    assert (first["seq"], second["seq"], again) == (1, 2, first)
    assert (wrong["status"], missing["status"]) == (422, 404)
    assert (await site.send_raw(EVENTS, b"{}", BATCH)).status == 422
    assert (await site.send_raw(EVENTS, b"[]", BATCH)).body == []

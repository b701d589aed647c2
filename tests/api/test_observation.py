"""What is counted, written down and traced of requests; and how one is turned away when there are too many."""

import asyncio
import json
import logging
import re
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.api.conftest import Site, together
from tests.api.process import Api, ask
from tests.dev.process import ENVIRONMENT

from statekeep.controller.api import admission, observation
from statekeep.controller.api.app import create
from statekeep.controller.api.contract import NDJSON
from statekeep.controller.api.observation import AccessLog
from statekeep.controller.api.server import listening
from statekeep.controller.cli.api import api as command
from statekeep.controller.logs import JsonFormatter, PlainFormatter

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


async def test_requests_and_events_are_counted_by_what_became_of_them(site: Site) -> None:
    await site.spawn("a")
    for event in ("START", "NEVER"):
        await site.send("a", event, headers={"Idempotency-Key": event})
    await site.send("a", "START", headers={"Idempotency-Key": "START"})
    await site.get(f"/v1/namespaces/{site.namespace}/actors/nobody")
    await site.get("/nowhere")
    text = (await site.get("/metrics")).raw.decode()
    for line in (
        'statekeep_api_requests_total{method="POST",route="/v1/actors",status="201"} 1.0',
        'statekeep_api_requests_total{method="GET",route="/v1/actors/{id}",status="404"} 1.0',
        'statekeep_api_requests_total{method="GET",route="unmatched",status="404"} 1.0',
        'statekeep_api_events_total{outcome="Handled"} 1.0',
        'statekeep_api_events_total{outcome="Ignored"} 1.0',
        'statekeep_api_events_total{outcome="Repeated"} 1.0',
        "statekeep_api_requests_in_flight 0.0",
    ):
        assert line in text.splitlines(), line
    assert site.namespace not in text
    for series in re.findall(r"^# TYPE (statekeep\w+)", text, re.M):
        if not series.endswith("_created"):
            assert f"`{series}`" in PAGE, series


async def test_the_access_log_holds_what_is_wanted_and_nothing_that_is_secret(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "statekeep.access")
    for kind, expected in (
        (AccessLog.ALL, [200, 404]),
        (AccessLog.FAILURES, [404]),
        (AccessLog.NONE, []),
    ):
        app = create(site.database, site.namespace, access_log=kind)
        caplog.clear()
        async with listening(app, "127.0.0.1", 0) as url:
            other = replace(site, url=url)
            headers = {"X-Request-Id": "r-1", "Authorization": "Bearer hush"}
            await other.call("GET", "/v1/actors?state=hush", headers=headers)
            await other.call("GET", "/v1/actors/nobody", headers={"X-Request-Id": "no id"})
        fields = [record.fields for record in caplog.records]  # type: ignore[attr-defined]
        assert [one["status"] for one in fields] == expected
        lines = [JsonFormatter().format(record) for record in caplog.records]
        assert "hush" not in "".join(lines)
        assert all(json.loads(line)["path"].startswith("/v1/actors") for line in lines)
        if kind is AccessLog.ALL:
            assert [one.get("requestId") for one in fields] == ["r-1", None]


async def test_a_stream_is_counted_but_neither_timed_nor_slow(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.spawn("a")
    monkeypatch.setattr(observation, "SLOW_S", 0.0)  # everything is
    caplog.set_level(logging.INFO, "statekeep.access")
    app = create(site.database, site.namespace, access_log=AccessLog.FAILURES)
    async with listening(app, "127.0.0.1", 0) as url:
        other = replace(site, url=url)
        assert (await other.get("/v1/changes", follow="false")).status == 200
        line = b'{"actor": "a", "type": "START"}\n'
        assert (await other.send_raw("/v1/events", line, NDJSON)).status == 200
        async with site.session.get(f"{url}/v1/changes") as response:
            await response.content.readline()
            response.close()
        while 'route="/v1/changes",status="499"' not in await _metrics(other):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await other.get("/v1/versions")
        text = await _metrics(other)
    counted = re.findall(r'requests_total\{method="(\w+)",route="(\S+?)",status="(\d+)"', text)
    assert {("GET", "/v1/changes", "200"), ("POST", "/v1/events", "200")} < set(counted)
    timed = set(re.findall(r'request_seconds_count\{method="\w+",route="(\S+?)"', text))
    assert timed == {"/v1/versions", "/metrics"}
    written = [record.fields for record in caplog.records]  # type: ignore[attr-defined]
    assert [(one["path"], one["status"]) for one in written if one["path"] != "/metrics"] == [
        (
            "/v1/versions",
            200,
        ),  # that the reader of the stream went in the midst of it is no failure
    ]


def test_a_field_cannot_forge_another_line_or_field() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "request", None, None)
    record.fields = {"path": '/a\nb status=200 "', "status": 404}
    line = PlainFormatter().format(record)
    assert line.endswith('request path="/a\\nb status=200 \\"" status=404')


async def test_who_finds_no_room_is_told_to_come_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.spawn("a")
    monkeypatch.setattr(admission, "MAX_REQUESTS", 3)
    async with aiohttp.ClientSession() as session:

        async def send(number: int) -> int:
            async with session.post(
                f"{site.url}/v1/actors/a/events", json={"type": "NEVER", "id": f"e{number}"}
            ) as response:
                if response.status == 503:
                    assert response.headers["Retry-After"] == "1"
                    assert (await response.json(content_type=None))["type"].endswith("overloaded")
                return response.status

        statuses = await together(*(send(number) for number in range(30)))
        assert set(statuses) == {200, 503}
        text = (await site.get("/metrics")).raw.decode()
        refused = f"statekeep_api_requests_refused_total {float(statuses.count(503))}"
        assert refused in text.splitlines()
        assert await send(99) == 200


async def test_bodies_that_would_fill_the_memory_are_turned_away_unread(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MAX_BYTES", 1000)
    host, port = site.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = "POST /v1/actors HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"
    writer.write(head.encode())
    await writer.drain()
    while "statekeep_api_requests_in_flight 1.0" not in await _metrics(site):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    async with site.session.post(site.url + "/v1/actors", data=b"x" * 200) as response:
        assert response.status == 503
    assert (await site.get("/v1/versions")).status == 200
    writer.close()
    await writer.wait_closed()
    del reader


async def _metrics(site: Site) -> str:
    async with site.session.get(site.url + "/metrics") as response:
        return await response.text()


async def test_requests_and_transactions_are_traced_where_a_collector_is_named(
    site: Site, shared_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[ExportTraceServiceRequest] = []

    async def collect(request: web.Request) -> web.Response:
        received.append(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", collect)
    async with listening(app, "127.0.0.1", 0) as url:
        monkeypatch.setitem(ENVIRONMENT, "OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setitem(ENVIRONMENT, "OTEL_BSP_SCHEDULE_DELAY", "100")
        running = await asyncio.to_thread(Api, tmp_path, shared_url)
        place = f"{running.url}/v1/namespaces/{site.namespace}/actors"
        await asyncio.to_thread(ask, place, {"id": "t", "version": "v1"})
        await asyncio.to_thread(ask, f"{place}/t/events", {"type": "START"})
        await asyncio.to_thread(running.process.terminate)
        assert await asyncio.to_thread(running.end) == 0, running.output
    spans = [
        span
        for batch in received
        for resource in batch.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert sorted(span.name for span in spans) == [
        "POST /v1/actors",
        "POST /v1/actors/{id}/events",
        "process events",
    ]
    names = [a.value.string_value for a in received[0].resource_spans[0].resource.attributes]
    assert "statekeep-api" in names


def test_every_option_is_explained() -> None:
    for parameter in command.params:
        if parameter.name != "help":
            assert f"`{parameter.opts[0]}`" in PAGE, parameter.name
            assert f"`{parameter.envvar}`" in PAGE, parameter.envvar

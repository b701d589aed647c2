"""Traces: a span for every request, and one for every transaction of events.

Imported only where OpenTelemetry is installed (``pip install 'statekeep[tracing]'``). Where spans go is said by the
environment variables of its own specification: ``OTEL_EXPORTER_OTLP_ENDPOINT``, ``OTEL_SERVICE_NAME``,
``OTEL_TRACES_SAMPLER`` and so on. Attributes follow its semantic conventions for HTTP.
"""

import os
from collections.abc import Sequence

from aiohttp import web
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from statekeep.controller.api.batcher import A, Process
from statekeep.controller.api.observation import route_of
from statekeep.controller.api.problems import Handler
from statekeep.engine.store.events import Event

SERVICE = "statekeep-api"

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

# A proxy: it makes real spans once there is a provider, whoever sets that.
_tracer = trace.get_tracer("statekeep")


def begin() -> None:
    """Send spans to where the environment says, if it names a place; once a process."""
    if any(os.environ.get(name) for name in _ENDPOINTS):
        os.environ.setdefault("OTEL_SERVICE_NAME", SERVICE)
        provider = TracerProvider(resource=Resource.create())
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)


def is_wanted() -> bool:
    """Return whether spans go anywhere: those that go nowhere take a sixth of a request's time all the same.

    Looked up once, after ``begin``: it reads the environment.
    """
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@web.middleware
async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Make a span of a request; it continues the trace that the caller is in (``traceparent``)."""
    route = route_of(request)
    with _tracer.start_as_current_span(
        f"{request.method} {route}",
        context=propagate.extract(request.headers),
        kind=SpanKind.SERVER,
        attributes={
            "http.request.method": request.method,
            "http.route": route,
            "url.path": request.path,
        },
    ) as span:
        response = await handler(request)
        span.set_attribute("http.response.status_code", response.status)
        if response.status >= web.HTTPInternalServerError.status_code:
            span.set_status(StatusCode.ERROR)
        return response


def traced(process: Process[A]) -> Process[A]:
    """Return the same way to process events, with a span around each transaction."""

    async def spanned(events: Sequence[Event]) -> Sequence[A]:
        attributes = {"statekeep.events": len(events)}
        with _tracer.start_as_current_span("process events", attributes=attributes):
            return await process(events)

    return spanned

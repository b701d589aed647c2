"""The application: probes, routes, and what lives as long as it serves."""

from collections.abc import AsyncIterator, Mapping
from functools import partial
from importlib import import_module
from types import ModuleType

from aiohttp import web

from statekeep.controller.access.callers import Guard
from statekeep.controller.access.modes import Mode
from statekeep.controller.api import admission, authorization, observation, problems, requests
from statekeep.controller.api.admission import Admission
from statekeep.controller.api.batcher import A, Batcher, Process
from statekeep.controller.api.cursors import Cursors
from statekeep.controller.api.feed import Feed
from statekeep.controller.api.metrics import Metrics
from statekeep.controller.api.observation import AccessLog
from statekeep.controller.api.reference import Reference
from statekeep.controller.api.routes import EVENTS_OF_ACTOR, PROBES, ROUTES, Handler, Route
from statekeep.controller.api.shares import Shares
from statekeep.controller.api.state import STATE, State
from statekeep.controller.api.waits import Waits
from statekeep.controller.probes import METRICS_TYPE
from statekeep.engine.ids import Namespace
from statekeep.engine.store import processing
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.database import Database

tracing: ModuleType | None
"""What makes spans, where OpenTelemetry is installed."""

try:
    tracing = import_module("statekeep.controller.api.tracing")
except ModuleNotFoundError:
    tracing = None

MAX_BODY_BYTES = 8 * 1024 * 1024
"""One body that is read whole; NDJSON streams may have any length."""


BULK_EACH = 2
"""Transactions at once of one namespace's arrays and streams of events."""

BULK = 6
"""Of all namespaces' together: connections are left for single events and for reads."""

PREVIEWS = 2
"""Previews at once: one of a large family takes seconds, and a namespace has one at a time."""


def create(
    database: Database,
    namespace: Namespace,
    guards: Mapping[Mode, Guard] = authorization.OPEN,
    *,
    metrics: Metrics | None = None,
    exposes_metrics: bool = True,
    access_log: AccessLog = AccessLog.NONE,
) -> web.Application:
    """Return the application; the database is the caller's to close.

    Args:
        database: connected, its schema this release's, or a later one's.
        namespace: what a path without a namespace means, to callers who have none of their own.
        guards: who asks the callers of the routes who they are, and lives as long as the application;
            without any, nobody is asked.
        metrics: where to count; default: somewhere new.
        exposes_metrics: whether they can be read here.
        access_log: which requests are written down.
    """
    metrics = metrics or Metrics()
    traces = tracing if tracing is not None and tracing.is_wanted() else None
    places = Admission(metrics)
    app = web.Application(
        middlewares=[
            observation.middleware(metrics, access_log),
            *([traces.middleware] if traces else []),
            problems.middleware,
            admission.middleware(places, MAX_BODY_BYTES),
        ],
        client_max_size=MAX_BODY_BYTES,
    )
    app[requests.DEFAULT_NAMESPACE] = namespace
    app[authorization.GUARDS] = guards
    app.cleanup_ctx.append(partial(_serving, database, metrics, traces))
    app.on_shutdown.append(_end_streams)
    if exposes_metrics:
        app.router.add_get("/metrics", partial(_metrics, metrics))
    for probe in PROBES:
        app.router.add_get(probe.path, probe.handler)
    # Paths with a placeholder are tried one after the other: first where most requests go.
    for route in sorted(ROUTES, key=lambda route: route.path != EVENTS_OF_ACTOR):
        handler = authorization.guarded(
            route.verb, route.resource, _held_to_contract(route, places)
        )
        for prefix in ("/v1", "/v1/namespaces/{namespace}"):
            app.router.add_route(route.method, prefix + route.path, handler)
    reference = Reference(namespace)
    app.router.add_get("/openapi.json", reference.document)
    app.router.add_get("/docs", reference.page)
    return app


def _held_to_contract(route: Route, places: Admission) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        requests.admit(request, route.contract)
        places.share(requests.namespace(request), request[admission.PLACE])
        return await route.handler(request)

    return handler


async def _metrics(metrics: Metrics, _: web.Request) -> web.Response:
    """``GET /metrics``, in the Prometheus text format."""
    return web.Response(body=metrics.text(), headers={"Content-Type": METRICS_TYPE})


async def _serving(
    database: Database, metrics: Metrics, traces: ModuleType | None, app: web.Application
) -> AsyncIterator[None]:
    """Hold what the handlers share while the application serves; drain it afterwards."""
    catalogue = Catalogue()

    def watched(process: Process[A]) -> Process[A]:
        return observation.counting(traces.traced(process) if traces else process, metrics)

    attempt = watched(partial(processing.attempt, database, catalogue))
    process = watched(partial(processing.process, database, catalogue))
    waits = Waits()
    batcher = Batcher(attempt, process, waits)
    app[STATE] = State(
        database,
        Cursors(database),
        catalogue,
        attempt,
        process,
        waits,
        batcher,
        bulk=Shares(each=BULK_EACH, together=BULK),
        previews=Shares(each=1, together=PREVIEWS),
        feed=Feed(database, catalogue),
    )
    yield
    await batcher.close()


async def _end_streams(app: web.Application) -> None:
    """End what would never end by itself, before the server waits for requests in flight."""
    await app[STATE].feed.close()

"""The application: probes, routes, and what lives as long as it serves."""

from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web

from statekeep.controller.api import problems, requests
from statekeep.controller.api.batcher import Batcher
from statekeep.controller.api.reference import Reference
from statekeep.controller.api.routes import PROBES, ROUTES, Handler, Route
from statekeep.controller.api.state import STATE, State
from statekeep.engine.ids import Namespace
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.database import Database
from statekeep.engine.store.processing import process

MAX_BODY_BYTES = 8 * 1024 * 1024
"""One body that is read whole; NDJSON streams may have any length."""


def create(database: Database, namespace: Namespace) -> web.Application:
    """Return the application; the database is the caller's to close.

    Args:
        database: connected, its schema this release's.
        namespace: what a path without a namespace means.
    """
    app = web.Application(middlewares=[problems.middleware], client_max_size=MAX_BODY_BYTES)
    app[requests.DEFAULT_NAMESPACE] = namespace
    app.cleanup_ctx.append(partial(_serving, database))
    for probe in PROBES:
        app.router.add_get(probe.path, probe.handler)
    for route in ROUTES:
        for prefix in ("/v1", "/v1/namespaces/{namespace}"):
            app.router.add_route(route.method, prefix + route.path, _held_to_contract(route))
    reference = Reference(namespace)
    app.router.add_get("/openapi.json", reference.document)
    app.router.add_get("/docs", reference.page)
    return app


def _held_to_contract(route: Route) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        requests.admit(request, route.contract)
        return await route.handler(request)

    return handler


async def _serving(database: Database, app: web.Application) -> AsyncIterator[None]:
    """Hold what the handlers share while the application serves; drain it afterwards."""
    catalogue = Catalogue()
    batcher = Batcher(partial(process, database, catalogue))
    app[STATE] = State(database, catalogue, batcher)
    yield
    await batcher.close()

"""The application: probes, routes, and what lives as long as it serves."""

from collections.abc import AsyncIterator, Mapping
from functools import partial

from aiohttp import web

from statekeep.controller.access.callers import Guard
from statekeep.controller.access.modes import Mode
from statekeep.controller.api import authorization, health, problems, requests
from statekeep.controller.api.batcher import Batcher
from statekeep.controller.api.routes import ROUTES
from statekeep.controller.api.state import STATE, State
from statekeep.engine.ids import Namespace
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.database import Database
from statekeep.engine.store.processing import process

MAX_BODY_BYTES = 8 * 1024 * 1024
"""One body that is read whole; NDJSON streams may have any length."""


def create(
    database: Database,
    namespace: Namespace,
    guards: Mapping[Mode, Guard] = authorization.OPEN,
) -> web.Application:
    """Return the application; the database is the caller's to close.

    Args:
        database: connected, its schema this release's.
        namespace: what a path without a namespace means, to callers who have none of their own.
        guards: who asks the callers of the routes who they are, and lives as long as the application;
            without any, nobody is asked.
    """
    app = web.Application(middlewares=[problems.middleware], client_max_size=MAX_BODY_BYTES)
    app[requests.DEFAULT_NAMESPACE] = namespace
    app[authorization.GUARDS] = guards
    app.cleanup_ctx.append(partial(_serving, database))
    app.router.add_get("/healthz", health.live)
    app.router.add_get("/readyz", health.ready)
    for route in ROUTES:
        handler = authorization.guarded(route.verb, route.resource, route.handler)
        for prefix in ("/v1", "/v1/namespaces/{namespace}"):
            app.router.add_route(route.method, prefix + route.path, handler)
    return app


async def _serving(database: Database, app: web.Application) -> AsyncIterator[None]:
    """Hold what the handlers share while the application serves; drain it afterwards."""
    catalogue = Catalogue()
    batcher = Batcher(partial(process, database, catalogue))
    app[STATE] = State(database, catalogue, batcher)
    yield
    await batcher.close()

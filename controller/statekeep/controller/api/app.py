"""The application: probes, routes, and what lives as long as it serves."""

from collections.abc import AsyncIterator
from functools import partial

from aiohttp import web

from statekeep.controller.api import health, problems, requests
from statekeep.controller.api.batcher import Batcher
from statekeep.controller.api.feed import Feed
from statekeep.controller.api.routes import ROUTES
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
    app.on_shutdown.append(_end_streams)
    app.router.add_get("/healthz", health.live)
    app.router.add_get("/readyz", health.ready)
    for route in ROUTES:
        for prefix in ("/v1", "/v1/namespaces/{namespace}"):
            app.router.add_route(route.method, prefix + route.path, route.handler)
    return app


async def _serving(database: Database, app: web.Application) -> AsyncIterator[None]:
    """Hold what the handlers share while the application serves; drain it afterwards."""
    catalogue = Catalogue()
    batcher = Batcher(partial(process, database, catalogue))
    app[STATE] = State(database, catalogue, batcher, Feed(database, catalogue))
    yield
    await batcher.close()


async def _end_streams(app: web.Application) -> None:
    """End what would never end by itself, before the server waits for requests in flight."""
    await app[STATE].feed.close()

"""Routes: probes."""

from http import HTTPStatus

from aiohttp import web

from statekeep.controller.api import bodies, requests
from statekeep.controller.api.problems import Problem
from statekeep.controller.api.state import state
from statekeep.engine.errors import SchemaOutdated, StoreUnavailable
from statekeep.engine.store import database


async def live(_: web.Request) -> web.Response:
    """Ask whether it runs.

    The process answers; nothing more is asked.
    """
    return requests.json_response(bodies.HealthResponse(status="ok"))


async def ready(request: web.Request) -> web.Response:
    """Ask whether it can serve.

    Postgres answers too, and its schema is this release's, or a later one's.
    """
    try:
        await database.check(state(request).database)
    except (StoreUnavailable, SchemaOutdated) as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", str(error)) from error
    return requests.json_response(bodies.HealthResponse(status="ok"))

"""Routes: probes."""

from http import HTTPStatus

from aiohttp import web

from statekeep.controller.api import requests
from statekeep.controller.api.problems import Problem
from statekeep.controller.api.state import state
from statekeep.engine.errors import SchemaOutdated, StoreUnavailable
from statekeep.engine.store import database


async def live(_: web.Request) -> web.Response:
    """``GET /healthz``: the process answers."""
    return requests.json_response({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """``GET /readyz``: Postgres answers too, and its schema is this release's."""
    try:
        await database.check(state(request).database)
    except (StoreUnavailable, SchemaOutdated) as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", str(error)) from error
    return requests.json_response({"status": "ok"})

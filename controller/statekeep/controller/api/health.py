"""Routes: probes."""

import logging
from http import HTTPStatus

from aiohttp import web

from statekeep.controller.api import bodies, requests
from statekeep.controller.api.problems import Problem
from statekeep.controller.api.state import state
from statekeep.engine.errors import SchemaOutdated, StoreUnavailable
from statekeep.engine.store import database

SILENT = "Postgres did not answer, or refused us; the log says which"

log = logging.getLogger(__name__)


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
    except StoreUnavailable as error:
        # Anybody may ask; which database it is, and as whom we ask it, is for those who read the log.
        log.warning("not ready: %s", error)
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", SILENT) from error
    except SchemaOutdated as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", str(error)) from error
    return requests.json_response(bodies.HealthResponse(status="ok"))

"""What the handlers share: the store, what was read of it, and the batcher in front of it."""

from dataclasses import dataclass

from aiohttp import web

from statekeep.controller.api.batcher import Batcher
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.database import Database


@dataclass(frozen=True, slots=True)
class State:
    """Everything a handler needs beyond its request."""

    database: Database
    catalogue: Catalogue
    batcher: Batcher


STATE = web.AppKey("state", State)


def state(request: web.Request) -> State:
    """Return what the handlers share."""
    return request.app[STATE]

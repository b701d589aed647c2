"""What the handlers share: the store, what was read of it, and who stands in front of and behind it."""

from dataclasses import dataclass

from aiohttp import web

from statekeep.controller.api.batcher import Batcher, Process
from statekeep.controller.api.cursors import Cursors
from statekeep.controller.api.feed import Feed
from statekeep.controller.api.shares import Shares
from statekeep.controller.api.waits import Waits
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.database import Database
from statekeep.engine.store.events import Attempt, Outcome


@dataclass(frozen=True, slots=True)
class State:
    """Everything a handler needs beyond its request."""

    database: Database
    cursors: Cursors
    catalogue: Catalogue
    attempt: Process[Attempt]
    """Many events at once, those of machines that are held left out."""

    process: Process[Outcome]
    """Many events at once, which wait for their machines."""

    waits: Waits
    """For machines that are held."""

    batcher: Batcher
    bulk: Shares
    """Turns at processing many events at once."""

    previews: Shares
    """Turns at computing previews."""

    feed: Feed


STATE = web.AppKey("state", State)


def state(request: web.Request) -> State:
    """Return what the handlers share."""
    return request.app[STATE]

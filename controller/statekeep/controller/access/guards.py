"""The guards of an API: one for each way of asking, and what they need as long as they stand there."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from statekeep.controller.access.callers import Guard
from statekeep.controller.access.keys import KeyGuard
from statekeep.controller.access.kubernetes import ClusterGuard, Reviews
from statekeep.controller.access.modes import Mode
from statekeep.controller.kubernetes.session import Session, login
from statekeep.engine.store.database import Database

AGENT = "statekeep-api"
"""Who asks, in the API server's audit log."""


@asynccontextmanager
async def guards(
    modes: frozenset[Mode], database: Database, audience: str
) -> AsyncIterator[Mapping[Mode, Guard]]:
    """Hold a guard for each mode while the context is open.

    Raises:
        ClusterUnavailable: there are no credentials for asking the API server.
    """
    posted: dict[Mode, Guard] = {}
    if Mode.KEYS in modes:
        posted[Mode.KEYS] = KeyGuard(database)
    if Mode.KUBERNETES not in modes:
        yield posted
        return
    login()  # now rather than at the first call
    session = Session(login, agent=AGENT)
    try:
        posted[Mode.KUBERNETES] = ClusterGuard(Reviews(session, audience))
        yield posted
    finally:
        await session.close()

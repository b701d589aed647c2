"""One process that serves the API, and the parts that several of them are made of."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from statekeep.controller import garbage, key_files, probes
from statekeep.controller.access.guards import guards
from statekeep.controller.api.app import create, tracing
from statekeep.controller.api.metrics import Metrics
from statekeep.controller.api.server import listening
from statekeep.controller.api.settings import Settings
from statekeep.engine.store.database import Database, check, connect

Announce = Callable[[str], None]
"""Takes the base URL, once the API answers there."""


async def run(settings: Settings, stop: asyncio.Event, announce: Announce) -> None:
    """Serve in this process until ``stop`` is set."""
    metrics = Metrics()
    async with (
        opened(settings) as database,
        probed(settings, database, metrics.text),
        served(settings, database, metrics) as url,
    ):
        announce(url)
        await stop.wait()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """Hold a database that is at this release's schema, or a later one's; its keys follow their file."""
    keys = key_files.read(settings.keys_file)
    database = connect(settings.database_url, keys, prepares=settings.prepares)
    try:
        async with key_files.following(settings.keys_file, database.holder):
            await check(database)
            yield database
    finally:
        await database.close()


@asynccontextmanager
async def served(
    settings: Settings, database: Database, metrics: Metrics, *, shares_port: bool = False
) -> AsyncIterator[str]:
    """Serve the API while the context is open; yield the base URL."""
    if tracing is not None:
        tracing.begin()
    async with guards(settings.modes, database, settings.audience) as posted:
        app = create(
            database,
            settings.namespace,
            posted,
            metrics=metrics,
            exposes_metrics=settings.health_port is None,
            access_log=settings.access_log,
        )
        async with listening(app, settings.host, settings.port, shares_port=shares_port) as url:
            garbage.settle()
            yield url


async def _yes() -> bool:
    return True


@asynccontextmanager
async def probed(
    settings: Settings,
    database: Database,
    metrics: Callable[[], bytes],
    is_alive: Callable[[], Awaitable[bool]] = _yes,
) -> AsyncIterator[None]:
    """Answer probes at an address of their own, if they are given one, while the context is open."""
    if settings.health_port is None:
        yield
        return
    app = probes.application(is_alive, {"database": lambda: check(database)}, metrics)
    async with probes.serving(app, settings.health_host, settings.health_port):
        yield

"""``statekeep dev``: embedded Postgres, event API and reconciler of one folder, in one process.

Start: workspace ▸ Postgres ▸ schema ▸ API ▸ first round. Stop: the same backwards; requests in
flight are answered, then Postgres shuts down. Told to stop again, it breaks them off instead.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from statekeep.controller import key_files
from statekeep.controller.api.app import create
from statekeep.controller.api.server import listening
from statekeep.controller.dev import postgres, workspace
from statekeep.controller.dev.database import opened
from statekeep.controller.dev.display import displayed
from statekeep.controller.dev.postgres import EmbeddedPostgres
from statekeep.controller.dev.watch import rounds
from statekeep.controller.dev.welcome import welcome
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE
from statekeep.controller.upkeep import keep_up
from statekeep.engine.store.database import Database


@dataclass(frozen=True, slots=True)
class Options:
    """How to run the dev server."""

    folder: Path
    """Manifests."""

    data: Path
    """The workspace."""

    host: str
    port: int


async def serve(options: Options, console: Console) -> None:
    """Run until SIGINT or SIGTERM; a second one stops at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _stop_or_break_off, stop)
    try:
        await _serve(options, console, stop)
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
    console.print(
        f"Stopped. Everything is kept in {options.data}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _stop_or_break_off(stop: asyncio.Event) -> None:
    if not stop.is_set():
        stop.set()
        return
    for (
        task
    ) in asyncio.all_tasks():  # what was acknowledged is committed; the rest can be sent again
        task.cancel()


async def _serve(options: Options, console: Console, stop: asyncio.Event) -> None:
    with workspace.claimed(options.data):
        async with _database(options.data, console) as (server, database):
            app = create(database, DEFAULT_NAMESPACE)
            async with listening(app, options.host, options.port) as url:
                with workspace.announced(options.data, url, options.folder):
                    console.print(
                        welcome(url, options.folder), markup=False, highlight=False, soft_wrap=True
                    )
                    await _until(stop, _reconcile(options.folder, database, console), server.kept())
            console.print("Stopping: requests in flight are answered …", highlight=False)


@asynccontextmanager
async def _database(
    data: Path, console: Console
) -> AsyncIterator[tuple[EmbeddedPostgres, Database]]:
    keys = workspace.key_ring(data)  # first: without them the database is of no use
    fresh = not (data / "postgres").exists()
    with console.status("Creating the database …" if fresh else "Starting Postgres …"):
        server = await asyncio.to_thread(postgres.start, data / "postgres")
    async with (
        opened(server, keys) as database,
        key_files.following(workspace.keys_path(data), database.holder),
    ):
        yield server, database


async def _reconcile(folder: Path, database: Database, console: Console) -> None:
    upkeep = asyncio.create_task(keep_up(database))
    try:
        with displayed(console) as display:
            async for done in rounds(folder, database):
                display.show(done)
    finally:
        upkeep.cancel()


async def _until(stop: asyncio.Event, *work: Coroutine[None, None, None]) -> None:
    """Run all of ``work`` until the event is set; an error there ends the waiting too."""
    working = [asyncio.ensure_future(one) for one in work]
    stopping = asyncio.ensure_future(stop.wait())
    ended, _ = await asyncio.wait((*working, stopping), return_when=asyncio.FIRST_COMPLETED)
    for task in (*working, stopping):
        task.cancel()
    await asyncio.gather(*working, stopping, return_exceptions=True)
    for task in ended:
        task.result()

"""``statekeep dev`` and ``statekeep api``: the two that keep running."""

import asyncio
import logging
import signal
from dataclasses import dataclass
from pathlib import Path

import click
import uvloop
from rich.console import Console

from statekeep.controller import key_files
from statekeep.controller.access.guards import guards
from statekeep.controller.access.modes import NONE, Mode, read_modes
from statekeep.controller.api.app import create
from statekeep.controller.api.server import listening
from statekeep.controller.cli.database import database_url, keys_file
from statekeep.controller.dev import server, workspace
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE
from statekeep.engine.ids import Namespace
from statekeep.engine.store.database import check, connect

HOST = "127.0.0.1"
PORT = 8080
AUDIENCE = "statekeep"


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=workspace.DEFAULT,
    show_default=True,
    help="Where the database and its keys are kept.",
)
@click.option("--host", default=HOST, show_default=True, help="A loopback address.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="0 takes any free one.",
)
def dev(folder: Path, data: Path, host: str, port: int) -> None:
    """Serve a FOLDER of manifests without a cluster.

    Runs an embedded Postgres, the event API, and the reconciler over the folder; shows where every
    version stands, and takes approvals from the annotations in the files.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    uvloop.run(server.serve(server.Options(folder, data, host, port), Console()))


def _modes(_: click.Context, __: click.Parameter, value: str) -> frozenset[Mode]:
    try:
        return read_modes(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@database_url
@keys_file
@click.option(
    "--auth",
    "modes",
    envvar="STATEKEEP_AUTH",
    callback=_modes,
    default=NONE,
    show_default=True,
    help="How callers are asked: none, kubernetes, keys, or kubernetes,keys.",
)
@click.option(
    "--audience",
    envvar="STATEKEEP_AUDIENCE",
    default=AUDIENCE,
    show_default=True,
    help="What a service account's token must have been made for.",
)
@click.option(
    "--namespace",
    envvar="STATEKEEP_NAMESPACE",
    default=DEFAULT_NAMESPACE,
    show_default=True,
    help="What a path without one means, to callers who have none of their own.",
)
@click.option(
    "--host",
    envvar="STATEKEEP_HOST",
    default=HOST,
    show_default=True,
    help="A loopback address, unless callers are asked.",
)
@click.option(
    "--port",
    envvar="STATEKEEP_PORT",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="0 takes any free one.",
)
def api(
    url: str,
    keys_file: Path,
    modes: frozenset[Mode],
    audience: str,
    namespace: str,
    host: str,
    port: int,
) -> None:
    """Serve the event API on an existing Postgres."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # It says at every probe that it looked at the schema.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    settings = _Settings(url, keys_file, modes, audience, Namespace(namespace), host, port)
    uvloop.run(_api(settings))


@dataclass(frozen=True, slots=True)
class _Settings:
    """What ``statekeep api`` was told."""

    url: str
    keys_file: Path
    modes: frozenset[Mode]
    audience: str
    namespace: Namespace
    host: str
    port: int


async def _api(settings: _Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    database = connect(settings.url, key_files.read(settings.keys_file))
    following = asyncio.create_task(key_files.follow(settings.keys_file, database.holder))
    try:
        await check(database)
        async with guards(settings.modes, database, settings.audience) as posted:
            app = create(database, settings.namespace, posted)
            async with listening(app, settings.host, settings.port) as base:
                click.echo(f"StateKeep serves {base}")
                await stop.wait()
    finally:
        following.cancel()
        await database.close()

"""``statekeep dev`` and ``statekeep api``: the two that keep running."""

import asyncio
import logging
import signal
from pathlib import Path

import click
import uvloop
from rich.console import Console

from statekeep.controller.api.app import create
from statekeep.controller.api.server import listening
from statekeep.controller.cli.database import database_url
from statekeep.controller.dev import server, workspace
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE
from statekeep.engine.errors import KeyRingInvalid
from statekeep.engine.ids import Namespace
from statekeep.engine.store.database import check, connect
from statekeep.engine.store.keyring import KeyRing, read_key_ring

HOST = "127.0.0.1"
PORT = 8080


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


@click.command()
@database_url
@click.option(
    "--keys",
    "keys_file",
    envvar="STATEKEEP_KEYS_FILE",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The key ring: `id: base64` a line, the sealing key first.",
)
@click.option(
    "--namespace",
    envvar="STATEKEEP_NAMESPACE",
    default=DEFAULT_NAMESPACE,
    show_default=True,
    help="What a path without a namespace means.",
)
@click.option(
    "--host", envvar="STATEKEEP_HOST", default=HOST, show_default=True, help="A loopback address."
)
@click.option(
    "--port",
    envvar="STATEKEEP_PORT",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="0 takes any free one.",
)
def api(url: str, keys_file: Path, namespace: str, host: str, port: int) -> None:
    """Serve the event API on an existing Postgres."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    uvloop.run(_api(url, _key_ring(keys_file), Namespace(namespace), host, port))


def _key_ring(path: Path) -> KeyRing:
    try:
        return read_key_ring(path.read_text())
    except ValueError as error:  # bytes that are no text, or text that is no base64
        raise KeyRingInvalid(f"{path} is not a key ring: one `id: base64` a line") from error


async def _api(url: str, keys: KeyRing, namespace: Namespace, host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    database = connect(url, keys)
    try:
        await check(database)
        async with listening(create(database, namespace), host, port) as base:
            click.echo(f"StateKeep serves {base}")
            await stop.wait()
    finally:
        await database.close()

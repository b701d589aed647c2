"""``statekeep dev``: everything without a cluster."""

import logging
from pathlib import Path

import click
import uvloop
from rich.console import Console

from statekeep.controller.dev import server, workspace

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

"""``statekeep operator``: keeps running in a cluster."""

import asyncio
import signal
import socket

import click

from statekeep.controller import garbage
from statekeep.controller.api.requests import NAMESPACE_RULE, is_namespace
from statekeep.controller.cli.daemon import health_host_option, health_port_option, logs_option
from statekeep.controller.cli.database import database_url, keyless
from statekeep.controller.logs import log_as
from statekeep.controller.manifest.findings import quoted
from statekeep.controller.operator.run import run
from statekeep.controller.operator.settings import Settings
from statekeep.engine.ids import Namespace

PORT = 8081
REFRESH_S = 15.0
SWEEP_S = 60.0
WORKERS = 4

SPARE_CONNECTIONS = 2
"""For a probe and a sweep, beside those of the turns."""


def _namespaces(_: click.Context, __: click.Parameter, value: str) -> tuple[Namespace, ...]:
    """Return the names in a list; whether there are such namespaces, and will be, is another question."""
    names = [name.strip() for name in value.split(",") if name.strip()]
    for name in names:
        if not is_namespace(name):
            raise click.BadParameter(f"{quoted(name)}: {NAMESPACE_RULE}")
    return tuple(map(Namespace, dict.fromkeys(names)))


@click.command()
@database_url
@click.option(
    "--namespaces",
    envvar="STATEKEEP_NAMESPACES",
    default="",
    callback=_namespaces,
    help="Those to look after, separated by commas.  [default: all]",
)
@health_host_option
@health_port_option(PORT, "The port of /livez, /readyz and /metrics; 0 takes any free one.")
@click.option(
    "--refresh",
    envvar="STATEKEEP_REFRESH",
    type=click.FloatRange(min=0.1),
    default=REFRESH_S,
    show_default=True,
    help="Seconds between two previews of a version that waits.",
)
@click.option(
    "--sweep",
    envvar="STATEKEEP_SWEEP",
    type=click.FloatRange(min=0.1),
    default=SWEEP_S,
    show_default=True,
    help="Seconds between two searches for what the watch has missed.",
)
@click.option(
    "--workers",
    envvar="STATEKEEP_WORKERS",
    type=click.IntRange(1, 64),
    default=WORKERS,
    show_default=True,
    help="Versions reconciled at a time; each takes a database connection, and a second one while it applies.",
)
@logs_option
@click.option(
    "--identity",
    envvar="POD_NAME",
    default=socket.gethostname,
    help="Who Events say they are from.  [default: the host's name]",
)
def operator(
    url: str,
    namespaces: tuple[Namespace, ...],
    health_host: str,
    health_port: int,
    refresh: float,
    sweep: float,
    workers: int,
    logs: str,
    identity: str,
) -> None:
    """Reconcile the MachineVersions of a Kubernetes cluster.

    Finds the API server by the service account of its pod, or by KUBECONFIG. Run one replica.
    """
    log_as(logs)
    settings = Settings(
        identity=identity,
        namespaces=namespaces,
        refresh_s=refresh,
        sweep_s=sweep,
        health_host=health_host,
        health_port=health_port,
        workers=workers,
    )
    asyncio.run(_operate(url, settings))


async def _operate(url: str, settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with keyless(url, pool_size=2 * settings.workers + SPARE_CONNECTIONS) as database:
        garbage.settle()
        await run(settings, database, stop)

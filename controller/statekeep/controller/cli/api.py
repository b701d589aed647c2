"""``statekeep api``: the event API on an existing Postgres."""

import asyncio
import signal
from typing import Any

import click
import uvloop

from statekeep.controller.access.modes import NONE, Mode, read_modes
from statekeep.controller.api.observation import AccessLog
from statekeep.controller.api.run import run
from statekeep.controller.api.settings import Settings
from statekeep.controller.api.workers import supervise
from statekeep.controller.cli.daemon import health_host_option, health_port_option, logs_option
from statekeep.controller.cli.database import database_url, keys_file
from statekeep.controller.cli.dev import HOST, PORT
from statekeep.controller.logs import log_as
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE
from statekeep.engine.ids import Namespace

AUDIENCE = "statekeep"


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
@click.option(
    "--workers",
    envvar="STATEKEEP_WORKERS",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that share the port; each takes up to ten database connections.",
)
@health_host_option
@health_port_option(
    None, "A port of its own for /livez, /readyz and /metrics.  [default: they are on --port]"
)
@click.option(
    "--access-log",
    envvar="STATEKEEP_ACCESS_LOG",
    type=click.Choice([kind.value for kind in AccessLog]),
    default=AccessLog.FAILURES.value,
    show_default=True,
    help="The requests that get a line in the log; failures: and those slower than a second.",
)
@logs_option
@click.option(
    "--prepare/--no-prepare",
    "prepares",
    envvar="STATEKEEP_PREPARE",
    default=True,
    show_default=True,
    help="Prepare statements; not through PgBouncer in transaction mode before 1.21.",
)
def api(url: str, namespace: str, access_log: str, **options: Any) -> None:
    """Serve the event API on an existing Postgres."""
    log_as(options["logs"])
    settings = Settings(
        database_url=url,
        namespace=Namespace(namespace),
        access_log=AccessLog(access_log),
        **options,
    )
    uvloop.run(_api(settings))


async def _api(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    serve = run if settings.workers == 1 else supervise
    await serve(settings, stop, lambda url: click.echo(f"StateKeep serves {url}"))

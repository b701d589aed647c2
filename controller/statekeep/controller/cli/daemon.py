"""Options that whatever keeps running has in common: the operator and the event API."""

from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

health_host_option: Decorator = click.option(
    "--health-host",
    envvar="STATEKEEP_HEALTH_HOST",
    default="0.0.0.0",  # noqa: S104  (the kubelet calls from outside the pod; nothing secret is served)
    show_default=True,
    help="The address of --health-port.",
)

logs_option: Decorator = click.option(
    "--logs",
    envvar="STATEKEEP_LOGS",
    type=click.Choice(["plain", "json"]),
    default="plain",
    show_default=True,
    help="One line or one JSON object a message.",
)


def health_port_option(default: int | None, says: str) -> Decorator:
    """Return the option for the port of the probes and the metrics."""
    return click.option(
        "--health-port",
        envvar="STATEKEEP_HEALTH_PORT",
        type=click.IntRange(0, 65535),
        default=default,
        show_default=default is not None,
        help=says,
    )

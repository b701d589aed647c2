"""``statekeep demo``: the loan story, against ``statekeep dev examples/loan`` or on a cluster."""

import asyncio
import logging
import signal
from pathlib import Path

import click
from click.core import ParameterSource
from rich.console import Console

from statekeep.controller.cli.calls import CallFailed, Server, server_option
from statekeep.controller.cli.tables import console
from statekeep.controller.demo import cluster as on_a_cluster
from statekeep.controller.demo import folder as in_a_folder
from statekeep.controller.dev import workspace
from statekeep.controller.operator.rounds import EMPTY


@click.command()
@click.option("--cluster", is_flag=True, help="Play on the cluster that KUBECONFIG names.")
@click.option(
    "--namespace",
    default="statekeep-demo",
    show_default=True,
    help="With --cluster: a namespace that is made for the story, and deleted with it.",
)
@click.option("--keep", is_flag=True, help="With --cluster: let everything stay until Ctrl-C.")
@server_option
@click.pass_context
def demo(
    context: click.Context, server: Server, namespace: str, *, cluster: bool, keep: bool
) -> None:
    """Play the loan story: 2,050 actors, a fee, a bug, a rescue.

    Needs a running `statekeep dev examples/loan` (that is `make run`), or, with --cluster, kubectl and a cluster;
    an operator and an event API run here for as long as the story takes, unless --server names that of an
    installed one.
    """
    terminal = console(markup=True)
    if keep and not cluster:
        raise click.UsageError("--keep goes with --cluster")
    if not cluster:
        running = workspace.running()
        if running is None:
            raise CallFailed(
                "no `statekeep dev` is running here; start one: statekeep dev examples/loan, or make run"
            )
        asyncio.run(in_a_folder.play(server, running.folder, terminal))
        return
    source = context.get_parameter_source("url")
    options = on_a_cluster.Options(
        namespace=namespace,
        manifests=Path("examples/loan"),
        crd=Path("crds/machineversions.yaml"),
        server=server if source is not ParameterSource.DEFAULT else None,
        named_by="STATEKEEP_SERVER" if source is ParameterSource.ENVIRONMENT else "--server",
        keep=keep,
    )
    logging.getLogger("kopf").setLevel(logging.ERROR)  # it runs in a thread here, and warns of that
    logging.getLogger(EMPTY).setLevel(logging.ERROR)  # the namespace is new
    asyncio.run(_until_interrupted(options, terminal))


async def _until_interrupted(options: on_a_cluster.Options, terminal: Console) -> None:
    """Play; take the stage down when told to end, too."""
    playing = asyncio.create_task(on_a_cluster.play(options, terminal))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, playing.cancel)
    try:
        await playing
    except asyncio.CancelledError:
        terminal.print("Stopped.")

"""``statekeep simulate``: which states a machine goes through, without a server."""

import sys

import click

from statekeep.controller.cli import coprocess


@click.command()
@click.option(
    "--jsonl",
    is_flag=True,
    help="Answer simulations from standard input, one JSON object a line.",
)
def simulate(*, jsonl: bool) -> None:
    """Show the states that a machine goes through."""
    if jsonl:
        coprocess.serve(sys.stdin.buffer, _write)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()

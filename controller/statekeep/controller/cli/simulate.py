"""``statekeep simulate``: which states a machine goes through, without a server."""

import json
import sys
from collections.abc import Sequence

import click
from rich.cells import cell_len

from statekeep.controller.cli import coprocess
from statekeep.controller.cli.checked import choose
from statekeep.controller.cli.printable import printable
from statekeep.controller.simulation import Stop, simulated
from statekeep.engine.errors import ChartUnstable
from statekeep.engine.history.fingerprint import show
from statekeep.engine.json import JsonObject
from statekeep.engine.statechart.events import refusal
from statekeep.engine.statechart.machine import Machine
from statekeep.engine.statechart.state_value import label

HEADER = ("#", "EVENT", "HANDLED", "STATE", "STATUS", "FINGERPRINT")


@click.command()
@click.argument("file", required=False)
@click.argument("events", metavar="EVENT…", nargs=-1)
@click.option("--name", help="The version, or machine id, if FILE holds several.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True
)
@click.option(
    "--jsonl",
    is_flag=True,
    help='Answer {"id", "definition", "events"} from standard input, one JSON object a line.',
)
def simulate(
    file: str | None, events: Sequence[str], name: str | None, form: str, *, jsonl: bool
) -> None:
    """Show the states that the machine in FILE goes through, EVENT by EVENT.

    FILE is a MachineVersion or a bare XState machine, YAML or JSON; - is standard input. Only events
    that are handled enter the history, which the fingerprint is of.
    """
    if jsonl:
        if file is not None:
            raise click.UsageError("--jsonl reads definitions and events from standard input")
        coprocess.serve(sys.stdin.buffer, _write)
        return
    if file is None:
        raise click.UsageError("name a FILE, or - for standard input")
    for event in events:
        if (sentence := refusal(event)) is not None:
            raise click.UsageError(printable(sentence))
    chosen = choose(file, name)
    if chosen.machine is not None:
        stops = _stops(chosen.machine, events)
        click.echo(_table(stops) if form == "table" else _document(chosen.name, stops))


def _stops(machine: Machine, events: Sequence[str]) -> list[Stop]:
    stops: list[Stop] = []
    try:
        stops.extend(simulated(machine, events))
    except ChartUnstable as error:
        raise click.ClickException(f"event {len(stops)}: {error}") from error
    return stops


def _table(stops: Sequence[Stop]) -> str:
    rows = [HEADER, *map(_row, stops)]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_aligned(row, widths) for row in rows)


def _row(stop: Stop) -> tuple[str, ...]:
    configuration = stop.configuration
    return (
        str(stop.number),
        printable(stop.event),
        ("yes" if stop.handled else "no") if stop.number else "",
        printable(label(configuration.value)),
        configuration.status,
        show(stop.fingerprint),
    )


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """Return the cells of a row, each as wide as its column; wide characters count as terminals show them."""
    cells = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
    return "  ".join(cells).rstrip()


def _document(name: str, stops: Sequence[Stop]) -> str:
    start, *steps = map(_json, stops)
    return json.dumps({"name": name, "initial": start, "steps": steps}, indent=2)


def _json(stop: Stop) -> JsonObject:
    configuration = stop.configuration
    told: JsonObject = (
        {"number": stop.number, "event": stop.event, "handled": stop.handled} if stop.number else {}
    )
    return told | {
        "stateValue": configuration.value,
        "state": label(configuration.value),
        "status": configuration.status,
        "seq": stop.seq,
        "fingerprint": show(stop.fingerprint),
    }


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()

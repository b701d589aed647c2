"""The live view of ``statekeep dev``: where every version stands, and what is wrong with the files.

On a terminal it is one table that is drawn again when something changes, as much of it as the window
holds, and all of it at the end; elsewhere it is a line for everything that
changes, so that a log reads as a story.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from statekeep.controller.dev.watch import Reconciled, Round
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE
from statekeep.controller.manifest.problem import Problem
from statekeep.controller.standing import (
    Applied,
    AwaitingApproval,
    AwaitingParent,
    Immutable,
    Invalid,
    PreviewChanged,
    Reinterpreted,
)
from statekeep.engine.finding import Severity


class Display(Protocol):
    """Where rounds are shown."""

    def show(self, done: Round) -> None:
        """Show one round."""


@contextmanager
def displayed(console: Console) -> Iterator[Display]:
    """Show rounds while the context is open."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="ellipsis") as live:
        yield _Screen(live)


class _Screen:
    """One table, drawn again when something changes."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._drawn: object = None

    def show(self, done: Round) -> None:
        console, screen = self._live.console, Group(*_screen(done))
        drawn = (console.size, list(console.render(screen)))
        if drawn != self._drawn:
            self._live.update(screen, refresh=True)
            self._drawn = drawn


class _Lines:
    """One line for everything that changed since the round before."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[str, str] = {}

    def show(self, done: Round) -> None:
        lines = {
            _name(one): f"{_name(one)}: {_standing(one)}: {_message(one)}" for one in done.versions
        }
        lines |= {str(problem): str(problem) for problem in _problems(done)}
        for key, line in lines.items():
            if self._shown.get(key) != line:
                self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        for namespace, name in done.withdrawn:
            line = f"{namespace}/{name} was withdrawn: its manifest is gone"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._shown = lines


def _problems(done: Round) -> Iterator[Problem]:
    """Yield what is wrong or surprising in the files, each with its place."""
    for one in done.versions:
        if isinstance(one.outcome.standing, Invalid):
            yield from map(one.source.document.problem, one.outcome.standing.findings)
        yield from map(one.source.document.problem, one.outcome.warnings)
    yield from done.problems


def _name(one: Reconciled) -> str:
    """Return a version's name, with its namespace where that is not the usual one."""
    manifest = one.source.manifest
    if manifest.namespace in (None, DEFAULT_NAMESPACE):
        return manifest.name
    return f"{manifest.namespace}/{manifest.name}"


def _standing(one: Reconciled) -> str:
    return type(one.outcome.standing).__name__


def _message(one: Reconciled) -> str:
    conditions = one.status["conditions"]
    ready = conditions[0] if isinstance(conditions, list) else None
    return str(ready["message"]) if isinstance(ready, dict) else ""


def _screen(done: Round) -> Iterator[RenderableType]:
    table = Table("VERSION", "PARENT", "STANDING", pad_edge=False, box=None, header_style="bold")
    for column in ("MIGRATE", "STAY", "RESCUE"):
        table.add_column(column, justify="right")
    table.add_column("PREVIEW")
    for one in done.versions:
        table.add_row(*_row(one))
    yield table
    for one in done.versions:
        if isinstance(
            one.outcome.standing, AwaitingApproval | PreviewChanged | Immutable | Reinterpreted
        ):
            yield Text.assemble((_name(one), "bold"), ": ", _message(one))
    for problem in _problems(done):
        yield Text(str(problem), style="red" if problem.severity is Severity.ERROR else "yellow")


def _row(one: Reconciled) -> tuple[str | Text, ...]:
    manifest, outcome = one.source.manifest, one.outcome
    counts: tuple[str, ...] = ("", "", "", "")
    if isinstance(outcome.standing, Applied) and (deployment := outcome.standing.deployment):
        numbers = (deployment.migrated, deployment.stayed, deployment.needs_rescue)
        counts = (*(f"{number:,}" for number in numbers), deployment.preview_id)
    elif (preview := outcome.preview) is not None:
        numbers = (preview.would_migrate, preview.would_stay, preview.needs_rescue)
        counts = (*(f"{number:,}" for number in numbers), preview.id)
    return (_name(one), manifest.parent_id or "", _coloured(one), *counts)


def _coloured(one: Reconciled) -> Text:
    match one.outcome.standing:
        case Applied():
            style = "green"
        case AwaitingApproval() | AwaitingParent():
            style = "yellow"
        case _:
            style = "red"
    return Text(_standing(one), style=style)

"""``statekeep validate``: every problem of manifests and machines, without a server."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import track

from statekeep.controller.cli.findings import Format, print_problems
from statekeep.controller.cli.inputs import files, texts
from statekeep.controller.families import family_problems
from statekeep.controller.inspection import (
    Inspected,
    distinct,
    inspect,
    is_strange,
    strangeness,
    subjects,
)
from statekeep.controller.manifest.folder import read_texts
from statekeep.controller.manifest.problem import Problem
from statekeep.engine.finding import Severity

MANY = 20
"""From so many files on there is something to wait for, and a progress bar to show."""

T = TypeVar("T")


@click.command()
@click.argument("named", metavar="FILE…", nargs=-1, required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="github: workflow commands, which annotate a pull request.",
)
@click.option("--strict", is_flag=True, help="Warnings are errors.")
def validate(named: Sequence[str], form: Format, *, strict: bool) -> None:
    """Find every problem in each FILE: manifests and bare XState machines, YAML or JSON.

    A folder stands for the *.yaml, *.yml and *.json below it, - for standard input. Exits with 1 if
    there are errors, with 0 if there are only warnings. Needs no server.
    """
    problems, counts = _validated(named)
    print_problems(problems, counts, form)
    if any(strict or problem.severity is Severity.ERROR for problem in problems):
        sys.exit(1)


def _validated(named: Sequence[str]) -> tuple[list[Problem], dict[str, int]]:
    paths, explicit, problems = files(named)
    folder = read_texts(_watched(texts(paths), len(paths), "Reading"))
    listed = subjects(folder)
    inspected = [
        inspect(document, manifest, is_manifest=is_manifest)
        for document, manifest, is_manifest in _watched(listed, len(listed), "Validating")
    ]
    problems += folder.problems
    problems += _of_each(inspected)
    problems += family_problems(inspected)
    problems += [
        strangeness(document)
        for document in folder.others
        if document.path in explicit and is_strange(document)
    ]
    machines = sum(not one.is_manifest for one in inspected)
    counts = {
        "files": len(paths),
        "manifests": len(inspected) - machines,
        "machines": machines,
        "ignored": folder.ignored - machines,
    }
    order = {str(path): number for number, (path) in enumerate(paths)}
    found = sorted(
        distinct(problems), key=lambda p: (order.get(p.path, -1), p.line, p.column, p.code)
    )
    return found, counts


def _of_each(inspected: Iterable[Inspected]) -> Iterator[Problem]:
    for one in inspected:
        yield from one.problems


def _watched(items: Iterable[T], total: int, verb: str) -> Iterable[T]:
    """Return the items, with a progress bar while they are taken if there is somebody to watch it."""
    console = Console(stderr=True)
    if total < MANY or not console.is_terminal:
        return items
    return track(items, verb, total, console=console, transient=True)

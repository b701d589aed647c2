"""The files that a command was given, read and inspected."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import track

from statekeep.controller.cli.findings import print_problems
from statekeep.controller.cli.inputs import STDIN, STDIN_NAME, files, texts
from statekeep.controller.families import family_problems
from statekeep.controller.inspection import (
    Inspected,
    distinct,
    inspect,
    is_strange,
    misread,
    strangeness,
    subjects,
)
from statekeep.controller.manifest.folder import read_texts
from statekeep.controller.manifest.problem import Problem

MANY = 20
"""From so many files on there is something to wait for, and a progress bar to show."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Checked:
    """Everything that can be said of some files."""

    problems: tuple[Problem, ...]
    """In the order of the files, then of their lines."""

    inspected: tuple[Inspected, ...]
    counts: dict[str, int]
    """How many files, manifests, bare machines, and documents of others."""


def check(named: Iterable[str]) -> Checked:
    """Read and inspect files and folders; ``-`` is standard input."""
    paths, explicit, problems = files(named)
    order = {STDIN_NAME if path == STDIN else str(path): n for n, path in enumerate(paths)}
    folder = read_texts(_watched(texts(paths), len(paths), "Reading"))
    listed = subjects(folder)
    inspected = [
        inspect(document, manifest, is_manifest=is_manifest)
        for document, manifest, is_manifest in _watched(listed, len(listed), "Validating")
    ]
    inspected.sort(key=lambda one: (order.get(one.document.path, -1), one.document.position("")))
    # First, for these are the same as warnings of the folder.
    problems += [problem for one in inspected for problem in misread(one)]
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
    # What could not be read at all comes first.
    problems.sort(key=lambda p: (order.get(p.path, -1), p.line, p.column))
    return Checked(tuple(distinct(problems)), tuple(inspected), counts)


def choose(file: str, name: str | None) -> Inspected:
    """Return the one manifest or machine of a file that is meant; if it is wrong, say all and exit with 1."""
    found = check([file])
    candidates = [one for one in found.inspected if name in (None, one.name)]
    if len(candidates) == 1 and _is_sound(candidates[0]):
        return candidates[0]
    if len(candidates) > 1 and name is None:
        raise click.UsageError(
            f"{file} holds several; choose with --name: {_names(found.inspected)}"
        )
    if not candidates and name is not None and found.inspected:
        raise click.UsageError(f"nothing in {file} is named {name}: {_names(found.inspected)}")
    if not found.problems:
        raise click.ClickException(f"{file} holds neither a manifest nor a machine")
    print_problems(found.problems, found.counts)
    sys.exit(1)


def _is_sound(one: Inspected) -> bool:
    return one.machine is not None and (one.manifest is not None or not one.is_manifest)


def _names(inspected: Sequence[Inspected]) -> str:
    return ", ".join(one.name or "(no name)" for one in inspected)


def _of_each(inspected: Iterable[Inspected]) -> Iterator[Problem]:
    for one in inspected:
        yield from one.problems


def _watched(items: Iterable[T], total: int, verb: str) -> Iterable[T]:
    """Return the items, with a progress bar while they are taken if there is somebody to watch it."""
    console = Console(stderr=True)
    if total < MANY or not console.is_terminal:
        return items
    return track(items, verb, total, console=console, transient=True)

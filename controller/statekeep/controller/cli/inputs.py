"""The files that a command is given: paths, folders, and ``-`` for standard input."""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from statekeep.controller.manifest.folder import decoded, find_files, read_text
from statekeep.controller.manifest.limits import DEFAULT_LIMITS
from statekeep.controller.manifest.problem import Problem

STDIN = Path("-")

STDIN_NAME = "<stdin>"
"""How problems call standard input."""


def files(named: Iterable[str]) -> tuple[list[Path], set[str], list[Problem]]:
    """Return the files that the arguments stand for, each once; those named themselves; and unreadable folders."""
    found: dict[str, Path] = {}
    explicit: set[str] = set()
    problems: list[Problem] = []
    for argument in named:
        path = Path(argument)
        below, blocked = find_files(path) if path != STDIN and path.is_dir() else ([path], [])
        if below == [path]:
            explicit.add(STDIN_NAME if path == STDIN else str(path))
        problems += blocked
        for each in below:
            found.setdefault("-" if each == STDIN else os.path.realpath(each), each)
    return list(found.values()), explicit, problems


def texts(paths: Iterable[Path]) -> Iterator[tuple[Path, str | Problem]]:
    """Yield what each file holds, or why it cannot be read."""
    for path in paths:
        if path == STDIN:
            data = sys.stdin.buffer.read(DEFAULT_LIMITS.max_bytes + 1)
            yield Path(STDIN_NAME), decoded(Path(STDIN_NAME), data)
        else:
            yield path, read_text(path)

"""Problems as a command prints them: for people, for programs, for GitHub and for GitLab."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click

from statekeep.controller.cli.printable import printable
from statekeep.controller.manifest.problem import Problem
from statekeep.engine.finding import Severity

Format = Literal["text", "json", "github", "gitlab"]

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow"}


def print_problems(
    problems: Sequence[Problem], counts: Mapping[str, int], form: Format = "text"
) -> None:
    """Print every problem, and what was looked at (``counts``)."""
    tally = {
        **counts,
        "errors": sum(p.severity is Severity.ERROR for p in problems),
        "warnings": sum(p.severity is Severity.WARNING for p in problems),
    }
    match form:
        case "json":
            document = {"findings": [asdict(problem) for problem in problems], "counts": tally}
            click.echo(json.dumps(document, indent=2))
        case "github":
            _echo([*map(workflow_command, problems), _summary(tally)])
        case "gitlab":
            click.echo(json.dumps([*map(quality_issue, problems)], indent=2))
        case "text":
            _echo([*map(_coloured, problems), _summary(tally)])


def workflow_command(problem: Problem) -> str:
    r"""Return the workflow command that lets GitHub show a problem beside the line it is in.

    Escaped as GitHub's toolkit does it (``packages/core/src/command.ts``): a percent sign and line breaks everywhere,
    colons and commas in properties as well.

    >>> workflow_command(Problem("a,b.yaml", 3, 7, "/spec", "field-value", "100%:\nno"))
    '::error file=a%2Cb.yaml,line=3,col=7,title=field-value::100%25:%0Ano'
    """
    properties = {"file": _in_workspace(problem.path)}
    if problem.line:
        properties |= {"line": str(problem.line), "col": str(problem.column)}
    properties["title"] = problem.code
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{problem.severity} {listed}::{_data(problem.message)}"


def quality_issue(problem: Problem) -> dict[str, object]:
    """Return a problem as GitLab's Code Quality report has it, which a merge request shows beside the line.

    GitLab tells problems apart, and finds them again in another commit, by the fingerprint: no line enters it.
    """
    path = _in_workspace(problem.path)
    identity = "\0".join((path, problem.code, problem.pointer, problem.message))
    return {
        "description": problem.message,
        "check_name": problem.code,
        "fingerprint": hashlib.sha256(identity.encode()).hexdigest(),
        "severity": "major" if problem.severity is Severity.ERROR else "minor",
        "location": {"path": path, "lines": {"begin": max(problem.line, 1)}},
    }


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _in_workspace(path: str) -> str:
    """Return a path as GitHub and GitLab know it: relative to the checkout."""
    workspace = os.environ.get("GITHUB_WORKSPACE") or os.environ.get("CI_PROJECT_DIR")
    if workspace and Path(path).is_relative_to(workspace):
        return str(Path(path).relative_to(workspace))
    return os.path.normpath(path)


def _coloured(problem: Problem) -> str:
    place = f"{problem.path}:{problem.line}:{problem.column}" if problem.line else problem.path
    colour = _COLOURS[problem.severity]
    severity = click.style(f"{problem.severity}[{problem.code}]", fg=colour, bold=True)
    pointer = f" {problem.pointer}" if problem.pointer else ""
    return f"{printable(place)}: {severity}{printable(pointer)}: {printable(problem.message)}"


def _summary(tally: Mapping[str, int]) -> str:
    """Return the last line.

    >>> _summary({"manifests": 2, "machines": 0, "files": 1, "errors": 0, "warnings": 1})
    '2 manifests, 0 machines in 1 file: 0 errors, 1 warning'
    """
    count = {name: f"{number:,} {_noun(name, number)}" for name, number in tally.items()}
    looked_at = f"{count['manifests']}, {count['machines']} in {count['files']}"
    return f"{looked_at}: {count['errors']}, {count['warnings']}"


def _noun(plural: str, number: int) -> str:
    return plural.removesuffix("s") if number == 1 else plural


def _echo(lines: Sequence[str]) -> None:
    # Without an opinion of the user, click looks whether it writes to a terminal.
    colour = False if os.environ.get("NO_COLOR") else None
    for line in lines:
        click.echo(line, color=colour)

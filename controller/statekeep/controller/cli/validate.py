"""``statekeep validate``: every problem of manifests and machines, without a server."""

import sys
from collections.abc import Sequence

import click

from statekeep.controller.cli.checked import check
from statekeep.controller.cli.findings import Format, print_problems
from statekeep.engine.finding import Severity


@click.command()
@click.argument("named", metavar="FILE…", nargs=-1, required=True)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "gitlab"]),
    default="text",
    show_default=True,
    help="github: workflow commands, which annotate a pull request; gitlab: a Code Quality report.",
)
@click.option("--strict", is_flag=True, help="Warnings are errors.")
def validate(named: Sequence[str], form: Format, *, strict: bool) -> None:
    """Find every problem in each FILE: manifests and bare XState machines, YAML or JSON.

    A folder stands for the *.yaml, *.yml and *.json below it, - for standard input. Exits with 1 if
    there are errors, with 0 if there are only warnings. Needs no server.
    """
    found = check(named)
    print_problems(found.problems, found.counts, form)
    if any(strict or problem.severity is Severity.ERROR for problem in found.problems):
        sys.exit(1)

"""``kubectl statekeep status``: where versions stand, and what to do next."""

from collections.abc import Sequence
from typing import Any

import click
from rich.table import Table

from statekeep.controller.cli.plugin.live import Live, read_live
from statekeep.controller.cli.plugin.options import kubectl
from statekeep.controller.cli.printable import printable
from statekeep.controller.cli.tables import console, preview_tables
from statekeep.controller.conditions import approval_line

UNSEEN = "the operator has not looked at the last edit yet"


@click.command()
@click.argument("name", required=False)
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Of every namespace.")
@click.pass_context
def status(context: click.Context, name: str | None, *, everywhere: bool) -> None:
    """Show where every version stands and what to do next, or everything about NAME."""
    client = kubectl(context)
    if name is not None:
        if everywhere:
            raise click.UsageError("a NAME is in one namespace; leave --all-namespaces out")
        show(read_live(client.version(client.namespace(), name)))
        return
    namespace = None if everywhere else client.namespace()
    versions = [read_live(one) for one in client.versions(namespace)]
    if versions:
        console().print(_table(versions, everywhere=everywhere))
    else:
        place = "no namespace has any" if everywhere else f"there are none in namespace {namespace}"
        click.echo(f"No MachineVersions: {place}.")


def next_step(live: Live) -> str:
    """Return what is to be done about a version, in a few words."""
    if not live.is_current:
        return "wait for the operator to look at it"
    match live.reason:
        case "Invalid":
            return f"mend its errors: kubectl statekeep status {live.name}"
        case "AwaitingParent":
            return f"apply {live.parent} first"
        case "AwaitingApproval":
            return f"review and approve it: kubectl statekeep approve {live.name}"
        case "PreviewChanged":
            return f"review the new preview: kubectl statekeep approve {live.name}"
        case "Applying":
            return "wait: it is being applied, or is next"
        case "Applied":
            return ""
        case "Immutable":
            return "apply it again as it was applied, make a new version of the change"
        case "Reinterpreted":
            return "go back to the release before, or move its actors to a new version"
        case "DatabaseUnavailable":
            return "wait: it is tried again by itself"
        case _:
            return "wait for the operator to look at it"


def show(live: Live) -> None:
    """Print everything about a version."""
    place = f"namespace {live.namespace}, machine {live.machine or 'not known yet'}"
    parent = f", parent {live.parent}" if live.parent else ", a root"
    _say(f"{live.name} ({place}{parent})")
    if not live.is_current:
        _say(f"What follows is out of date: {UNSEEN}.")
    # The errors follow, each with its code.
    finding = live.finding.partition(":")[0] if live.errors else live.finding
    _say(f"{live.reason or 'Not looked at yet'}{f': {finding}' if finding else ''}")
    _say_findings("error", "red", live.errors, live.finding if live.errors else "")
    _say_findings("warning", "yellow", live.warnings, live.validity)
    if live.migration is not None:
        _say_migration(live.migration)
    elif live.preview is not None:
        show_preview(live)
        if live.is_current and live.reason in ("AwaitingApproval", "PreviewChanged"):
            assert live.preview_id is not None
            _say(f"To approve, commit the annotation {approval_line(live.preview_id)}")
    # Its errors have just been shown.
    step = "mend the errors, and apply it again" if live.reason == "Invalid" else next_step(live)
    if step:
        _say(f"Next: {step}")


def show_preview(live: Live) -> None:
    """Print the moves and the stays of the preview."""
    for table in preview_tables(live.preview):
        console().print(table)


def _say_migration(migration: Any) -> None:
    who = migration.get("approvedBy") or migration.get("approval", "")
    _say(
        f"Deployment {migration['deployment']} at {migration['completedAt']}, preview {migration['previewId']}"
        f"{f' (approved by {who})' if who else ''}"
    )


def _say_findings(word: str, colour: str, findings: Sequence[Any], message: str) -> None:
    """Print findings, and how many more there are by the message of their condition, which begins with their number."""
    for one in findings:
        label = click.style(f"{word}[{one['code']}]", fg=colour, bold=True)
        click.echo(f"{label} {printable(one['pointer'] or '/')}: {printable(one['message'])}")
    number = message.partition(" ")[0]
    if number.isdecimal() and int(number) > len(findings):
        rest = "statekeep validate FILE lists them all"
        left_out = int(number) - len(findings)
        click.echo(f"… and {left_out:,} more {word}{'s' if left_out > 1 else ''}; {rest}")


def _say(text: str) -> None:
    click.echo(printable(text))


def _table(versions: Sequence[Live], *, everywhere: bool) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in (["NAMESPACE"] if everywhere else []) + ["NAME", "MACHINE", "PARENT", "STANDING"]:
        table.add_column(column, overflow="fold")
    for column in ("MIGRATE", "STAY", "RESCUE"):
        table.add_column(column, justify="right")
    table.add_column("NEXT", overflow="fold")
    for live in versions:
        where = [live.namespace] if everywhere else []
        row = [*where, live.name, live.machine, live.parent, live.reason, *_counts(live)]
        table.add_row(*map(printable, [*row, next_step(live)]))
    return table


def _counts(live: Live) -> tuple[str, str, str]:
    """Return how many actors moved, stayed and need a rescue, or would."""
    if live.migration is not None:
        done = live.migration
        return f"{done['migrated']:,}", f"{done['stayed']:,}", f"{done['needsRescue']:,}"
    if live.preview is not None and "actors" in live.preview:
        would = live.preview["actors"]
        return f"{would['wouldMigrate']:,}", f"{would['wouldStay']:,}", f"{would['needsRescue']:,}"
    return "", "", ""

"""Tables that several commands print."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

UNLIMITED = 10_000
"""Columns of a file or of a pipe."""


def console(*, markup: bool = False) -> Console:
    """Return a terminal on which, unless told, the names of others are text; in a file or pipe no line is broken."""
    found = Console(markup=markup, emoji=False, highlight=False)
    return (
        found
        if found.is_terminal
        else Console(
            markup=markup, emoji=False, highlight=False, width=UNLIMITED, color_system=None
        )
    )


def decisions_table(decisions: Iterable[Any]) -> Table:
    """Return decisions as the API gives them, one row each."""
    table = Table(box=None, pad_edge=False)
    for column in ("DEPLOYED", "OUTCOME", "FROM", "TO", "WHY"):
        table.add_column(column, overflow="fold")
    for one in decisions:
        after = _place(one["after"]) if "after" in one else ""
        why = f"{one['reason']}: {one['detail']}" if "reason" in one else _matched(one)
        table.add_row(one["version"], one["outcome"], _place(one["before"]), after, why)
    return table


def _place(place: Any) -> str:
    return f"{place['state']} on {place['version']}"


def _matched(decision: Any) -> str:
    if "historyPath" not in decision:
        return "no history path: everyone moves"
    return f"its history matches [{', '.join(decision['historyPath'])}]"


def preview_tables(preview: Any) -> Iterable[Table]:
    """Yield the moves and the stays of a preview as the API gives it."""
    moves = Table(
        "ACTORS",
        "FROM",
        "TO",
        title="would migrate",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for move in preview["moves"]:
        skipped = f" (skipping {', '.join(move['skipped'])})" if "skipped" in move else ""
        moves.add_row(f"{move['actors']:,}", move["from"], move["to"] + skipped)
    stays = Table(
        "ACTORS",
        "STATE",
        "REASON",
        "DETAIL",
        title="would stay",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for stay in preview["stays"]:
        stays.add_row(f"{stay['actors']:,}", stay["state"], stay["reason"], stay["detail"])
    for table, rest in ((moves, preview.get("moreMoves")), (stays, preview.get("moreStays"))):
        if rest:
            table.add_row(f"{rest['actors']:,}", f"… in {rest['kinds']:,} more kinds", *[""] * 1)
        if table.row_count:
            yield table

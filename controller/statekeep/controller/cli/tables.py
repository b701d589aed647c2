"""Tables that several commands print."""

from collections.abc import Iterable
from typing import Any

from rich.table import Table


def decisions_table(decisions: Iterable[Any]) -> Table:
    """Return decisions as the API gives them, one row each."""
    table = Table("DEPLOYED", "OUTCOME", "FROM", "TO", "WHY", box=None, pad_edge=False)
    for one in decisions:
        before = f"{one['before']['version']} {one['before']['state']}"
        after = f"{one['after']['version']} {one['after']['state']}" if "after" in one else ""
        why = f"{one['reason']}: {one['detail']}" if "reason" in one else _matched(one)
        table.add_row(one["version"], one["outcome"], before, after, why)
    return table


def _matched(decision: Any) -> str:
    if "historyPath" not in decision:
        return "the version has no history path: everyone moves"
    return f"its history contains {', '.join(decision['historyPath'])}"


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

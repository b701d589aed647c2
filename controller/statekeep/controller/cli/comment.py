"""A preview as a comment on a pull request, in GitHub's Markdown.

A bot finds its own comment by the first line, and edits it instead of writing another. Every part has a budget, so that
the whole stays below GitHub's limit, and the annotation to commit is never what is cut.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from statekeep.controller.cli.markdown import code, escaped, table
from statekeep.controller.conditions import actors
from statekeep.controller.diagram.mermaid import Actors, diagram
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE, Approval, Manifest
from statekeep.engine.statechart.machine import Machine

MAX_COMMENT = 65_536
"""Characters of a comment that GitHub takes; the budgets below and the rest together stay under it."""

WARNINGS_BUDGET = 8_000
MOVES_BUDGET = 14_000
STAYS_BUDGET = 14_000

MAX_STATE = 160
"""Characters of a state in a cell."""

MAX_SENTENCE = 400
"""Characters of a detail or a warning."""


def marker(manifest: Manifest) -> str:
    """Return the first line of the comment."""
    return f"<!-- statekeep-preview: {manifest.namespace or DEFAULT_NAMESPACE}/{manifest.name} -->"


def root_comment(manifest: Manifest) -> str:
    """Return the comment on a version that has no parent."""
    return f"{marker(manifest)}\n### StateKeep preview of `{manifest.name}`\n\n{root_sentence(manifest)}"


def root_sentence(manifest: Manifest) -> str:
    """Return why there is no preview of a root."""
    return f"{manifest.name} is a root: it takes no actors over, so there is nothing to preview or approve."


def comment(manifest: Manifest, machine: Machine, preview: Any) -> str:
    """Return the comment on a version, from the preview as the API gives it."""
    head = f"{marker(manifest)}\n### StateKeep preview of `{manifest.name}`"
    return f"{head}\n\n{body(manifest, machine, preview)}"


def body(
    manifest: Manifest,
    machine: Machine,
    preview: Any,
    *,
    share: float = 1.0,
    picture: bool = True,
) -> str:
    """Return the comment without its head.

    Args:
        manifest: of the version.
        machine: its statechart.
        preview: as the API gives it.
        share: how much of the budgets its tables may take.
        picture: whether there is room for one.
    """
    parts = [
        _warnings(preview["warnings"], int(WARNINGS_BUDGET * share)),
        [summary(manifest, preview)],
        _moves(preview, int(MOVES_BUDGET * share)),
        _stays(preview, int(STAYS_BUDGET * share)),
        approval(manifest, preview),
        _picture(manifest, machine, preview) if picture else [],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _warnings(warnings: Sequence[Any], budget: int) -> list[str]:
    if not warnings:
        return []
    lines = ["> [!WARNING]"]
    for number, one in enumerate(warnings):
        line = f"> - {code(one['pointer'], MAX_STATE)}: {escaped(one['message'], MAX_SENTENCE)}"
        budget -= len(line)
        if budget < 0:
            lines.append(f"> - … and {len(warnings) - number:,} more")
            break
        lines.append(line)
    return lines


def summary(manifest: Manifest, preview: Any) -> str:
    """Return the counts and the id of a preview, in one line."""
    counts = preview["actors"]
    rescue = f"{counts['needsRescue']:,} need a rescue"
    return (
        f"**{counts['wouldMigrate']:,}** of {actors(counts['evaluated'])} on `{manifest.parent_id}` would migrate, "
        f"**{counts['wouldStay']:,}** would stay, {f'**{rescue}**' if counts['needsRescue'] else rescue}. "
        f"Preview `{preview['id']}`."
    )


def _moves(preview: Any, budget: int) -> list[str]:
    rows = [
        (
            f"{move['actors']:,}",
            code(move["from"], MAX_STATE),
            code(move["to"], MAX_STATE) + _skipped(move),
        )
        for move in preview["moves"]
    ]
    actors = [move["actors"] for move in preview["moves"]]
    return _section(("actors", "from", "to"), rows, actors, preview.get("moreMoves"), budget)


def _skipped(move: Any) -> str:
    skipped = ", ".join(move.get("skipped", ()))
    return f" skipping {code(skipped, MAX_STATE)}" if skipped else ""


def _stays(preview: Any, budget: int) -> list[str]:
    rows = [
        (
            f"{stay['actors']:,}",
            code(stay["state"], MAX_STATE),
            escaped(stay["reason"], MAX_STATE),
            escaped(stay["detail"], MAX_SENTENCE),
        )
        for stay in preview["stays"]
    ]
    actors = [stay["actors"] for stay in preview["stays"]]
    header = ("actors", "stay in", "reason", "detail")
    return _section(header, rows, actors, preview.get("moreStays"), budget)


def _section(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    actors: Sequence[int],
    more: Any,
    budget: int,
) -> list[str]:
    """Return a table, and what its rows leave out."""
    if not rows:
        return []
    lines, left_out = table(header, rows, numbers=1, budget=budget)
    kinds = left_out + (more["kinds"] if more else 0)
    if kinds:
        rest = sum(actors[len(actors) - left_out :]) + (more["actors"] if more else 0)
        lines.append("")
        lines.append(f"… and {rest:,} actors in {kinds:,} more kinds.")
    return lines


def approval(manifest: Manifest, preview: Any) -> list[str]:
    """Return what is left to do so that what is shown happens: most often an annotation to commit."""
    given = manifest.approved_preview
    if manifest.approval is Approval.AUTOMATIC:
        return ["`approval: Automatic`: it is applied as soon as it is deployed, nobody is asked."]
    if given == preview["id"]:
        return [
            f"**Approved** by the annotation in the manifest: `{preview['approve']}`. Deployed, it is applied, unless "
            "a kind of move has come up by then that is not shown here."
        ]
    if given is None:
        other = ""
    elif given.strip() == preview["id"]:
        other = "The manifest has spaces around the id, so it approves nothing. "
    else:
        other = f"The manifest approves {code(given, MAX_STATE)}, not this preview. "
    return [
        f"{other}To approve, commit this annotation:",
        "",
        "```yaml",
        "metadata:",
        "  annotations:",
        f"    {preview['approve']}",
        "```",
    ]


def _picture(manifest: Manifest, machine: Machine, preview: Any) -> list[str]:
    arriving: Counter[str] = Counter()
    for move in preview["moves"]:
        arriving[move["to"]] += move["actors"]
    staying: Counter[str] = Counter()
    for stay in preview["stays"]:
        staying[stay["state"]] += stay["actors"]
    actors = Actors(arriving, staying, manifest.parent_id or "")
    return ["```mermaid", diagram(machine, actors), "```"]

"""The comment of a review: one section a version, what needs attention first, short enough for the forge.

When there is too much for one comment, the pictures go first, then rows of tables, then all but the summaries and the
annotations; only after that, sections, whose number is told.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from statekeep.controller.cli.comment import approval, body, root_sentence, summary
from statekeep.controller.cli.markdown import code, escaped
from statekeep.controller.cli.preview import MISREAD
from statekeep.controller.cli.printable import counted
from statekeep.controller.cli.review.changes import BrokenFile
from statekeep.controller.cli.review.verdict import (
    FAILURES,
    AlreadyApplied,
    Failed,
    Frozen,
    NewRoot,
    ParentFirst,
    Previewed,
    Removed,
    Unasked,
    Verdict,
)
from statekeep.controller.manifest.problem import Problem

MAX_NAME = 253
MAX_SENTENCE = 1_000
MAX_PROBLEMS = 20
"""Of one file; `statekeep validate` lists them all."""


@dataclass(frozen=True, slots=True)
class _Detail:
    """How much a section tells."""

    share: float
    """Of the budgets of one preview; 0: the summary and the annotation alone."""

    picture: bool


def marker(environment: str | None) -> str:
    """Return the first line of the comment, by which it is found again."""
    return f"<!-- statekeep-review{f': {environment}' if environment else ''} -->"


def report(verdicts: Sequence[Verdict], environment: str | None, limit: int) -> str:
    """Return the comment on everything that a pull request changes.

    Args:
        verdicts: in the order of the files.
        environment: which cluster was asked, where there are several.
        limit: characters that the forge takes.
    """
    ordered = sorted(verdicts, key=_urgency)
    head = "\n".join([marker(environment), _title(environment), "", _headline(ordered)])
    fair = 1 / max(len(ordered), 1)
    for detail in (_Detail(1, True), _Detail(1, False), _Detail(fair, False), _Detail(0, False)):
        text = "\n\n".join([head, *(_section(one, detail) for one in ordered)])
        if len(text) <= limit:
            return text
    return _cut(head, [_section(one, _Detail(0, False)) for one in ordered], limit)


def _cut(head: str, sections: Sequence[str], limit: int) -> str:
    rest = "… and {:,} more; `statekeep review` prints them all."
    text, room = head, limit - len(rest) - 20
    for number, section in enumerate(sections):
        if len(text) + len(section) > room:
            return f"{text}\n\n{rest.format(len(sections) - number)}"
        text = f"{text}\n\n{section}"
    return text


def _urgency(verdict: Verdict) -> int:
    """Return what is read first: what fails, then what is to be approved, then the rest."""
    if isinstance(verdict, FAILURES):
        return 0
    return 1 if isinstance(verdict, Previewed) else 2


def _title(environment: str | None) -> str:
    return f"## StateKeep review{f' for {escaped(environment, MAX_NAME)}' if environment else ''}"


def _headline(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return "No version changes."
    failed = sum(isinstance(verdict, FAILURES) for verdict in verdicts)
    many = "1 change" if len(verdicts) == 1 else f"{len(verdicts):,} changes"
    return f"{many}{f', **{failed:,} of them cannot go on**' if failed else ''}."


def _section(verdict: Verdict, detail: _Detail) -> str:
    match verdict:
        case BrokenFile(path):
            name = code(path, MAX_NAME)
        case Unasked():
            name = "The server"
        case other:
            manifest = other.manifest
            where = f" in {code(manifest.namespace, MAX_NAME)}" if manifest.namespace else ""
            name = f"{code(manifest.name, MAX_NAME)}{where}"
    return f"### {name}\n\n{_text(verdict, detail)}"


def _text(verdict: Verdict, detail: _Detail) -> str:
    match verdict:
        case Previewed(manifest, machine, preview):
            if detail.share:
                return body(manifest, machine, preview, share=detail.share, picture=detail.picture)
            return "\n".join([summary(manifest, preview), "", *approval(manifest, preview)])
        case NewRoot(manifest):
            return f"{_sentence(root_sentence(manifest))} New actors can be spawned on it once it is deployed."
        case AlreadyApplied(_, actors):
            return f"It is applied already, with {actors:,} actors on it; nothing changes."
        case Frozen(_, fields):
            return (
                f"**It is applied, and its {', '.join(fields)} cannot change.** Restore the manifest, and make a new "
                "version with this one as its parent."
            )
        case ParentFirst(manifest):
            return (
                f"It waits for its parent {code(str(manifest.parent_id), MAX_NAME)}, which is not applied yet. Once "
                "that is, its preview stands in `status.preview`, and can be approved in a commit of its own."
            )
        case Removed():
            return _removal(verdict)
        case Failed(_, why):
            return f"**There is no preview:** {_sentence(why)}"
        case Unasked(manifests, why):
            names = ", ".join(code(one.name, MAX_NAME) for one in manifests[:MAX_PROBLEMS])
            more = len(manifests) - MAX_PROBLEMS
            rest = f" and {more:,} more" if more > 0 else ""
            return f"**There is no preview:** {_sentence(why)}\n\nNot looked at: {names}{rest}."
        case BrokenFile(_, problems, is_misread):
            lines = [*_problems(problems, detail)]
            if is_misread:
                lines += ["", f"There is no preview to approve: {MISREAD}."]
            return "\n".join(lines)
        case other:
            assert_never(other)


def _removal(removed: Removed) -> str:
    if removed.is_applied is None:
        return "Its manifest was deleted; the server has never seen it, so nothing happens."
    if removed.is_applied:
        return (
            f"Its manifest was deleted. It stays in force for the {removed.actors:,} actors on it, and is adopted "
            "again when the same manifest returns."
        )
    return "Its manifest was deleted before it was applied: it is withdrawn, and no actor moves."


def _problems(problems: Sequence[Problem], detail: _Detail) -> Iterator[str]:
    yield f"**{counted(len(problems), 'error')}:**"
    yield ""
    shown = problems[: MAX_PROBLEMS if detail.share else 1]
    for problem in shown:
        yield f"- {_sentence(str(problem))}"
    if len(problems) > len(shown):
        yield f"- … and {len(problems) - len(shown):,} more"


def _sentence(text: str) -> str:
    return escaped(text, MAX_SENTENCE)

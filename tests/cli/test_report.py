"""The comment of a review fits into its forge, whatever is in it, and loses what matters last."""

import re

import pytest
from tests.cli.test_comment import HOSTILE, SMALL, answer

from statekeep.controller.cli.comment import MAX_COMMENT
from statekeep.controller.cli.review.changes import BrokenFile
from statekeep.controller.cli.review.report import marker, report
from statekeep.controller.cli.review.verdict import Failed, NewRoot, Previewed, Verdict
from statekeep.controller.manifest.manifest import Manifest
from statekeep.controller.manifest.problem import Problem
from statekeep.engine.ids import PreviewId, VersionName
from statekeep.engine.statechart.compiler import compile_machine

ANNOTATION = 'metadata:\n  annotations:\n    statekeep.io/approve: "'


def manifest(name: str) -> Manifest:
    return Manifest(name=VersionName(name), parent_id=VersionName("v1"), definition=SMALL)


def previewed(count: int, text: str = "x", rows: int = 5) -> list[Verdict]:
    machine = compile_machine(SMALL)
    return [Previewed(manifest(f"v{n}"), machine, answer(text, rows)) for n in range(count)]


def failing() -> list[Verdict]:
    problems = tuple(
        Problem(f"{HOSTILE}.yaml", 3, 1, "/spec", "field-value", HOSTILE * 100) for _ in range(90)
    )
    return [BrokenFile("m.yaml", problems), Failed(manifest("failed"), HOSTILE * 100)]


def test_one_preview_is_told_in_full() -> None:
    text = report(previewed(1), None, MAX_COMMENT)
    assert "```mermaid" in text
    assert text.count(ANNOTATION) == 1


@pytest.mark.parametrize(
    ("count", "text", "rows"),
    [(5, "x" * 3000, 50), (20, HOSTILE * 40, 50), (80, "x", 5), (500, HOSTILE, 5)],
    ids=["long names", "hostile names", "many", "more than can be told"],
)
def test_many_previews_fit_and_each_that_is_shown_can_be_approved(
    count: int, text: str, rows: int
) -> None:
    whole = report([*previewed(count, text, rows), *failing()], "production", MAX_COMMENT)
    assert len(whole) <= MAX_COMMENT
    assert whole.startswith(marker("production") + "\n")
    shown = len(re.findall(r"^### <code>v\d+</code>$", whole, re.MULTILINE))
    assert whole.count(ANNOTATION) == shown
    if shown < count:
        assert shown > 50
        assert whole.endswith(f"… and {count - shown:,} more; `statekeep review` prints them all.")


def test_what_fails_stands_first_and_is_never_left_out() -> None:
    whole = report([*previewed(500), NewRoot(manifest("root")), *failing()], None, MAX_COMMENT)
    names = re.findall(r"^### <code>(.+)</code>$", whole, re.MULTILINE)
    assert names[:3] == ["m.yaml", "failed", "v0"]
    assert "**90 errors:**" in whole
    assert "**2 of them cannot go on**" in whole


def test_nothing_that_others_wrote_is_more_than_text() -> None:
    whole = report(failing(), None, MAX_COMMENT)
    assert "<script>" not in whole
    assert "@org" not in whole
    assert all(
        line.startswith(("-", "#", "*", "<!--")) or not line for line in whole.splitlines()[4:]
    )


def test_an_approval_of_something_else_is_named_as_text() -> None:
    [verdict] = previewed(1)
    assert isinstance(verdict, Previewed)
    approving = Manifest(
        name=VersionName("v2"),
        parent_id=VersionName("v1"),
        definition=SMALL,
        annotations={"statekeep.io/approve": PreviewId("<script>")},
    )
    text = report([Previewed(approving, verdict.machine, verdict.preview)], None, MAX_COMMENT)
    assert "<script>" not in text
    assert "not this preview" in text

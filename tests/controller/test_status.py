"""What a status keeps of the one before it: what was approved, and that it is in force."""

from dataclasses import replace
from typing import Any

import pytest
from tests.gitops.statuses import DEPLOYMENT, MOVE, NOW, OLD, PREVIEW, PREVIEW_ID

from statekeep.controller.conditions import MAX_MESSAGE_BYTES
from statekeep.controller.outcome import Outcome
from statekeep.controller.standing import (
    Applied,
    Applying,
    AwaitingApproval,
    DatabaseUnavailable,
    Immutable,
    Invalid,
    PreviewChanged,
    Standing,
)
from statekeep.controller.status import status
from statekeep.engine.finding import Finding
from statekeep.engine.ids import MachineName, PreviewId
from statekeep.engine.routing.preview import Preview

OUTAGE = DatabaseUnavailable("Postgres did not answer")
LATER = replace(PREVIEW, moves=((MOVE, 5),))
"""The same kinds of move, so the same id, a little later."""

MIGRATED = {"preview": PREVIEW_ID, "migrate": 2, "stay": 1, "rescue": 0}


def of(standing: Standing, preview: Preview | None = None, previous: Any = None) -> Any:
    outcome = Outcome(standing, MachineName("m"), preview=preview)
    return status(outcome, generation=1, previous=previous, now=NOW)


def applied(one: Any) -> Any:
    return next(row for row in one["conditions"] if row["type"] == "Applied")


def test_the_approved_preview_stays_as_it_was_shown() -> None:
    shown = of(AwaitingApproval(None), PREVIEW)
    under_way = of(Applying(PREVIEW_ID, waits=False), LATER, shown)
    done = of(Applied(DEPLOYMENT), LATER, under_way)
    later = of(Applied(DEPLOYMENT), None, done)
    assert under_way["preview"] == done["preview"] == later["preview"] == shown["preview"]


def test_what_was_shown_for_the_first_time_when_it_was_applied_is_kept_too() -> None:
    assert of(Applied(DEPLOYMENT), PREVIEW)["preview"]["id"] == PREVIEW_ID


@pytest.mark.parametrize("computed", [None, replace(PREVIEW, id=OLD)], ids=["none", "another"])
def test_another_preview_than_the_approved_one_is_not_shown_as_it(computed: Preview | None) -> None:
    shown = of(AwaitingApproval(None), replace(PREVIEW, id=OLD))
    assert "preview" not in of(Applied(DEPLOYMENT), computed, shown)


def test_a_table_shows_the_preview_until_it_is_applied_and_then_what_was_done() -> None:
    shown = of(AwaitingApproval(None), LATER)
    assert shown["summary"] == MIGRATED | {"migrate": 5}
    done = of(Applied(DEPLOYMENT), LATER, shown)
    assert done["summary"] == MIGRATED
    assert of(OUTAGE, None, done)["summary"] == MIGRATED
    assert of(Applied(DEPLOYMENT))["summary"] == MIGRATED  # an object that was made anew
    assert "summary" not in of(Applied(None))


def test_a_database_that_lost_a_migration_does_not_hide_the_new_preview() -> None:
    done = of(Applied(DEPLOYMENT), LATER)
    assert of(AwaitingApproval(None), LATER, done)["summary"]["migrate"] == 5


@pytest.mark.parametrize(
    "standing",
    [
        Invalid(tuple(Finding("code", "/spec", "ä" * 300) for _ in range(200))),
        AwaitingApproval(PreviewId("0" * 100_000)),
        PreviewChanged(OLD, tuple(replace(MOVE, skipped=("E" * 200, str(n))) for n in range(200))),
    ],
    ids=["errors", "an approval of nonsense", "kinds of move"],
)
def test_a_long_message_counts_what_it_leaves_out_and_keeps_the_advice(standing: Standing) -> None:
    message = of(standing, PREVIEW)["conditions"][0]["message"]
    assert len(message.encode()) <= MAX_MESSAGE_BYTES
    if isinstance(standing, Invalid):
        assert message.startswith("200 errors: ")
        shown = message.count("/spec")
        assert message.endswith(f"; and {200 - shown} more")
    else:
        assert message.endswith(f'statekeep.io/approve: "{PREVIEW_ID}"')


def test_an_outage_does_not_take_back_that_a_version_is_applied() -> None:
    before = of(Applied(None))
    during = of(OUTAGE, None, of(OUTAGE, None, before))
    assert during["conditions"][0]["status"] == "False"
    assert applied(during) == applied(before)
    assert applied(of(OUTAGE))["status"] == "Unknown"
    mended = of(OUTAGE, None, of(Immutable(("machine",)), None, before))
    assert applied(mended)["reason"] == "Immutable"

"""What a preview counts, and what its id depends on."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.routing.trees import (
    CHECKED,
    LOAN,
    History,
    Population,
    evaluated,
    population,
    version,
)

from statekeep.engine.ids import VersionName
from statekeep.engine.json import JsonObject, JsonValue
from statekeep.engine.routing.decision import Move, Stay
from statekeep.engine.routing.evaluation import Decided
from statekeep.engine.routing.policy import (
    CompletedActors,
    MigrationPolicy,
    UnhandledEvents,
    UnseenMoves,
)
from statekeep.engine.routing.preview import Preview, preview_id, summarize
from statekeep.engine.routing.reason import Reason
from statekeep.engine.routing.version import Version

PAID: History = ("START", "PAY")
WAIVED: History = ("START", "WAIVE")
BACK: History = ("START", "WAIVE", "BACK")
MOVES = [Move('"a"', '"b"'), Move('"a"', '"c"'), Move('"a"', '"b"', ("X",))]


def preview(target: Version, everybody: Population) -> Preview:
    return summarize(target, evaluated(target, everybody))


def test_actors_are_counted_by_kind_of_move_and_by_reason_to_stay() -> None:
    everybody = population([PAID, (*PAID, "BACK", "PAY"), WAIVED, BACK, ()], actors=10)
    shown = preview(version(path=["START"]), everybody)
    assert shown.moves == ((Move('"review"', '"income"'), 10), (Move('"review"', '"review"'), 10))
    reasons = [(kind.source, kind.reason, actors) for kind, actors in shown.stays]
    assert sorted(reasons) == [
        ('"fee"', Reason.NEEDS_RESCUE, 10),
        ('"idle"', Reason.PATH_NOT_IN_HISTORY, 10),
        ('"review"', Reason.NEEDS_RESCUE, 10),
    ]
    assert (shown.evaluated, shown.would_migrate, shown.would_stay, shown.needs_rescue) == (
        50,
        20,
        10,
        20,
    )


@given(st.lists(st.tuples(st.sampled_from([PAID, WAIVED, BACK, ()]), st.integers(1, 10**12))))
def test_every_actor_is_counted_once(cohorts: list[tuple[History, int]]) -> None:
    everybody = population([history for history, _ in cohorts])
    sizes = dict(cohorts)
    counted = tuple(
        replace(cohort, actors=actors)
        for cohort, actors in zip(everybody.cohorts, sizes.values(), strict=True)
    )
    shown = preview(version(path=["START"]), Population(counted, everybody.histories))
    assert shown.evaluated == sum(sizes.values())
    assert shown.would_migrate + shown.would_stay + shown.needs_rescue == shown.evaluated
    rows = [actors for _, actors in shown.moves]
    assert rows == sorted(rows, reverse=True)


def test_cohorts_of_one_kind_are_one_row() -> None:
    again = (*PAID, "BACK", "PAY")
    skip = MigrationPolicy(unhandled_events=UnhandledEvents.SKIP)
    shown = preview(version(LOAN, policy=skip), population([PAID, again], actors=3))
    assert shown.moves == ((Move('"review"', '"review"'), 6),)


def test_the_id_does_not_depend_on_counts_stays_or_the_order_of_anything() -> None:
    target = version()
    first = preview(target, population([PAID, WAIVED], actors=1))
    second = preview(target, population([BACK, WAIVED, PAID, (*BACK, "PAY")], actors=1_000))
    assert first.stays != second.stays
    assert first.id == second.id
    assert len(first.id) == 32
    assert set(first.id) <= set("0123456789abcdef")


@given(st.permutations(MOVES), st.lists(st.sampled_from(MOVES)))
def test_the_id_is_of_a_set_of_moves(moves: list[Move], again: list[Move]) -> None:
    assert preview_id(version(), [*moves, *again]) == preview_id(version(), MOVES)


def backwards(value: JsonValue) -> JsonValue:
    """Return the same JSON with the keys of every object the other way round."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    return [backwards(part) for part in value] if isinstance(value, list) else value


def test_the_id_does_not_depend_on_the_order_of_keys_nor_on_how_numbers_are_written() -> None:
    rounded: JsonObject = {**CHECKED, "meta": {"weight": 1, "share": 100.0}}
    rewritten: JsonObject = json.loads(
        json.dumps(backwards(rounded)).replace("100.0", "1e2").replace(": 1,", ": 1.0,")
    )
    assert list(rewritten) != list(rounded)
    assert preview_id(version(rewritten), MOVES) == preview_id(version(rounded), MOVES)


CHANGES: dict[str, Callable[[], str]] = {
    "the name": lambda: preview_id(replace(version(), name=VersionName("other")), MOVES),
    "the definition": lambda: preview_id(version(LOAN), MOVES),
    "a description in it": lambda: preview_id(version({**CHECKED, "description": "!"}), MOVES),
    "the parent": lambda: preview_id(version(parent="v0"), MOVES),
    "the path": lambda: preview_id(version(path=["START"]), MOVES),
    "the order of the path": lambda: preview_id(version(path=["PAY", "START"]), MOVES),
    "unhandled events": lambda: preview_id(
        version(policy=MigrationPolicy(unhandled_events=UnhandledEvents.SKIP)), MOVES
    ),
    "completed actors": lambda: preview_id(
        version(policy=MigrationPolicy(completed_actors=CompletedActors.MIGRATE)), MOVES
    ),
    "unseen moves": lambda: preview_id(
        version(policy=MigrationPolicy(unseen_moves=UnseenMoves.STAY)), MOVES
    ),
    "one move less": lambda: preview_id(version(), MOVES[1:]),
    "one move more": lambda: preview_id(version(), [*MOVES, Move('"c"', '"a"')]),
    "another source": lambda: preview_id(version(), [Move('"x"', '"b"'), *MOVES[1:]]),
    "another target": lambda: preview_id(version(), [Move('"a"', '"x"'), *MOVES[1:]]),
    "another skipped event": lambda: preview_id(
        version(), [*MOVES[:2], Move('"a"', '"b"', ("Y",))]
    ),
    "no moves": lambda: preview_id(version(), []),
}


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_the_id_depends_on(change: str) -> None:
    assert CHANGES[change]() != preview_id(version(), MOVES)


def test_no_two_of_those_changes_share_an_id() -> None:
    assert len({make() for make in CHANGES.values()}) == len(CHANGES)


def test_who_stays_for_another_reason_than_a_rescue_would_stay() -> None:
    [cohort] = population([PAID]).cohorts
    decided = [
        Decided(replace(cohort, actors=2), Stay(Reason.COMPLETED, "done")),
        Decided(replace(cohort, actors=3), Stay(Reason.NOT_IN_PREVIEW, "new")),
    ]
    shown = summarize(version(), decided)
    assert (shown.would_migrate, shown.would_stay, shown.needs_rescue) == (0, 5, 0)

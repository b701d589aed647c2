"""One decision for every cohort, and in which order the reasons count."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.routing.trees import (
    CHECKED,
    LOAN,
    History,
    Population,
    evaluated,
    line,
    population,
    tree,
    version,
)

from statekeep.engine.history.path import Matched
from statekeep.engine.json import JsonObject, canonical
from statekeep.engine.routing.decision import Decision, Migrate, Move, Stay
from statekeep.engine.routing.evaluation import Decided, hold_back, moves
from statekeep.engine.routing.policy import CompletedActors, MigrationPolicy, UnhandledEvents
from statekeep.engine.routing.reason import Reason
from statekeep.engine.routing.replay import Landed, Lost, Walk
from statekeep.engine.routing.version import Version
from statekeep.engine.statechart.interpreter import initial, step

SKIP = MigrationPolicy(unhandled_events=UnhandledEvents.SKIP)
MIGRATE_DONE = MigrationPolicy(completed_actors=CompletedActors.MIGRATE)

HISTORIES = st.lists(
    st.lists(st.sampled_from(["START", "PAY", "WAIVE", "BACK", "APPROVE", "ODD"]), max_size=8).map(
        tuple
    ),
    min_size=1,
    max_size=8,
)


def decision(history: History, target: Version, definition: JsonObject = LOAN) -> Decision:
    [decided] = evaluated(target, population([history], definition=definition))
    return decided.decision


def naive(target: Version, history: History) -> tuple[object, Counter[str]] | tuple[int, str]:
    """Replay one history alone: (state value, what was skipped), or (position, event) where it ends."""
    configuration, skipped = initial(target.machine), Counter[str]()
    for position, event_type in enumerate(history, 1):
        taken = step(target.machine, configuration, event_type)
        configuration = taken.configuration
        if not taken.handled:
            if target.policy.unhandled_events is UnhandledEvents.STAY:
                return position, event_type
            skipped[event_type] += 1
    return configuration.value, skipped


def test_what_is_done_stays_before_its_path_is_looked_at() -> None:
    target = version(path=["NEVER"])
    stay = decision(("START", "PAY", "APPROVE"), target)
    assert stay == Stay(Reason.COMPLETED, "done in approved")


def test_the_path_counts_before_the_replay() -> None:
    stay = decision(("START", "PAY", "BACK"), version(path=["START", "WAIVE"]))
    assert stay == Stay(Reason.PATH_NOT_IN_HISTORY, "event 2 is PAY, the path has WAIVE")


def test_what_the_version_does_not_handle_needs_a_rescue() -> None:
    stay = decision(("START", "WAIVE", "BACK"), version())
    assert stay == Stay(Reason.NEEDS_RESCUE, "event 3, BACK, is not handled in review")


def test_everything_else_migrates_to_where_the_replay_ends() -> None:
    found = decision(("START", "PAY"), version(path=["START", "PAY"]))
    assert isinstance(found, Migrate)
    assert found.configuration.value == "income"
    assert found.move == Move('"review"', '"income"')


def test_a_completed_cohort_migrates_where_the_policy_says_so_by_the_rules_of_all() -> None:
    found = decision(("START", "WAIVE", "APPROVE"), version(policy=MIGRATE_DONE))
    assert isinstance(found, Migrate)
    assert found.configuration.is_done
    stay = decision(("START", "WAIVE", "APPROVE"), version(policy=MIGRATE_DONE, path=["PAY"]))
    assert isinstance(stay, Stay)
    assert stay.reason is Reason.PATH_NOT_IN_HISTORY


def test_skipped_events_are_counted_by_type() -> None:
    history = ("START", "WAIVE", "BACK", "WAIVE", "BACK", "WAIVE")
    found = decision(history, version(policy=SKIP))
    assert isinstance(found, Migrate)
    assert found.skipped == (("BACK", 2), ("WAIVE", 2))
    assert found.move.skipped == ("BACK", "WAIVE")


def test_an_event_that_never_comes_to_rest_needs_a_rescue_even_where_events_are_skipped() -> None:
    restless: JsonObject = {
        "initial": "idle",
        "states": {"idle": {"on": {"START": "a"}}, "a": {"always": "b"}, "b": {"always": "a"}},
    }
    assert decision(("START",), version(restless, policy=SKIP)) == Stay(
        Reason.NEEDS_RESCUE, "event 1, START, never comes to rest in idle"
    )


def test_two_cohorts_in_one_state_part_by_their_history() -> None:
    decided = list(
        evaluated(
            version(path=["START", "PAY"]), population([("START", "PAY"), ("START", "WAIVE")])
        )
    )
    assert len({one.cohort.value for one in decided}) == 1
    assert [type(one.decision) for one in decided] == [Migrate, Stay]


@given(HISTORIES, st.sampled_from([CHECKED, LOAN]), st.sampled_from([SKIP, MigrationPolicy()]))
def test_a_shared_replay_and_one_of_each_history_alone_agree(
    histories: list[History], definition: JsonObject, policy: MigrationPolicy
) -> None:
    target = version(definition, policy=policy)
    ids, nodes = tree(histories)
    walk = Walk(target, nodes)
    for history in histories:
        standing = walk.standing(ids[history])
        match standing.replayed:
            case Landed(configuration, skipped):
                assert naive(target, history) == (configuration.value, dict(skipped))
            case Lost(position, event_type):
                assert naive(target, history) == (position, event_type)
        assert standing.verdict == target.path.verdict(history)


@given(HISTORIES)
def test_a_decision_does_not_depend_on_the_company(
    histories: list[History],
) -> None:
    target = version(policy=SKIP, path=["START", "*"])
    together = population(histories)
    alone = {history: decision(history, target) for history in dict.fromkeys(histories)}
    backwards = Population(together.cohorts[::-1], together.histories)
    for everybody in (together, backwards):
        decided = list(evaluated(target, everybody))
        assert [one.cohort for one in decided] == list(everybody.cohorts)
        ids, _ = tree(histories)
        by_id = {one.cohort.history_id: one.decision for one in decided}
        for history, expected in alone.items():
            assert shown(by_id[ids[history]]) == shown(expected)


def shown(decision: Decision) -> object:
    """Return what can be compared between two compilations of one version."""
    if isinstance(decision, Stay):
        return decision
    return decision.move, decision.skipped, canonical(decision.configuration.to_json())


@pytest.mark.parametrize(
    ("policy", "skipped"), [(SKIP, {"ODD": 33_333}), (MIGRATE_DONE, None)], ids=["skip", "stay"]
)
def test_a_history_of_a_hundred_thousand_events_needs_no_stack(
    policy: MigrationPolicy, skipped: dict[str, int] | None
) -> None:
    circle: JsonObject = {
        "initial": "a",
        "states": {"a": {"on": {"GO": "b"}}, "b": {"on": {"GO": "a"}}},
    }
    end, nodes = line(100_000, "GO", "GO", "ODD")
    walk = Walk(version(circle, policy=policy, path=["**", "ODD", "**", "GO"]), nodes)
    standing = walk.standing(end)
    assert standing.verdict == Matched()
    replayed = standing.replayed
    if skipped is None:
        assert replayed == Lost(3, "ODD", "a", "is not handled")
    else:
        assert isinstance(replayed, Landed)
        assert dict(replayed.skipped) == skipped


@given(HISTORIES)
def test_holding_back_changes_what_was_not_approved_and_nothing_else(
    histories: list[History],
) -> None:
    decided = list(evaluated(version(policy=SKIP), population(histories)))
    kinds = sorted(moves(decided))
    approved = frozenset(kinds[::2])
    for before in decided:
        after = hold_back(before, approved)
        assert after.cohort == before.cohort
        if isinstance(before.decision, Migrate) and before.decision.move not in approved:
            assert isinstance(after.decision, Stay)
            assert after.decision.reason is Reason.NOT_IN_PREVIEW
            assert str(before.decision.move) in after.decision.detail
        else:
            assert after is before
    assert moves(hold_back(one, approved) for one in decided) == approved


def test_a_move_reads_as_people_say_it() -> None:
    move = Move('{"a":{"b":"c"}}', '"done"', ("PAY", "START"))
    assert str(move) == "a.b.c → done (skipping PAY, START)"


def test_moves_are_kinds_not_cohorts() -> None:
    cohorts = population([("START", "PAY"), ("START", "PAY", "BACK", "PAY")])
    decided = [
        Decided(cohort, Migrate(initial(version().machine), Move("1", "2")))
        for cohort in cohorts.cohorts
    ]
    assert moves(decided) == {Move("1", "2")}

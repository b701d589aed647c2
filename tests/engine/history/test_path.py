"""What a path matches, said a second time with regular expressions, slowly."""

import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statekeep.engine.history.fingerprint import fingerprint
from statekeep.engine.history.path import Diverged, HistoryPath, Matched, Open, Verdict, explain

EVENTS = "ABC"
STRANGER = "Z"
"""An event type that no path below names."""

ELEMENTS = st.sampled_from(["A", "B", "C", "*", "**"])
PATHS = st.lists(ELEMENTS, max_size=7)
HISTORIES = st.lists(st.sampled_from([*EVENTS, STRANGER]), max_size=10)


def pattern(elements: Sequence[str]) -> str:
    return "".join({"*": ".", "**": ".*"}.get(element, element) for element in elements)


def kind_of(elements: Sequence[str], history: Sequence[str]) -> type[Verdict]:
    """Say what the verdict must be: some beginning of the path spells an open history exactly."""
    text = "".join(history)
    if re.fullmatch(pattern(elements) + ".*", text):
        return Matched
    beginnings = (elements[:length] for length in range(len(elements) + 1))
    if any(re.fullmatch(pattern(beginning), text) for beginning in beginnings):
        return Open
    return Diverged


def verdicts(path: HistoryPath, history: Sequence[str]) -> list[Verdict]:
    """Return the verdict after each event, that on the empty history first."""
    found = [path.start()]
    for event in history:
        found.append(path.advance(found[-1], event))
    return found


@given(PATHS, HISTORIES)
def test_a_path_is_a_regular_expression_that_the_history_begins_with(
    elements: list[str], history: list[str]
) -> None:
    verdict = HistoryPath(tuple(elements)).verdict(history)
    assert type(verdict) is kind_of(elements, history)


@given(PATHS, HISTORIES)
def test_event_by_event_and_all_at_once_agree(elements: list[str], history: list[str]) -> None:
    path = HistoryPath(tuple(elements))
    for length, verdict in enumerate(verdicts(path, history)):
        assert verdict == path.verdict(history[:length])


@given(PATHS, HISTORIES)
def test_a_verdict_only_ever_goes_from_open_to_one_of_the_others(
    elements: list[str], history: list[str]
) -> None:
    for before, after in pairwise(verdicts(HistoryPath(tuple(elements)), history)):
        assert isinstance(before, Open) or after == before


@given(PATHS, HISTORIES)
def test_a_divergence_names_the_first_event_that_differs_and_what_was_expected(
    elements: list[str], history: list[str]
) -> None:
    verdict = HistoryPath(tuple(elements)).verdict(history)
    if not isinstance(verdict, Diverged):
        return
    before = history[: verdict.position - 1]
    assert kind_of(elements, before) is Open
    assert kind_of(elements, history[: verdict.position]) is Diverged
    assert verdict.event_type == history[verdict.position - 1]
    fitting = [e for e in [*EVENTS, STRANGER] if kind_of(elements, [*before, e]) is not Diverged]
    assert [verdict.expected] == fitting


@given(PATHS, HISTORIES)
def test_an_open_verdict_counts_the_events_and_never_promises_more_than_there_is(
    elements: list[str], history: list[str]
) -> None:
    path = HistoryPath(tuple(elements))
    verdict = path.verdict(history)
    if not isinstance(verdict, Open):
        return
    assert verdict.events == len(history)
    seen, of, *_ = (int(word) for word in explain(path, verdict).split() if word.isdigit())
    counted = [element for element in elements if element != "**"]
    assert 0 <= seen < of == len(counted)
    assert path.awaited(verdict) == counted[seen]


@given(st.lists(st.sampled_from(EVENTS), min_size=1, max_size=6), HISTORIES)
def test_a_plain_path_matches_exactly_where_the_chain_passes_its_prefix_hash(
    elements: list[str], history: list[str]
) -> None:
    path = HistoryPath(tuple(elements))
    chain = [fingerprint(history[:length]) for length in range(len(history) + 1)]
    assert (path.prefix_hash in chain) == isinstance(path.verdict(history), Matched)


@pytest.mark.parametrize("elements", [(), ("A", "*"), ("**", "A"), ("**",)], ids=str)
def test_a_path_that_is_no_list_of_plain_types_has_no_prefix_hash(
    elements: tuple[str, ...],
) -> None:
    assert HistoryPath(elements).prefix_hash is None


@given(HISTORIES)
def test_no_path_and_any_number_of_events_match_everything(history: list[str]) -> None:
    assert HistoryPath(()).verdict(history) == Matched()
    assert HistoryPath(("**", "**")).verdict(history) == Matched()


@pytest.mark.parametrize(
    ("path", "history", "sentence"),
    [
        pytest.param("A B", "A C", "event 2 is C, the path has B", id="another event"),
        pytest.param("A B", "B", "event 1 is B, the path has A", id="the first event"),
        pytest.param("* B", "A A B", "event 2 is A, the path has B", id="after a wildcard"),
        pytest.param("A B C", "A B", "2 of 3 events so far, C is yet to come", id="on the way"),
        pytest.param("A B C", "", "0 of 3 events so far, A is yet to come", id="nothing yet"),
        pytest.param(
            "** A ** B",
            "C C",
            "0 of 2 events so far, A is yet to come",
            id="any number counts as none",
        ),
        pytest.param(
            "** A ** B",
            "C A C",
            "1 of 2 events so far, B is yet to come",
            id="the first of two found",
        ),
        pytest.param(
            "** A B",
            "A C",
            "0 of 2 events so far, A is yet to come",
            id="what must follow did not, so both are to come",
        ),
        pytest.param(
            "A ** * B",
            "A",
            "1 of 3 events so far, another of any type is yet to come",
            id="a wildcard is an event",
        ),
    ],
)
def test_a_sentence_says_why_a_path_is_not_in_a_history(
    path: str, history: str, sentence: str
) -> None:
    declared = HistoryPath(tuple(path.split()))
    verdict = declared.verdict(history.split())
    assert not isinstance(verdict, Matched)
    assert explain(declared, verdict) == sentence


def test_a_wildcard_is_no_event_type() -> None:
    assert isinstance(HistoryPath(("A",)).verdict(["*"]), Diverged)
    assert isinstance(HistoryPath(("A",)).verdict(["**"]), Diverged)


def test_long_paths_and_histories_need_no_stack() -> None:
    elements = ("A",) * 10_000
    assert HistoryPath(elements).verdict(elements) == Matched()
    assert HistoryPath(elements).verdict(elements[1:]) == Open(1 << 9_999, 9_999)
    assert HistoryPath(("A", "B")).verdict(["A", "B"] * 100_000) == Matched()


def test_repeated_wildcards_say_nothing_new() -> None:
    assert HistoryPath(("**",) * 10_000 + ("A",)).verdict(["B"] * 10_000 + ["A"]) == Matched()


def test_many_ways_to_match_are_walked_at_once() -> None:
    """A matcher that tries one way after the other would need longer than the universe is old."""
    path = HistoryPath(("**", "A") * 128 + ("Z",))
    assert isinstance(path.verdict(["A"] * 127 + ["Z"] * 10_000), Open)
    assert isinstance(path.verdict(["A"] * 10_000), Open)
    assert path.verdict(["A"] * 10_000 + ["Z"]) == Matched()

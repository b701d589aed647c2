"""Forged histories: the checker finds nothing in an honest one, and in each forged one what was done to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pytest
from tests.faults.checker import Fault, violations
from tests.faults.content import (
    Content,
    Judged,
    LoggedEvent,
    Place,
    StoredActor,
    StoredDeployment,
    Verdict,
)
from tests.faults.definitions import LONGER, RING
from tests.faults.records import Answer, Attempt, Kind
from tests.store.model import ModelVersion, fingerprint

from statekeep.engine.routing.decision import Move


@dataclass(frozen=True)
class Story:
    """What clients say, and what the database says."""

    attempts: tuple[Attempt, ...]
    content: Content
    approvals: Mapping[str, set[str]]

    def faults(self, *, as_of: int = 10**6) -> set[Fault]:
        return {
            one.fault
            for one in violations(self.attempts, self.content, self.approvals, as_of=as_of)
        }

    def answered(self, id_: str, **changes: object) -> "Story":
        """Return the story with an attempt that went otherwise."""
        changed = tuple(
            replace(one, **changes) if one.id == id_ else one  # type: ignore[arg-type]
            for one in self.attempts
        )
        assert changed != self.attempts
        return replace(self, attempts=changed)

    def actor(self, **changes: object) -> "Story":
        """Return the story with another actor ``a``."""
        actor = replace(self.content.actors["a"], **changes)  # type: ignore[arg-type]
        return replace(self, content=replace(self.content, actors={"a": actor}))

    def log(self, *events: LoggedEvent) -> "Story":
        return self.actor(events=events)

    @property
    def events(self) -> tuple[LoggedEvent, ...]:
        return tuple(self.content.actors["a"].events)

    def judged(self, verdict: Verdict | None, actors: int = 1) -> "Story":
        """Return the story with another decision."""
        [judged] = self.content.decisions
        decisions = {} if verdict is None else {judged: (verdict, actors)}
        return replace(self, content=replace(self.content, decisions=decisions))


def attempt(id_: str, type_: str, began: int, ended: int | None, **more: object) -> Attempt:
    call = id_.partition("/")[0]
    one = Attempt(
        id_, call, Kind.EVENT, "a", type_, keyed=True, began=began, ended=ended, status=200
    )
    return replace(one, **more)  # type: ignore[arg-type]


def honest() -> Story:
    """One actor: spawn, A, an ignored D, a read, B twice with one key, a migration, A without an answer, a read."""
    start, q, r = Place(0, "v1", '"p"'), Place(1, "v1", '"q"'), Place(2, "v1", '"r"')
    end = Place(3, "v2", '"q"')
    answered = Answer(2, "v1", '"r"')
    attempts = (
        Attempt(
            "s", "s", Kind.SPAWN, "a", began=1, ended=2, status=201, answer=Answer(0, "v1", '"p"')
        ),
        attempt("a1", "A", 10, 20, answer=Answer(1, "v1", '"q"')),
        attempt("d1", "D", 21, 22, answer=Answer(1, "v1", '"q"', handled=False)),
        Attempt(
            "g1",
            "g1",
            Kind.READ,
            "a",
            began=23,
            ended=24,
            status=200,
            answer=Answer(1, "v1", '"q"'),
        ),
        attempt("b1", "B", 30, 31, status=503),
        attempt("b1/2", "B", 32, 40, answer=answered),
        attempt("b1/3", "B", 41, 42, answer=answered),
        attempt("a2", "A", 50, None, status=None),
        Attempt(
            "g2",
            "g2",
            Kind.READ,
            "a",
            began=60,
            ended=61,
            status=200,
            answer=Answer(3, "v2", '"q"'),
        ),
        attempt("a3", "A", 62, 63, status=503),
    )
    log = (
        LoggedEvent(q, "A", 0, "a1", "a1"),
        LoggedEvent(r, "B", 0, "b1", "b1"),
        LoggedEvent(end, "A", 1, "a2", "a2"),
    )
    actor = StoredActor("a", "m", 0, start, end, fingerprint("ABA"), log, {"d1": q})
    deployment = StoredDeployment(
        1, "m", "v2", 1, "yes", automatic=False, approved=frozenset({Move('"r"', '"r"')}),
        migrated=1, stayed=0, needs_rescue=0,
    )  # fmt: skip
    versions = {
        "v1": ModelVersion("v1", RING, None),
        "v2": ModelVersion("v2", LONGER, "v1", ("A", "B")),
    }
    decisions = {Judged(1, fingerprint("AB"), "v1", '"r"'): (Verdict('"r"', None), 1)}
    content = Content(versions, {"m": "v1"}, {"a": actor}, [deployment], decisions)
    return Story(attempts, content, {"v2": {"yes"}})


def test_an_honest_history_has_nothing_wrong() -> None:
    assert honest().faults() == set()


def lost(story: Story) -> Story:
    first, second, third = story.events
    there = replace(second, place=replace(third.place, seq=2, version="v1", value='"p"'), type="A",
                    call="a2", key="a2", epoch=0)  # fmt: skip
    return story.log(first, there)


def twice(story: Story) -> Story:
    *others, last = story.events
    again = replace(last, place=Place(4, "v2", '"s"'), key=None)
    story = story.log(*others, last, again)
    return story.actor(place=again.place, fingerprint=fingerprint("ABAA"))


def invented(story: Story) -> Story:
    *others, last = story.events
    return story.log(*others, replace(last, call="nobody", key=None))


def swapped(story: Story) -> Story:
    """B after A, though A had been answered before B began: as if one had overtaken the other."""
    first, second, third = story.events
    return story.log(replace(second, place=first.place), replace(first, place=second.place), third)


FORGED: dict[str, tuple[Callable[[Story], Story], Fault]] = {
    "an acknowledged event is not in the log": (lost, Fault.LOST),
    "an actor that was answered is not there": (
        lambda s: replace(s, content=replace(s.content, actors={}, decisions={}, deployments=[])),
        Fault.LOST,
    ),
    "an ignored event was not remembered": (lambda s: s.actor(ignored={}), Fault.LOST),
    "a seq is missing": (lambda s: s.log(s.events[0], s.events[2]), Fault.LOST),
    "an unacknowledged event is there twice": (twice, Fault.DUPLICATED),
    "an event was taken and ignored": (
        lambda s: s.actor(ignored={"d1": Place(1, "v1", '"q"'), "a1": Place(1, "v1", '"q"')}),
        Fault.DUPLICATED,
    ),
    "an event that nobody sent": (invented, Fault.INVENTED),
    "an event of another type": (
        lambda s: s.answered("a2", type="B"),
        Fault.INVENTED,
    ),
    "a key that nobody gave": (lambda s: s.answered("a2", keyed=False), Fault.INVENTED),
    "an ignored event that nobody sent": (
        lambda s: s.actor(ignored={"d1": Place(1, "v1", '"q"'), "d9": Place(1, "v1", '"q"')}),
        Fault.INVENTED,
    ),
    "two events changed places": (swapped, Fault.REORDERED),
    "a write was answered before an earlier one began": (
        lambda s: s.answered("b1", began=2).answered("b1/2", began=3, ended=5),
        Fault.REORDERED,
    ),
    "a read saw less than was answered before": (
        lambda s: s.answered("g1", began=43, ended=44),
        Fault.REORDERED,
    ),
    "a read before a migration came after one behind it": (
        lambda s: s.answered("g1", began=62, ended=64, answer=Answer(2, "v1", '"r"')),
        Fault.REORDERED,
    ),
    "a batch was taken in another order": (
        lambda s: replace(s, attempts=(s.attempts[7], *s.attempts[:7], *s.attempts[8:]))
        .answered("a1", batch="x", began=10, ended=None, answer=None)
        .answered("a2", batch="x", began=10),
        Fault.REORDERED,
    ),
    "an answer named another seq": (
        lambda s: s.answered("a1", answer=Answer(7, "v1", '"q"')),
        Fault.WRONG_ANSWER,
    ),
    "an answer named another state": (
        lambda s: s.answered("a1", answer=Answer(1, "v1", '"s"')),
        Fault.WRONG_ANSWER,
    ),
    "an answer named another version": (
        lambda s: s.answered("a1", answer=Answer(1, "v2", '"q"')),
        Fault.WRONG_ANSWER,
    ),
    "a retry was told something else": (
        lambda s: s.answered("b1/3", answer=Answer(3, "v2", '"q"')),
        Fault.WRONG_ANSWER,
    ),
    "a handled event was answered as unhandled": (
        lambda s: s.answered("a1", answer=Answer(1, "v1", '"q"', handled=False)),
        Fault.WRONG_ANSWER,
    ),
    "a read saw what never was": (
        lambda s: s.answered("g2", answer=Answer(3, "v2", '"p"')),
        Fault.WRONG_ANSWER,
    ),
    "an actor stands elsewhere": (
        lambda s: s.actor(place=Place(3, "v2", '"s"')),
        Fault.WRONG_STATE,
    ),
    "an actor is on another version": (
        lambda s: s.actor(place=Place(3, "v1", '"q"')),
        Fault.WRONG_STATE,
    ),
    "an actor has another fingerprint": (
        lambda s: s.actor(fingerprint=fingerprint("AB")),
        Fault.WRONG_STATE,
    ),
    "an event was taken where no transition takes it": (
        lambda s: s.answered("a1", type="D").log(replace(s.events[0], type="D"), *s.events[1:]),
        Fault.WRONG_STATE,
    ),
    "an actor was spawned on another version": (
        lambda s: s.actor(spawned=Place(0, "v2", '"p"')),
        Fault.WRONG_STATE,
    ),
    "an event has the epoch of before the migration": (
        lambda s: s.log(*s.events[:2], replace(s.events[2], epoch=0)),
        Fault.WRONG_STATE,
    ),
    "a decision is missing": (lambda s: s.judged(None), Fault.UNEXPLAINED),
    "a decision to stay, and the actor moved": (
        lambda s: s.judged(Verdict(None, "PathNotInHistory")),
        Fault.UNEXPLAINED,
    ),
    "a decision to land elsewhere": (
        lambda s: s.judged(Verdict('"s"', None)),
        Fault.UNEXPLAINED,
    ),
    "a decision that skipped an event": (
        lambda s: s.judged(Verdict('"r"', None, (("C", 1),))),
        Fault.UNEXPLAINED,
    ),
    "a decision that counts one too many": (
        lambda s: s.judged(Verdict('"r"', None), 2),
        Fault.UNEXPLAINED,
    ),
    "a deployment that counts one too few": (
        lambda s: replace(
            s, content=replace(s.content, deployments=[replace(s.content.deployments[0], migrated=0)])
        ),
        Fault.UNEXPLAINED,
    ),
    "a deployment that nobody approved": (
        lambda s: replace(s, approvals={"v2": {"another"}}),
        Fault.UNEXPLAINED,
    ),
    "a move that the approved preview did not show": (
        lambda s: replace(
            s,
            content=replace(
                s.content, deployments=[replace(s.content.deployments[0], approved=frozenset())]
            ),
        ),
        Fault.UNEXPLAINED,
    ),
}  # fmt: skip


@pytest.mark.parametrize("forgery", FORGED)
def test_a_forged_history_is_caught(forgery: str) -> None:
    forge, fault = FORGED[forgery]
    assert fault in forge(honest()).faults()


def test_what_was_answered_after_the_snapshot_may_be_missing_in_it() -> None:
    story = honest().answered("a3", answer=Answer(4, "v2", '"s"'))
    assert story.faults() == {Fault.LOST}
    assert story.faults(as_of=63) == set()


def test_a_lost_answer_is_no_violation() -> None:
    story = honest().answered("a1", answer=None, ended=None)
    assert story.faults() == set()

"""The history checker: what clients were told, and what a database holds, must be one story.

Pure: records and content in, violations out. It knows no cohorts, no edges and no batches: every actor is judged
alone, by running its own history through its versions one event at a time. It shares the interpreter with the
product (held to XState elsewhere), and nothing else.

* Every acknowledged event is in the log exactly once, where its answer says; nothing is there twice, and nothing
  that nobody sent. An event that was answered as unhandled is not there.
* An actor's places (its spawn, each event, each migration) have one order. A call that was answered before another
  one began stands before it: per-actor linearizability. All answers to one key agree.
* Every place in the log, and where the actor stands now, is what the replay says.
* Every deployment was approved, and each of its decisions follows from the log of the actors that it counts.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from heapq import heappop, heappush

from tests.faults.content import (
    Content,
    Judged,
    LoggedEvent,
    Place,
    StoredActor,
    StoredDeployment,
    Verdict,
)
from tests.faults.records import Answer, Attempt, Kind
from tests.store.model import Model, ModelActor, Ruling, fingerprint

from statekeep.engine.json import canonical
from statekeep.engine.routing.reason import Reason
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.interpreter import initial, step
from statekeep.engine.statechart.machine import Machine

Approvals = Mapping[str, Collection[str]]
"""For each version the ids of the previews that somebody approved."""


class Fault(StrEnum):
    """What can be wrong."""

    LOST = "lost"
    """Acknowledged, and not there."""

    DUPLICATED = "duplicated"
    """There more often than it may be."""

    INVENTED = "invented"
    """There, and nobody sent it."""

    WRONG_ANSWER = "wrong answer"
    """An answer that says something else than the log."""

    REORDERED = "reordered"
    """Answered before another call began, and behind it in the log."""

    WRONG_STATE = "wrong state"
    """Another place than the replay says."""

    UNEXPLAINED = "unexplained decision"
    """A deployment or a decision that does not follow from the log."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong."""

    fault: Fault
    where: str
    detail: str

    def __str__(self) -> str:
        return f"{self.fault}: {self.where}: {self.detail}"


def violations(
    attempts: Iterable[Attempt], content: Content, approvals: Approvals, *, as_of: int
) -> list[Violation]:
    """Return everything that is wrong.

    Args:
        attempts: of all clients, read after the content: they explain whatever it holds.
        content: one snapshot.
        approvals: likewise.
        as_of: when reading the content began. What was answered later may be missing there.
    """
    known = [one if _answered_by(one, as_of) else replace(one, answer=None) for one in attempts]
    by_actor: dict[str, list[Attempt]] = {}
    for attempt in known:
        by_actor.setdefault(attempt.actor, []).append(attempt)
    model = Model(versions=dict(content.versions))
    tally = _Tally(content)
    found: list[Violation] = []
    for name in sorted(by_actor.keys() | content.actors.keys()):
        actor = content.actors.get(name)
        some = by_actor.get(name, [])
        if actor is None:
            found += _missing(name, some)
            continue
        places, wrong = _life(actor, content, model, tally)
        found += wrong
        found += _delivery(actor, _calls(some))
        found += _order(actor, places, _calls(some), some)
    return [*found, *tally.violations(), *_unapproved(content, approvals)]


def _answered_by(attempt: Attempt, as_of: int) -> bool:
    return attempt.ended is not None and attempt.ended < as_of


def _missing(name: str, attempts: Iterable[Attempt]) -> Iterator[Violation]:
    for attempt in attempts:
        if attempt.answer is not None:
            yield Violation(Fault.LOST, name, f"no such actor, but {attempt.call} was answered")


# Delivery


@dataclass(frozen=True, slots=True)
class _Call:
    """All attempts of one event."""

    id: str
    type: str
    keyed: bool
    began: int
    """Of the first attempt."""

    ended: int | None
    """Of the first answer."""

    answers: frozenset[Answer]


def _calls(attempts: Iterable[Attempt]) -> dict[str, _Call]:
    calls: dict[str, _Call] = {}
    for attempt in attempts:
        if attempt.kind is not Kind.EVENT:
            continue
        call = calls.get(attempt.call)
        answers = frozenset() if attempt.answer is None else frozenset({attempt.answer})
        ended = attempt.ended if attempt.answer is not None else None
        if call is None:
            calls[attempt.call] = _Call(
                attempt.call, attempt.type, attempt.keyed, attempt.began, ended, answers
            )
            continue
        ends = [end for end in (call.ended, ended) if end is not None]
        calls[attempt.call] = replace(
            call,
            began=min(call.began, attempt.began),
            ended=min(ends, default=None),
            answers=call.answers | answers,
        )
    return calls


def _delivery(actor: StoredActor, calls: Mapping[str, _Call]) -> Iterator[Violation]:
    """Compare an actor's log with what was sent to it."""
    rows: dict[str | None, list[LoggedEvent]] = {}
    for event in actor.events:
        rows.setdefault(event.call, []).append(event)
    for id_, events in rows.items():
        call = calls.get(id_ or "")
        if call is None:
            yield Violation(Fault.INVENTED, actor.id, f"nobody sent {id_}")
            continue
        if len(events) > 1:
            seqs = [event.place.seq for event in events]
            yield Violation(Fault.DUPLICATED, actor.id, f"{id_} is in the log at {seqs}")
        for event in events:
            if (event.type, event.key) != (call.type, call.id if call.keyed else None):
                yield Violation(Fault.INVENTED, actor.id, f"{id_} was another event")
    for call in calls.values():
        yield from _answers(actor, call, rows.get(call.id, []))
    for key in actor.ignored.keys() & rows.keys():
        yield Violation(Fault.DUPLICATED, actor.id, f"{key} was taken and ignored")
    for key in actor.ignored.keys() - calls.keys():
        yield Violation(Fault.INVENTED, actor.id, f"nobody sent {key}, which was ignored")


def _answers(actor: StoredActor, call: _Call, rows: Sequence[LoggedEvent]) -> Iterator[Violation]:
    if len(call.answers) > 1:
        yield Violation(
            Fault.WRONG_ANSWER, actor.id, f"{call.id} got {sorted(map(str, call.answers))}"
        )
    for answer in call.answers:
        told = Place(answer.seq, answer.version, answer.value)
        if not answer.handled:
            if rows:
                yield Violation(
                    Fault.WRONG_ANSWER, actor.id, f"{call.id} was unhandled, but is there"
                )
            if call.keyed and call.id not in actor.ignored:
                yield Violation(Fault.LOST, actor.id, f"the ignored {call.id} was not remembered")
            elif call.keyed and actor.ignored[call.id] != told:
                yield Violation(Fault.WRONG_ANSWER, actor.id, f"{call.id} was told {told}")
        elif not rows:
            yield Violation(Fault.LOST, actor.id, f"{call.id} was acknowledged at {answer.seq}")
        elif all(row.place != told for row in rows):
            yield Violation(
                Fault.WRONG_ANSWER,
                actor.id,
                f"{call.id} was told {told}, the log has {rows[0].place}",
            )


# Order


@dataclass(frozen=True, slots=True)
class _Operation:
    """Something that somebody did to, or saw of, one actor between two moments."""

    name: str
    began: int
    ended: int | None
    place: int
    """Position among the actor's places."""

    writes: bool


def _order(
    actor: StoredActor,
    places: Sequence[Place],
    calls: Mapping[str, _Call],
    attempts: Sequence[Attempt],
) -> Iterator[Violation]:
    """Hold operations to the order of real time, and batches to their own."""
    positions = {place: number for number, place in enumerate(places)}
    firsts = {place.seq: number for number, place in reversed(list(enumerate(places)))}
    rows = {event.call: event.place for event in actor.events}
    operations: list[_Operation] = []
    for call in calls.values():
        for answer in call.answers:
            if not answer.handled:
                place = Place(answer.seq, answer.version, answer.value)
                if place in positions:
                    operations.append(
                        _Operation(call.id, call.began, call.ended, positions[place], writes=False)
                    )
                else:
                    yield Violation(Fault.WRONG_ANSWER, actor.id, f"{call.id} saw {place}")
        if call.id in rows and rows[call.id].seq in firsts:
            position = firsts[rows[call.id].seq]
            operations.append(_Operation(call.id, call.began, call.ended, position, writes=True))
    for attempt in attempts:
        if attempt.kind is Kind.EVENT or attempt.answer is None:
            continue
        answer = attempt.answer
        place = Place(answer.seq, answer.version, answer.value)
        if place not in positions:
            yield Violation(Fault.WRONG_ANSWER, actor.id, f"{attempt.id} saw {place}")
            continue
        operations.append(
            _Operation(attempt.id, attempt.began, attempt.ended, positions[place], writes=False)
        )
    yield from _linear(actor.id, operations)
    yield from _in_batches(actor.id, rows, attempts)


def _linear(name: str, operations: Iterable[_Operation]) -> Iterator[Violation]:
    """Sweep over the beginnings; remember how far the actor had got by what had ended before."""
    going: list[tuple[int, int, str]] = []
    furthest, seen = -1, ""
    for one in sorted(operations, key=lambda one: one.began):
        while going and going[0][0] < one.began:
            _, place, what = heappop(going)
            if place > furthest:
                furthest, seen = place, what
        if one.place < furthest or (one.writes and one.place == furthest):
            yield Violation(Fault.REORDERED, name, f"{one.name} began after the end of {seen}")
        if one.ended is not None:
            heappush(going, (one.ended, one.place, one.name))


def _in_batches(
    name: str, rows: Mapping[str | None, Place], attempts: Sequence[Attempt]
) -> Iterator[Violation]:
    """Hold the events of one batch to their order there, where each was sent only once."""
    times = Counter(attempt.call for attempt in attempts)
    batches: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        if attempt.batch and times[attempt.call] == 1 and attempt.call in rows:
            batches.setdefault(attempt.batch, []).append(attempt)
    for batch in batches.values():
        seqs = [rows[attempt.call].seq for attempt in batch]
        if seqs != sorted(seqs):
            yield Violation(Fault.REORDERED, name, f"the batch {batch[0].batch} is there as {seqs}")


# Lives


@dataclass
class _Tally:
    """Counts the actors that each decision should be about."""

    content: Content
    counted: Counter[Judged] = field(default_factory=Counter)
    outcomes: Counter[tuple[int, str]] = field(default_factory=Counter)

    def count(self, judged: Judged, reason: Reason | None) -> None:
        self.counted[judged] += 1
        kind = {None: "migrated", Reason.NEEDS_RESCUE: "needs rescue"}.get(reason, "stayed")
        self.outcomes[judged.deployment, kind] += 1

    def violations(self) -> Iterator[Violation]:
        for judged, (_, actors) in self.content.decisions.items():
            if self.counted[judged] != actors:
                detail = f"{judged} counts {actors} actors, there are {self.counted[judged]}"
                yield Violation(Fault.UNEXPLAINED, f"deployment {judged.deployment}", detail)
        for one in self.content.deployments:
            kinds = ("migrated", "stayed", "needs rescue")
            numbers = tuple(self.outcomes[one.id, kind] for kind in kinds)
            if numbers != (one.migrated, one.stayed, one.needs_rescue):
                detail = f"{numbers} actors by their logs, {one}"
                yield Violation(Fault.UNEXPLAINED, f"deployment {one.id}", detail)


def _life(
    actor: StoredActor, content: Content, model: Model, tally: _Tally
) -> tuple[Sequence[Place], Sequence[Violation]]:
    """Live an actor's life again; return every place of it, and what does not agree."""
    ahead = [one for one in content.deployments if one.machine == actor.machine]
    past = [one for one in ahead if one.epoch <= actor.spawn_epoch]
    ahead = ahead[len(past) :]
    version = past[-1].version if past else content.roots[actor.machine]
    life = _Life(actor, content, model, tally, ModelActor(version))
    if life.places[0] != actor.spawned:
        life.wrong_state(f"spawned at {actor.spawned}")
    for number, event in enumerate(actor.events, 1):
        while ahead and ahead[0].epoch <= event.epoch:
            life.meet(ahead.pop(0))
        life.take(number, event)
    for deployment in ahead:
        life.meet(deployment)
    if (life.places[-1], fingerprint(life.actor.events)) != (actor.place, actor.fingerprint):
        life.wrong_state(f"stands at {actor.place}, the replay at {life.places[-1]}")
    return life.places, life.violations


class _Life:
    """One actor, alone."""

    def __init__(
        self,
        stored: StoredActor,
        content: Content,
        model: Model,
        tally: _Tally,
        actor: ModelActor,
    ) -> None:
        self._stored, self._content, self._model, self._tally = stored, content, model, tally
        self.actor = actor
        self._configuration = initial(self._machine)
        self.places = [self._here()]
        self.violations: list[Violation] = []

    @property
    def _machine(self) -> Machine:
        return self._model.versions[self.actor.version].machine

    def _here(self) -> Place:
        value = canonical(self._configuration.value).decode()
        return Place(len(self.actor.events), self.actor.version, value)

    def wrong_state(self, detail: str) -> None:
        self.violations.append(Violation(Fault.WRONG_STATE, self._stored.id, detail))

    def take(self, number: int, event: LoggedEvent) -> None:
        """Take the next event of the log, which must be where the log says."""
        if event.place.seq != number:
            self.violations.append(
                Violation(Fault.LOST, self._stored.id, f"seq {number} is missing")
            )
        taken = step(self._machine, self._configuration, event.type)
        self._configuration = taken.configuration
        self.actor.events.append(event.type)
        self.places.append(self._here())
        if not taken.handled:
            self.wrong_state(f"{event.call} cannot have been taken")
        if self.places[-1] != event.place:
            self.wrong_state(f"the log has {event.place}, the replay {self.places[-1]}")

    def meet(self, deployment: StoredDeployment) -> None:
        """Decide what a deployment means to this actor, and look whether that was decided."""
        if self._model.versions[deployment.version].parent != self.actor.version:
            return
        before = self.actor.version
        reason = self._model.rule(deployment.version, self.actor, deployment.approved)
        ruling = self.actor.rulings[-1]
        value = canonical(ruling.before).decode()
        judged = Judged(deployment.id, ruling.fingerprint, before, value)
        self._tally.count(judged, reason)
        decided = self._content.decisions.get(judged, (None, 0))[0]
        if decided != _verdict(ruling):
            detail = (
                f"deployment {deployment.id}: {_verdict(ruling)} by the log, {decided} on record"
            )
            self.violations.append(Violation(Fault.UNEXPLAINED, self._stored.id, detail))
        if reason is None:
            self._configuration = _replayed(self._machine, self.actor.events)
            self.places.append(self._here())


def _verdict(ruling: Ruling) -> Verdict:
    landing = None if ruling.reason else canonical(ruling.after).decode()
    reason = None if ruling.reason is None else ruling.reason.value
    return Verdict(landing, reason, tuple(sorted(ruling.skipped.items())))


def _replayed(machine: Machine, events: Iterable[str]) -> Configuration:
    configuration = initial(machine)
    for event_type in events:
        configuration = step(machine, configuration, event_type).configuration
    return configuration


def _unapproved(content: Content, approvals: Approvals) -> Iterator[Violation]:
    for one in content.deployments:
        if not one.automatic and one.preview_id not in approvals.get(one.version, ()):
            detail = f"nobody approved {one.preview_id} of {one.version}"
            yield Violation(Fault.UNEXPLAINED, f"deployment {one.id}", detail)

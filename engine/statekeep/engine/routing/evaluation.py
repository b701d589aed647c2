"""The decisions that a version takes over a population: the one function behind preview and deployment."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from statekeep.engine.routing.cohort import Cohort
from statekeep.engine.routing.decision import Decision, Migrate, Move, Question, Stay, decide
from statekeep.engine.routing.reason import Reason
from statekeep.engine.routing.replay import Walk


@dataclass(frozen=True, slots=True)
class Decided:
    """One cohort and what was decided of it."""

    cohort: Cohort
    decision: Decision


def evaluate(walk: Walk, cohorts: Iterable[Cohort]) -> Iterator[Decided]:
    """Yield one decision for every cohort, in their order; the walk knows their histories.

    A decision depends on the cohort's history and on its state only so far as it is shown or done,
    so two actors in one state can part. It depends on nothing else: the same cohort always gets the
    same decision, and cohorts that differ in nothing that matters share one.
    """
    known: dict[tuple[int, int], Decision] = {}
    for cohort in cohorts:
        standing = walk.standing(cohort.history_id)
        kind = (cohort.configuration_id, id(standing))  # the walk keeps its standings
        decision = known.get(kind)
        if decision is None:
            decision = known[kind] = decide(Question(walk.version, cohort, standing))
        yield Decided(cohort, decision)


def moves(decided: Iterable[Decided]) -> frozenset[Move]:
    """Return the kinds of move among the decisions."""
    return frozenset(d.decision.move for d in decided if isinstance(d.decision, Migrate))


def hold_back(decided: Decided, approved: frozenset[Move]) -> Decided:
    """Return the decision under ``unseenMoves: Stay``: a kind of move that was not approved stays."""
    decision = decided.decision
    if isinstance(decision, Migrate) and decision.move not in approved:
        stay = Stay(
            Reason.NOT_IN_PREVIEW, f"the move {decision.move} was not in the approved preview"
        )
        return Decided(decided.cohort, stay)
    return decided

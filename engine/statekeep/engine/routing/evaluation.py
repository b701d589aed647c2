"""The decisions that a version takes over a population: the one function behind preview and deployment."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from statekeep.engine.routing.cohort import Cohort, Population
from statekeep.engine.routing.decision import Decision, Migrate, Move, Question, Stay, decide
from statekeep.engine.routing.reason import Reason
from statekeep.engine.routing.replay import Walk
from statekeep.engine.routing.version import Version


@dataclass(frozen=True, slots=True)
class Decided:
    """One cohort and what was decided of it."""

    cohort: Cohort
    decision: Decision


def evaluate(version: Version, population: Population) -> Iterator[Decided]:
    """Yield one decision for every cohort, in the order of the population.

    A decision depends on the cohort's history and on whether it is done, never on its current
    state, so two actors in one state can part. It depends on nothing else: the same cohort always
    gets the same decision.
    """
    walk = Walk(version, population.histories)
    for cohort in population.cohorts:
        history_id = cohort.history_id
        question = Question(
            version,
            cohort,
            walk.verdict(history_id),
            lambda history_id=history_id: walk.replay(history_id),  # type: ignore[misc]
        )
        yield Decided(cohort, decide(question))


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

"""What one deployment says of one cohort, and how it comes to say so."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from statekeep.engine.history.path import Matched, explain
from statekeep.engine.json import canonical
from statekeep.engine.routing.cohort import Cohort
from statekeep.engine.routing.policy import CompletedActors
from statekeep.engine.routing.reason import Reason
from statekeep.engine.routing.replay import Landed, Lost, Standing
from statekeep.engine.routing.version import Version
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.state_value import label


@dataclass(frozen=True, slots=True, order=True)
class Move:
    """A kind of move: what an approver sees and approves."""

    source: str
    """Canonical JSON of the state value before."""

    target: str
    """Canonical JSON of the state value after."""

    skipped: tuple[str, ...] = ()
    """Types of the events that the replay skipped; sorted, each once."""

    def __str__(self) -> str:
        """Return the move as people read it."""
        skipped = f" (skipping {', '.join(self.skipped)})" if self.skipped else ""
        return f"{state_label(self.source)} → {state_label(self.target)}{skipped}"


@dataclass(frozen=True, slots=True)
class Migrate:
    """The cohort moves to the new version, landing in ``configuration``."""

    configuration: Configuration
    move: Move
    skipped: tuple[tuple[str, int], ...] = ()
    """Event types that the replay skipped, sorted, with how often."""


@dataclass(frozen=True, slots=True)
class Stay:
    """The cohort keeps its version and its configuration."""

    reason: Reason
    detail: str
    """One sentence for people."""


Decision = Migrate | Stay
"""Every cohort of the parent gets exactly one."""


@dataclass(frozen=True, slots=True)
class Question:
    """One cohort before one version."""

    version: Version
    cohort: Cohort
    standing: Standing
    """Where the cohort's history leads in the version."""


def is_completed(question: Question) -> Stay | None:
    """Object to moving actors that are done, unless the policy says that they move."""
    if question.cohort.done and question.version.policy.completed_actors is CompletedActors.STAY:
        return Stay(Reason.COMPLETED, f"done in {state_label(question.cohort.value)}")
    return None


def lacks_path(question: Question) -> Stay | None:
    """Object to moving actors whose history does not contain the path."""
    verdict = question.standing.verdict
    if isinstance(verdict, Matched):
        return None
    return Stay(Reason.PATH_NOT_IN_HISTORY, explain(question.version.path, verdict))


# The order is the contract: what is done stays whatever it went through, and the replay counts only
# for a match.
OBJECTIONS: tuple[Callable[[Question], Stay | None], ...] = (is_completed, lacks_path)


def decide(question: Question) -> Decision:
    """Return what happens to the cohort; the first objection wins, then the replay speaks."""
    for objection in OBJECTIONS:
        if stay := objection(question):
            return stay
    match question.standing.replayed:
        case Lost() as lost:
            return Stay(Reason.NEEDS_RESCUE, lost.sentence)
        case Landed(configuration, skipped):
            return _migrate(question.cohort, configuration, skipped)


def _migrate(
    cohort: Cohort, configuration: Configuration, skipped: tuple[tuple[str, int], ...]
) -> Migrate:
    target = canonical(configuration.value).decode()
    kinds = tuple(event_type for event_type, _ in skipped)
    return Migrate(configuration, Move(cohort.value, target, kinds), skipped)


def state_label(value: str) -> str:
    """Return the one-line name of a state value given as canonical JSON."""
    return label(json.loads(value))

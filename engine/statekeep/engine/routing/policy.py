"""What a version's author decided about the hard cases of a migration."""

from dataclasses import dataclass
from enum import StrEnum


class UnhandledEvents(StrEnum):
    """What an event of the history that the new version does not handle does to its cohort."""

    STAY = "Stay"
    """The cohort stays on the parent, ``NeedsRescue``."""

    SKIP = "Skip"
    """The event is skipped, counted and shown."""


class CompletedActors(StrEnum):
    """Whether actors that are done move."""

    STAY = "Stay"
    MIGRATE = "Migrate"


class UnseenMoves(StrEnum):
    """What a kind of move that the approved preview did not show does to the deployment."""

    HOLD = "Hold"
    """Nothing is applied."""

    STAY = "Stay"
    """The approved kinds are applied; cohorts of an unseen kind stay, ``NotInPreview``."""


@dataclass(frozen=True, slots=True)
class MigrationPolicy:
    """``spec.migration`` of a version."""

    unhandled_events: UnhandledEvents = UnhandledEvents.STAY
    completed_actors: CompletedActors = CompletedActors.STAY
    unseen_moves: UnseenMoves = UnseenMoves.HOLD

    @property
    def skips(self) -> bool:
        """Whether a replay passes over events that the version does not handle."""
        return self.unhandled_events is UnhandledEvents.SKIP

    def __str__(self) -> str:
        """Return the policy as a manifest has it."""
        return (
            f"{{unhandledEvents: {self.unhandled_events}, completedActors: {self.completed_actors}, "
            f"unseenMoves: {self.unseen_moves}}}"
        )

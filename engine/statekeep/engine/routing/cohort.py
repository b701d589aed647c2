"""What routing is asked about: cohorts, and the tree of histories that they stand on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HistoryNode:
    """One node of the tree of histories; the path from the root to it is a history."""

    id: int
    parent_id: int | None
    """``None`` at the root, which is the empty history."""

    event_type: str
    """The last event of the history; empty at the root."""

    depth: int
    """How many events the history has."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """All actors on one version with one history, hence with one configuration."""

    history_id: int
    configuration_id: int
    value: str
    """Canonical JSON of the state value."""

    done: bool
    actors: int
    """0 where nobody has counted."""

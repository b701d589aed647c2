"""What people review before a deployment: kinds of move and reasons to stay, with counts, and the id to approve."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from statekeep.engine.ids import PreviewId
from statekeep.engine.json import JsonObject, JsonValue, digest
from statekeep.engine.routing.decision import Migrate, Move, Stay
from statekeep.engine.routing.evaluation import Decided
from statekeep.engine.routing.reason import Reason
from statekeep.engine.routing.version import Version, content
from statekeep.engine.statechart import semantics

ID_DIGITS = 32
"""Hex digits of a preview id: 128 bits, so that nobody can prepare two versions that share one."""


@dataclass(frozen=True, slots=True, order=True)
class StayKind:
    """Cohorts that stay in one state for one reason."""

    source: str
    """Canonical JSON of the state value."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Preview:
    """The decisions that a deployment would take now, counted in actors."""

    id: PreviewId
    moves: tuple[tuple[Move, int], ...]
    """Kinds of move with their actors; most actors first, then by name."""

    stays: tuple[tuple[StayKind, int], ...]
    """Likewise."""

    @property
    def would_migrate(self) -> int:
        """Actors that would move."""
        return sum(actors for _, actors in self.moves)

    @property
    def would_stay(self) -> int:
        """Actors that would stay, those that need a rescue not counted."""
        return self.evaluated - self.would_migrate - self.needs_rescue

    @property
    def needs_rescue(self) -> int:
        """Actors whose history the new version cannot live through."""
        return sum(actors for kind, actors in self.stays if kind.reason is Reason.NEEDS_RESCUE)

    @property
    def evaluated(self) -> int:
        """Every actor on the parent."""
        return self.would_migrate + sum(actors for _, actors in self.stays)


def summarize(version: Version, decided: Iterable[Decided]) -> Preview:
    """Count the decisions by kind and name the result."""
    moved: Counter[Move] = Counter()
    stayed: Counter[StayKind] = Counter()
    for one in decided:
        match one.decision:
            case Migrate(move=move):
                moved[move] += one.cohort.actors
            case Stay(reason, detail):
                stayed[StayKind(one.cohort.value, reason, detail)] += one.cohort.actors
    return Preview(
        preview_id(version, moved),
        tuple(sorted(moved.items(), key=lambda item: (-item[1], item[0]))),
        tuple(sorted(stayed.items(), key=lambda item: (-item[1], item[0]))),
    )


def preview_id(version: Version, moves: Iterable[Move]) -> PreviewId:
    """Return the digest of what an approval is bound to: content and kinds of move.

    Counts, stays and time do not enter it, so traffic hardly changes it; a kind of move that nobody
    has seen does. So does another meaning of definitions; the first one has no name here, so that ids from before
    there was another stay as they are.
    """
    distinct: list[JsonValue] = [
        {"from": move.source, "skipped": list(move.skipped), "to": move.target}
        for move in sorted(set(moves))
    ]
    bound: JsonObject = {**content(version), "moves": distinct}
    if semantics.SEMANTICS != semantics.FIRST:
        bound["semantics"] = semantics.SEMANTICS
    return PreviewId(digest(bound)[:ID_DIGITS])

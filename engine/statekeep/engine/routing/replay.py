"""Histories read through a version, once per distinct prefix.

Histories are a tree, so where one leads is where its parent leads and one step. Nodes come parents
first and are not kept: of each only the number of its standing is, and there are few of those, however
many histories there are.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from statekeep.engine.errors import ChartUnstable
from statekeep.engine.history.path import Diverged, Verdict
from statekeep.engine.routing.cohort import HistoryNode
from statekeep.engine.routing.version import Version
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.interpreter import initial, step
from statekeep.engine.statechart.state_value import label


@dataclass(frozen=True, slots=True)
class Landed:
    """The version can live through the history; this is where it ends."""

    configuration: Configuration
    skipped: tuple[tuple[str, int], ...] = ()
    """Types of the events that were skipped, sorted, with how often."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The version cannot live through the history."""

    position: int
    """The event that it cannot take, counted from 1."""

    event_type: str
    state: str
    """Where the replay stood, as people read it."""

    cause: str
    """What went wrong, as the end of a sentence."""

    @property
    def sentence(self) -> str:
        """Say where the replay ended and why."""
        return f"event {self.position}, {self.event_type}, {self.cause} in {self.state}"


Replayed = Landed | Lost
"""How a replay ends."""


@dataclass(frozen=True, slots=True)
class Standing:
    """All that a decision depends on of a history."""

    verdict: Verdict
    replayed: Replayed
    """Not followed any further once the path has diverged: nobody will ask."""


class Walk:
    """One version over one tree of histories, which may grow."""

    def __init__(self, version: Version, nodes: Iterable[HistoryNode] = ()) -> None:
        self.version = version
        self._standings: list[Standing] = []
        self._numbers: dict[Standing, int] = {}
        self._steps: dict[tuple[int, str], int] = {}
        self._at: dict[int, int] = {}
        for node in nodes:
            self.add(node)

    def __contains__(self, history_id: int | None) -> bool:
        """Return whether the history has been added."""
        return history_id in self._at

    def add(self, node: HistoryNode) -> None:
        """Read one more history, whose parent has been added."""
        if node.parent_id is None:
            start = Standing(self.version.path.start(), Landed(initial(self.version.machine)))
            self._at[node.id] = self._number(start)
            return
        before = self._at[node.parent_id]
        number = self._steps.get((before, node.event_type))
        if number is None:
            after = self._next(self._standings[before], node)
            number = self._number(after)
            if not isinstance(after.replayed, Lost):  # which says at which event it was lost
                self._steps[before, node.event_type] = number
        self._at[node.id] = number

    def standing(self, history_id: int) -> Standing:
        """Return where a history that has been added leads."""
        return self._standings[self._at[history_id]]

    def _number(self, standing: Standing) -> int:
        number = self._numbers.setdefault(standing, len(self._standings))
        if number == len(self._standings):
            self._standings.append(standing)
        return number

    def _next(self, before: Standing, node: HistoryNode) -> Standing:
        verdict = self.version.path.advance(before.verdict, node.event_type)
        if isinstance(verdict, Diverged) or isinstance(before.replayed, Lost):
            return Standing(verdict, before.replayed)
        return Standing(verdict, self._replayed(before.replayed, node))

    def _replayed(self, before: Landed, node: HistoryNode) -> Replayed:
        try:
            taken = step(self.version.machine, before.configuration, node.event_type)
        except ChartUnstable:
            return _lost(before, node, "never comes to rest")
        if taken.handled:
            return Landed(taken.configuration, before.skipped)
        if self.version.policy.skips:
            skipped = dict(before.skipped)
            skipped[node.event_type] = skipped.get(node.event_type, 0) + 1
            return Landed(before.configuration, tuple(sorted(skipped.items())))
        return _lost(before, node, "is not handled")


def _lost(before: Landed, node: HistoryNode, cause: str) -> Lost:
    return Lost(node.depth, node.event_type, label(before.configuration.value), cause)

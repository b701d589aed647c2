"""Replaying histories through a version, once per distinct prefix.

Histories are a tree, so the replay of one is the replay of its parent and one step. The walk climbs
to the nearest ancestor that is known already and comes down again, without recursion: a history may
have any length.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from statekeep.engine.errors import ChartUnstable
from statekeep.engine.history.path import Verdict
from statekeep.engine.routing.cohort import HistoryNode, HistoryTree
from statekeep.engine.routing.policy import UnhandledEvents
from statekeep.engine.routing.version import Version
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.interpreter import initial, step
from statekeep.engine.statechart.state_value import label


@dataclass(frozen=True, slots=True)
class Landed:
    """The version can live through the history; this is where it ends."""

    configuration: Configuration
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Types of the events that were skipped, with how often; shared along a history, so a long one stays cheap."""


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


class Walk:
    """Replays and path verdicts of one version over one tree of histories, each computed once."""

    def __init__(self, version: Version, histories: HistoryTree) -> None:
        self._version = version
        self._histories = histories
        self._replayed: dict[int, Replayed] = {}
        self._verdicts: dict[int, Verdict] = {}

    def verdict(self, history_id: int) -> Verdict:
        """Return whether the history contains the version's path."""
        path = self._version.path
        for node in self._unknown(history_id, self._verdicts):
            self._verdicts[node.id] = (
                path.start()
                if node.parent_id is None
                else path.advance(self._verdicts[node.parent_id], node.event_type)
            )
        return self._verdicts[history_id]

    def replay(self, history_id: int) -> Replayed:
        """Return where the history leads in the version."""
        for node in self._unknown(history_id, self._replayed):
            self._replayed[node.id] = (
                Landed(initial(self._version.machine))
                if node.parent_id is None
                else self._next(self._replayed[node.parent_id], node)
            )
        return self._replayed[history_id]

    def _unknown(
        self, history_id: int, known: dict[int, Verdict] | dict[int, Replayed]
    ) -> list[HistoryNode]:
        """Return the nodes from the first unknown ancestor down to this one."""
        nodes: list[HistoryNode] = []
        current: int | None = history_id
        while current is not None and current not in known:
            node = self._histories[current]
            nodes.append(node)
            current = node.parent_id
        nodes.reverse()
        return nodes

    def _next(self, before: Replayed, node: HistoryNode) -> Replayed:
        if isinstance(before, Lost):
            return before
        try:
            taken = step(self._version.machine, before.configuration, node.event_type)
        except ChartUnstable:
            return _lost(before, node, "never comes to rest")
        if taken.handled:
            return Landed(taken.configuration, before.skipped)
        if self._version.policy.unhandled_events is UnhandledEvents.SKIP:
            times = before.skipped.get(node.event_type, 0) + 1
            return Landed(before.configuration, {**before.skipped, node.event_type: times})
        return _lost(before, node, "is not handled")


def _lost(before: Landed, node: HistoryNode, cause: str) -> Lost:
    return Lost(node.depth, node.event_type, label(before.configuration.value), cause)

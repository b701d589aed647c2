"""History paths: the pattern of events that makes an actor eligible for a version.

A path is matched from the first event on and the rest of the history is free. ``"*"`` stands for exactly one event,
``"**"`` for any number, none included. Matching is a walk of all the positions that the path can be
in at once, so its cost is the length of the path per event, whatever the pattern. It is monotone:
once a history matches, every longer one does, and a history that diverged can never match again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from statekeep.engine.history.fingerprint import fingerprint

ONE = "*"
"""Path element: exactly one event, whatever its type."""

ANY = "**"
"""Path element: any number of events, none included."""


@dataclass(frozen=True, slots=True)
class Matched:
    """The history contains the path."""


@dataclass(frozen=True, slots=True)
class Open:
    """The history does not contain the path yet; later events may still complete it."""

    positions: frozenset[int]
    """The elements of the path that the next event may meet, counted from 0."""

    events: int
    """How many events have been read."""


@dataclass(frozen=True, slots=True)
class Diverged:
    """The history can never contain the path."""

    position: int
    """The first event that differs, counted from 1."""

    event_type: str
    """Its type."""

    expected: tuple[str, ...]
    """What the path would have allowed there; sorted, never empty."""


Verdict = Matched | Open | Diverged
"""Three-valued; it only ever goes from ``Open`` to one of the other two."""


@dataclass(frozen=True)
class HistoryPath:
    """A path as a version declares it; the empty one matches every history."""

    elements: tuple[str, ...]

    def start(self) -> Verdict:
        """Return the verdict on the empty history."""
        return self._verdict(self._closure({0}), events=0)

    def advance(self, verdict: Verdict, event_type: str) -> Verdict:
        """Return the verdict after one more event."""
        if not isinstance(verdict, Open):
            return verdict
        reached: set[int] = set()
        for position in verdict.positions:
            element = self.elements[position]
            if element == ANY:
                reached.add(position)
            elif element in (ONE, event_type):
                reached.add(position + 1)
        if not reached:
            expected = tuple(sorted({self.elements[position] for position in verdict.positions}))
            return Diverged(verdict.events + 1, event_type, expected)
        return self._verdict(self._closure(reached), verdict.events + 1)

    def verdict(self, history: Iterable[str]) -> Verdict:
        """Return the verdict on a whole history, oldest event first.

        >>> HistoryPath(("A", "*")).verdict(["A", "B", "C"])
        Matched()
        >>> HistoryPath(("A", "B")).verdict(["A", "C"])
        Diverged(position=2, event_type='C', expected=('B',))
        """
        verdict = self.start()
        for event_type in history:
            verdict = self.advance(verdict, event_type)
        return verdict

    @cached_property
    def prefix_hash(self) -> bytes | None:
        """The fingerprint of a path of plain types; ``None`` with wildcards, or without a path."""
        if not self.elements or ONE in self.elements or ANY in self.elements:
            return None
        return fingerprint(self.elements)

    def _closure(self, positions: set[int]) -> frozenset[int]:
        """Return the positions and those behind every ``**`` that may stand for nothing."""
        closed = set(positions)
        for position in positions:
            while position < len(self.elements) and self.elements[position] == ANY:
                position += 1
                closed.add(position)
        return frozenset(closed)

    def _verdict(self, positions: frozenset[int], events: int) -> Verdict:
        return Matched() if len(self.elements) in positions else Open(positions, events)


def explain(path: HistoryPath, verdict: Open | Diverged) -> str:
    """Return one sentence that says why the path is not in the history.

    >>> path = HistoryPath(("START", "INFO", "PAY_FEE"))
    >>> explain(path, path.verdict(["START", "INFO", "WAIVE_FEE"]))
    'event 3 is WAIVE_FEE, the path has PAY_FEE'
    >>> explain(path, path.verdict(["START", "INFO"]))
    '2 of 3 events so far'
    """
    if isinstance(verdict, Diverged):
        expected = " or ".join("any event" if e in (ONE, ANY) else e for e in verdict.expected)
        return f"event {verdict.position} is {verdict.event_type}, the path has {expected}"
    plain = [element != ANY for element in path.elements]
    return f"{sum(plain[: max(verdict.positions)])} of {sum(plain)} events so far"

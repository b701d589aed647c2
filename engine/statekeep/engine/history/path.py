"""History paths: the pattern of events that makes an actor eligible for a version.

A path is matched from the first event on and the rest of the history is free. ``"*"`` stands for exactly one event,
``"**"`` for any number, none included. Matching follows all the positions that the path can be in at
once, as the bits of one integer: an event costs two or three operations on it, whatever the pattern.
It is monotone: once a history matches, every longer one does, and a history that diverged can never
match again.
"""

from collections.abc import Iterable, Mapping
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

    positions: int
    """Bit n: the next event may meet element n of the path, counted from 0 without repetitions of ``**``."""

    events: int
    """How many events have been read."""


@dataclass(frozen=True, slots=True)
class Diverged:
    """The history can never contain the path."""

    position: int
    """The first event that differs, counted from 1."""

    event_type: str
    """Its type."""

    expected: str
    """The one type that the path would have allowed there."""


Verdict = Matched | Open | Diverged
"""Three-valued; it only ever goes from ``Open`` to one of the other two."""


@dataclass(frozen=True)
class HistoryPath:
    """A path as a version declares it; the empty one matches every history."""

    elements: tuple[str, ...]

    def start(self) -> Verdict:
        """Return the verdict on the empty history."""
        return self._verdict(1, events=0)

    def advance(self, verdict: Verdict, event_type: str) -> Verdict:
        """Return the verdict after one more event."""
        if not isinstance(verdict, Open):
            return verdict
        here, places = verdict.positions, self._places
        met = here & (places.get(ONE, 0) | places.get(event_type, 0))
        reached = met << 1 | here & places.get(ANY, 0)
        if not reached:
            # Where the path stands at several elements, "**" is among them and takes every event.
            expected = self._distinct[here.bit_length() - 1]
            return Diverged(verdict.events + 1, event_type, expected)
        return self._verdict(reached, verdict.events + 1)

    def verdict(self, history: Iterable[str]) -> Verdict:
        """Return the verdict on a whole history, oldest event first.

        >>> HistoryPath(("A", "*")).verdict(["A", "B", "C"])
        Matched()
        >>> HistoryPath(("A", "B")).verdict(["A", "C"])
        Diverged(position=2, event_type='C', expected='B')
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

    @cached_property
    def _distinct(self) -> tuple[str, ...]:
        """The elements without a ``**`` behind another, which would say nothing new."""
        before = ("", *self.elements)
        pairs = zip(before, self.elements, strict=False)
        return tuple(element for last, element in pairs if not last == element == ANY)

    @cached_property
    def _places(self) -> Mapping[str, int]:
        """For each element the positions where it stands, as bits."""
        places: dict[str, int] = {}
        for position, element in enumerate(self._distinct):
            places[element] = places.get(element, 0) | 1 << position
        return places

    def _verdict(self, positions: int, events: int) -> Verdict:
        """Return the verdict at these positions and at those behind a ``**``, which may stand for nothing."""
        positions |= (positions & self._places.get(ANY, 0)) << 1
        return Matched() if positions >> len(self._distinct) else Open(positions, events)

    def progress(self, verdict: Open) -> tuple[int, int]:
        """Return how many events of the path have been met, and how many it has; ``**`` counts as none."""
        plain = [element != ANY for element in self._distinct]
        return sum(plain[: self._furthest(verdict)]), sum(plain)

    def awaited(self, verdict: Open) -> str:
        """Return the first element that has not been met: a type, or ``*``."""
        return self._distinct[self._furthest(verdict)]

    def _furthest(self, verdict: Open) -> int:
        # Never at a "**": it may stand for nothing, so the path has got past it too.
        return verdict.positions.bit_length() - 1


def explain(path: HistoryPath, verdict: Open | Diverged) -> str:
    """Return one sentence that says why the path is not in the history.

    >>> path = HistoryPath(("START", "INFO", "PAY_FEE"))
    >>> explain(path, path.verdict(["START", "INFO", "WAIVE_FEE"]))
    'event 3 is WAIVE_FEE, the path has PAY_FEE'
    >>> explain(path, path.verdict(["START", "INFO"]))
    '2 of 3 events so far, PAY_FEE is yet to come'
    """
    if isinstance(verdict, Diverged):
        found = f"event {verdict.position} is {verdict.event_type}"
        return f"{found}, the path has {verdict.expected}"
    met, wanted = path.progress(verdict)
    awaited = path.awaited(verdict)
    missing = "another of any type" if awaited == ONE else awaited
    return f"{met} of {wanted} events so far, {missing} is yet to come"

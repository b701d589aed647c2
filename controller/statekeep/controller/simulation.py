"""The path of one imaginary actor through a machine."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from statekeep.engine.history.fingerprint import EMPTY, extend
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.interpreter import initial, step
from statekeep.engine.statechart.machine import Machine


@dataclass(frozen=True, slots=True)
class Stop:
    """Where the actor stands at the start, or after an event."""

    number: int
    """Of the event, from 1; 0 is the start."""

    event: str
    """Empty at the start."""

    handled: bool
    """Whether the event entered the history."""

    configuration: Configuration
    seq: int
    """Events in the history so far."""

    fingerprint: bytes
    """Of the history so far."""


def simulated(machine: Machine, events: Iterable[str]) -> Iterator[Stop]:
    """Yield the start, then one stop for each event.

    Raises:
        ChartUnstable: an event never comes to rest; the stops before it have been yielded.
    """
    configuration, seq, fingerprint = initial(machine), 0, EMPTY
    yield Stop(0, "", False, configuration, seq, fingerprint)
    for number, event in enumerate(events, start=1):
        taken = step(machine, configuration, event)
        configuration = taken.configuration
        if taken.handled:
            seq, fingerprint = seq + 1, extend(fingerprint, event)
        yield Stop(number, event, taken.handled, configuration, seq, fingerprint)

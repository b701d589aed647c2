"""What a version no longer does that its ancestors did."""

from collections.abc import Iterable, Mapping

from statekeep.engine.finding import Finding
from statekeep.engine.statechart.codes import Code
from statekeep.engine.statechart.events import is_reserved
from statekeep.engine.statechart.machine import Machine
from statekeep.engine.statechart.wording import quoted


def lost_events(
    machine: Machine, ancestors: Mapping[str, Machine], *, skips: bool
) -> tuple[Finding, ...]:
    """Return a warning for each event that an ancestor handles somewhere and this machine nowhere.

    A history with such an event cannot be replayed to the end, unless it is skipped.

    Args:
        machine: the later version.
        ancestors: earlier versions by name, the nearest first.
        skips: whether a replay passes over events that are not handled.
    """
    outcome = ": it is skipped on replay." if skips else "; handle it, or skip it on replay."
    lost: dict[str, str] = {}
    for name, ancestor in ancestors.items():
        for event in handled(ancestor):
            if not _handles(machine, event):
                lost.setdefault(event, name)
    return tuple(
        Code.LOST_EVENT.at(
            "",
            f"{quoted(name)} handles {quoted(event)}, this version never does{outcome}",
        )
        for event, name in lost.items()
    )


def handled(machine: Machine) -> Iterable[str]:
    """Yield the event types, or wildcards, for which some transition of a machine is not guarded."""
    events = (t.event for s in machine.states for t in s.transitions if t.event and not t.guarded)
    return (event for event in dict.fromkeys(events) if event != "*" and not is_reserved(event))


def _handles(machine: Machine, event: str) -> bool:
    """Return whether some state takes a transition on an event; for ``a.*``, on every event it stands for."""
    return any(state.selected(event) is not None for state in machine.states)

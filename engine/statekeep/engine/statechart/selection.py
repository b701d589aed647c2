"""Which transitions an event, or no event, enables.

Follows XState 5: an event goes to the innermost states first and a parallel state is asked only if none of its
regions answers; an eventless transition is looked for from every leaf upwards.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

from statekeep.engine.statechart.entry import Memory, domain
from statekeep.engine.statechart.state import LEAVES, Kind, State, Transition

Active = dict[int, None]
"""The active states in the order in which they became active, the order that XState asks regions in."""


def enabled(states: tuple[State, ...], active: Active, event: str) -> list[Transition]:
    """Return the transitions that an event enables, one for each region at most, conflicts included."""
    below: dict[int, list[int]] = {}
    for index in active:
        below.setdefault(states[index].parent, []).append(index)

    def answers(index: int) -> list[Transition]:
        inner = below.get(index, ())
        if len(inner) > 1 and states[index].kind is Kind.PARALLEL:
            inner = sorted(inner, key=lambda region: states[region].region)
        found = [transition for child in inner for transition in answers(child)]
        if not found and (own := states[index].selected(event)):
            found.append(own)
        return found

    return answers(0)


def eventless(states: tuple[State, ...], active: Active) -> list[Transition]:
    """Return the ``always`` transitions that are enabled, each once, conflicts included."""
    found = dict.fromkeys(
        states[index].nearest_always for index in active if states[index].kind in LEAVES
    )
    return [transition for transition in found if transition is not None]


def without_conflicts(
    states: tuple[State, ...], transitions: Iterable[Transition], active: Active, memory: Memory
) -> dict[Transition, int]:
    """Return the transitions that can be taken together, each with its domain.

    Two conflict if both would leave one state. The one from further inside wins, else the earlier one.
    """
    ordered = sorted(active)
    taken: dict[Transition, int] = {}
    leaving: dict[
        int, Transition
    ] = {}  # those that leave something, by domain; no domain lies in another
    domains: list[int] = []  # the same domains, sorted
    for transition in transitions:
        reach = domain(states, transition, memory)
        first = bisect_right(ordered, reach)
        last = states[reach].last if reach >= 0 else len(states)
        if not transition.targets or first == len(ordered) or ordered[first] > last:
            taken[transition] = reach
            continue
        rivals = domains[bisect_left(domains, reach) : bisect_right(domains, last)]
        above = reach
        while not rivals and above > 0:
            above = states[above].parent
            rivals = [above] if above in leaving else []
        if not rivals and -1 in leaving:
            rivals = [-1]
        sources = [leaving[rival].source for rival in rivals]
        if any(not source < transition.source <= states[source].last for source in sources):
            continue
        for rival in rivals:
            del taken[leaving.pop(rival)]
            domains.remove(rival)
        taken[transition] = reach
        leaving[reach] = transition
        insort(domains, reach)
    return taken

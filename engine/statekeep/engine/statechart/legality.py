"""What makes a set of active states a legal configuration, and what XState shows of a set that is none.

Legal: the root is active; an active compound state has exactly one active child, an active parallel state all its
regions; nothing is active whose parent is not.

XState leaves that path in rare cases. One: a state in region ``a`` targets a history state outside the region,
which remembers nothing and whose default lies in ``a`` again. Only ``a`` is left, but on the way down from the
history state the other regions are entered by default on top of what is active in them. The state value goes on to
show what was active first; the others still take part in history, in eventless transitions and in exits. To agree
with XState for ever after, we keep them as it does: ``canonical`` puts them behind the states that are shown.
"""

from collections import Counter
from collections.abc import Collection, Iterator

from statekeep.engine.statechart.state import NONE, Kind, State


def is_legal(states: tuple[State, ...], active: Collection[int]) -> bool:
    """Return whether a set of states is a configuration."""
    children = Counter(states[index].parent for index in active)
    if children.pop(NONE, 0) != 1:
        return False
    for index in active:
        state = states[index]
        if state.kind is Kind.COMPOUND:
            expected = 1
        elif state.kind is Kind.PARALLEL:
            expected = len(state.children)
        elif state.kind is Kind.HISTORY:
            return False
        else:
            expected = 0
        if children.pop(index, 0) != expected:
            return False
    return not children


def shown(states: tuple[State, ...], active: dict[int, None]) -> dict[int, None]:
    """Return the active states that the state value shows: all of them, if they are a configuration."""
    return active if is_legal(states, active) else _shown(states, active)


def canonical(states: tuple[State, ...], active: dict[int, None]) -> tuple[int, ...]:
    """Return the active states in an order that depends only on which they are and which of them are shown."""
    first = shown(states, active)
    if first is active:
        return tuple(sorted(active))
    rest = sorted(index for index in active if index not in first)
    return (*sorted(index for index in active if index in first), *rest)


def _shown(states: tuple[State, ...], active: dict[int, None]) -> dict[int, None]:
    """Return the legal configuration that XState's state value shows for any set of states.

    Of several children of a compound state the one that became active first stays; where none is active, or a
    region is missing, the default is entered.
    """
    full = dict(active)
    parents = {states[index].parent for index in active}
    for index in active:
        state = states[index]
        if state.kind is Kind.COMPOUND and index not in parents:
            full |= dict.fromkeys(_defaults(states, _default(state)))
        elif state.kind is Kind.PARALLEL:
            for region in state.children:
                if region not in full:
                    full |= dict.fromkeys(_defaults(states, region))
    for index in active:
        full |= dict.fromkeys(_chain(states, index))
    inside: dict[int, int] = {}
    for index in full:
        inside.setdefault(states[index].parent, index)
    kept: set[int] = set()
    pending = [0]
    while pending:
        index = pending.pop()
        kept.add(index)
        if states[index].kind is Kind.COMPOUND:
            pending.append(inside.get(index, _default(states[index])))
        elif states[index].kind is Kind.PARALLEL:
            pending += states[index].children
    # Regions are in ``full`` by now, save those of a parallel state that was only added as somebody's ancestor.
    return dict.fromkeys([*(i for i in full if i in kept), *sorted(kept.difference(full))])


def _default(compound: State) -> int:
    """Return the child entered by default; a history state cannot be active, so the first child stands in."""
    return compound.initial if compound.initial in compound.children else compound.children[0]


def _defaults(states: tuple[State, ...], index: int) -> Iterator[int]:
    """Yield a state and all that it enters by default."""
    pending = [index]
    while pending:
        index = pending.pop()
        yield index
        if states[index].kind is Kind.COMPOUND:
            pending.append(_default(states[index]))
        elif states[index].kind is Kind.PARALLEL:
            pending += reversed(states[index].children)


def _chain(states: tuple[State, ...], index: int) -> Iterator[int]:
    """Yield the ancestors of a state."""
    above = states[index].parent
    while above != NONE:
        yield above
        above = states[above].parent

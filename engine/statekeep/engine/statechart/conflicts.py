"""Whether the targets of one transition can be active together."""

from itertools import pairwise

from statekeep.engine.statechart.ancestry import nearest_above
from statekeep.engine.statechart.assembly import initial_of
from statekeep.engine.statechart.outline import Node
from statekeep.engine.statechart.state import NONE, Kind
from statekeep.engine.statechart.wording import quoted


def conflict(nodes: list[Node], targets: tuple[int, ...]) -> str | None:
    """Return how the targets, in the order written, contradict each other, as a sentence."""
    if len(set(targets)) < 2:
        return None
    ordered = sorted(set(targets))
    # If any two targets part below a compound state, then two that are neighbours in document order do.
    for low, high in pairwise(ordered):
        if high > nodes[low].last:
            above = nearest_above(nodes, low, high)
            if above != NONE and nodes[above].kind is not Kind.PARALLEL:
                return _sentence(nodes, low, high, above)
    return _nested_conflict(nodes, targets)


def _nested_conflict(nodes: list[Node], targets: tuple[int, ...]) -> str | None:
    """Return how a target contradicts one that lies inside it: the default of the outer one leads elsewhere."""
    position = {index: place for place, index in reversed(list(enumerate(targets)))}
    for inner in position:
        path = [inner]
        while nodes[path[-1]].parent != NONE:
            path.append(nodes[path[-1]].parent)
            outer = path[-1]
            if outer not in position:
                continue
            for child, parent in zip(path[-2::-1], path[:0:-1], strict=True):
                if nodes[parent].kind is Kind.COMPOUND and initial_of(nodes[parent]) != child:
                    return _sentence(nodes, outer, inner, parent)
                # Regions in which something is entered already are not entered by default.
                if nodes[parent].kind is Kind.PARALLEL and position[inner] < position[outer]:
                    break
    return None


def _sentence(nodes: list[Node], one: int, other: int, above: int) -> str:
    first, second, parent = (quoted(nodes[index].id) for index in (one, other, above))
    return f"The targets {first} and {second} cannot both be entered: {parent} has one active child at a time."

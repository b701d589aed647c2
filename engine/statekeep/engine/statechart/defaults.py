"""Whether entering a state by default comes to an end."""

from collections.abc import Iterator

from statekeep.engine.finding import Finding
from statekeep.engine.statechart.assembly import defaults_of, initial_of
from statekeep.engine.statechart.codes import Code
from statekeep.engine.statechart.limits import Limits
from statekeep.engine.statechart.outline import Node, ancestors
from statekeep.engine.statechart.state import NONE, Kind
from statekeep.engine.statechart.targets import Targets
from statekeep.engine.statechart.wording import quoted


def default_findings(nodes: list[Node], targets: Targets, limits: Limits) -> Iterator[Finding]:
    """Yield the states whose defaults lead in a circle, or through more steps than the limits allow."""
    lengths: dict[int, int] = {}
    for start in range(len(nodes)):
        if start in lengths:
            continue
        path: dict[int, Iterator[int]] = {start: _entered(nodes, start, targets)}
        while path:
            index = next(reversed(path))
            following = next(path[index], None)
            if following is None:
                path.pop(index)
                lengths.setdefault(index, 0)
                if path:
                    above = next(reversed(path))
                    lengths[above] = max(lengths.get(above, 0), lengths[index] + 1)
            elif following in path:
                name = quoted(nodes[following].id)
                message = f"The defaults of {name} lead back to it; give a history state in between another target."
                yield Code.DEFAULT_CYCLE.at(nodes[following].pointer, message)
            elif following in lengths:
                lengths[index] = max(lengths.get(index, 0), lengths[following] + 1)
            else:
                path[following] = _entered(nodes, following, targets)
    for index, length in lengths.items():
        if length > limits.default_chain and nodes[index].kind is Kind.HISTORY:
            message = f"Its defaults lead through more than {limits.default_chain} states; shorten the chain."
            yield Code.TOO_DEEP.at(nodes[index].pointer, message)


def _entered(nodes: list[Node], index: int, targets: Targets) -> Iterator[int]:
    """Yield what is entered next when a state is entered by default."""
    node = nodes[index]
    if node.kind is Kind.COMPOUND:
        if (initial := initial_of(node)) != NONE:
            yield initial
    elif node.kind is Kind.PARALLEL:
        yield from (i for i in node.states.values() if nodes[i].kind is not Kind.HISTORY)
    elif node.kind is Kind.HISTORY and node.parent != NONE:
        found = defaults_of(nodes, node, targets)
        yield from found
        for target in found:
            yield from _filled(nodes, target, node.parent, found)


def _filled(nodes: list[Node], target: int, stop: int, found: tuple[int, ...]) -> Iterator[int]:
    """Yield the regions that are entered besides a default target, on the way up from it."""
    if target == stop:
        return
    for above in ancestors(nodes, target):
        if above == stop:
            return
        if nodes[above].kind is Kind.PARALLEL:
            for region in nodes[above].states.values():
                is_named = any(region < index <= nodes[region].last for index in found)
                if nodes[region].kind is not Kind.HISTORY and not is_named:
                    yield region

"""From the one-line name of a state value to the innermost states that it names."""

import re
from collections.abc import Iterator

from statekeep.engine.statechart.machine import Machine

_TOKEN = re.compile(r"(?P<mark>[.()]|, )|(?P<key>(?:\\.|[^\\.(), ])+)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)

Path = tuple[str, ...]
"""Keys from below the root down to a state."""


def paths(label: str) -> list[Path]:
    r"""Return the innermost states that a label of ``statekeep.engine.statechart.state_value`` names.

    >>> paths("review.pending"), paths("p.(a, b.y)"), paths("v1\\.2"), paths("{}")
    ([('review', 'pending')], [('p', 'a'), ('p', 'b', 'y')], [('v1.2',)], [()])
    """
    return [()] if label == "{}" else list(_paths(label))


def _paths(label: str) -> Iterator[Path]:
    prefix: Path = ()
    outer: list[Path] = []
    current: Path = ()
    closed = False
    for token in _TOKEN.finditer(label):
        match token["mark"]:
            case None:
                key = _ESCAPE.sub(r"\1", token["key"])
                current = (*current, "" if key == '""' else key)
                closed = False
            case "(":
                outer.append(prefix)
                prefix = current
            case ")" | ", ":
                if not closed:
                    yield current
                closed = token["mark"] == ")"
                current = prefix
                if closed:
                    prefix = outer.pop() if outer else ()
            case _:
                pass
    if not closed:
        yield current


def states(machine: Machine, label: str) -> list[int]:
    """Return the numbers of the innermost states that a label names, as far as the machine has them."""
    # A child whose key is "{}" has the label of a machine without states.
    named: list[Path] = [("{}",)] if label == "{}" and machine.states[0].children else paths(label)
    found = (_state(machine, path) for path in named)
    return [index for index in found if index is not None]


def _state(machine: Machine, path: Path) -> int | None:
    index = 0
    for key in path:
        children = {machine.states[child].key: child for child in machine.states[index].children}
        if key not in children:
            return None
        index = children[key]
    return index

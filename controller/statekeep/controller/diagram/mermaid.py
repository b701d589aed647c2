"""A machine with actors in it as Mermaid text, valid whatever its states are called."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from statekeep.controller.diagram.edges import Edge, edges
from statekeep.controller.diagram.places import states
from statekeep.engine.statechart.machine import Machine
from statekeep.engine.statechart.state import NONE, Kind, State

MAX_STATES = 80
"""States that a picture can hold and still be read; beyond it only those with actors are drawn."""

MAX_EDGES = 200
"""Arrows, likewise; Mermaid itself refuses more than 500."""

MAX_BOXES = 20
"""States that actors stay in, and states drawn without their machine."""

MAX_CHARACTERS = 16_000
"""Length of the text, short of which hostile names may force the small picture; Mermaid itself takes 50,000."""

MAX_NAME = 60
"""Characters of one name or label."""

MAX_DEPTH = 12
"""Boxes inside each other; deeper ones are drawn closed."""

REGION_DEPTH = 1
"""Boxes inside each other in a region: Mermaid 11 fails to lay out arrows to boxes that lie deeper there."""

MAX_LABELS = 4
"""Transitions that share one arrow and are named on it."""

_STYLE = (
    "classDef arrives fill:#dafbe1,stroke:#1a7f37,color:#1f2328",
    "classDef stays fill:#eaeef2,stroke:#6e7781,color:#1f2328",
)

_DIRECTION = re.compile(r"(direction) ", re.IGNORECASE)
_PLAIN = frozenset(" _.,()+-/→…")

INDENT = "    "


@dataclass(frozen=True, slots=True)
class Actors:
    """How many actors go where, by the one-line name of the state value."""

    arriving: Mapping[str, int]
    """On the version that is drawn."""

    staying: Mapping[str, int]
    """On the version before it."""

    stay_on: str
    """The name of the version before it."""


def diagram(machine: Machine, actors: Actors) -> str:
    """Return the picture; a small one, of the states with actors alone, where the machine is too big for it."""
    arrows = list(edges(machine))
    if len(machine.states) <= MAX_STATES and len(arrows) <= MAX_EDGES:
        text = _text(_Picture(machine, actors.arriving, arrows).lines(), actors)
        if len(text) <= MAX_CHARACTERS:
            return text
    return _text(_small(machine, actors.arriving), actors)


def quoted(text: str) -> str:
    """Return a text as it may stand in a label; what could mean something to Mermaid is given by its number.

    >>> quoted('say "hi"; #1')
    'say #34;hi#34;#59; #35;1'
    """
    shown = text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"
    encoded = "".join(map(_character, shown)) if shown.strip() else "#34;#34;"
    # Mermaid takes these words for a statement wherever they stand in a line.
    return _DIRECTION.sub(r"\1#32;", encoded)


def _character(character: str) -> str:
    if character.isalnum() or character in _PLAIN:
        return character
    return f"#{ord(character)};" if character.isprintable() else " "


class _Picture:
    """The whole machine."""

    def __init__(
        self, machine: Machine, arriving: Mapping[str, int], arrows: Sequence[Edge]
    ) -> None:
        self._machine = machine
        self._states = machine.states
        self._labels = arriving
        self._marked: list[int] = []
        self._arriving = _by_state(machine, arriving)
        self._arrows: defaultdict[int, defaultdict[tuple[int, int], list[str]]]
        self._arrows = defaultdict(lambda: defaultdict(list))
        for arrow in arrows:
            labels = self._arrows[arrow.inside][arrow.source, arrow.target]
            if arrow.label not in labels:
                labels.append(arrow.label)

    def lines(self) -> Iterator[str]:
        root = self._states[0]
        if root.kind is Kind.COMPOUND:
            yield from self._inside(root, INDENT)
        else:
            yield from self._box(root, INDENT)
            yield from self._drawn(NONE, INDENT)
        yield from (f"{INDENT}class s{index} arrives" for index in self._marked)

    def _box(self, state: State, indent: str, room: int = MAX_DEPTH) -> Iterator[str]:
        """Yield a state with all that is in it, as long as there is ``room`` for boxes inside each other."""
        is_closed = room == 0 and bool(state.children)
        arriving = self._arriving_in(state) if is_closed else self._arriving[state.index]
        if arriving:
            self._marked.append(state.index)
        title = quoted(_name(state)) + (" …" if is_closed else self._regions(state))
        count = f" (+{arriving:,})" if arriving else ""
        opened = f'{indent}state "{title}{count}" as s{state.index}'
        if is_closed or not state.children:
            yield opened
            return
        yield opened + " {"
        if state.kind is Kind.PARALLEL:
            for number, child in enumerate(state.children):
                if number:
                    yield f"{indent}{INDENT}--"
                yield from self._region(self._states[child], indent + INDENT, room - 1)
        else:
            yield from self._inside(state, indent + INDENT, room - 1)
        yield indent + "}"

    def _region(self, state: State, indent: str, room: int) -> Iterator[str]:
        """Yield a region, without a box of its own."""
        room = min(room, REGION_DEPTH)
        if state.kind is Kind.COMPOUND:
            yield from self._inside(state, indent, room)
        else:
            yield from self._box(state, indent, room)

    def _inside(self, state: State, indent: str, room: int = MAX_DEPTH) -> Iterator[str]:
        """Yield the children of a compound state and the arrows between them."""
        for child in (*state.children, *state.histories):
            yield from self._box(self._states[child], indent, room)
        if state.initial != NONE:
            yield f"{indent}[*] --> s{state.initial}"
        yield from self._drawn(state.index, indent)
        for child in state.children:
            if self._states[child].kind is Kind.FINAL:
                yield f"{indent}s{child} --> [*]"

    def _arriving_in(self, state: State) -> int:
        """Return how many actors arrive in a state or below it; those in several regions of it count once."""
        return sum(
            actors
            for label, actors in self._labels.items()
            if any(state.index <= index <= state.last for index in states(self._machine, label))
        )

    def _regions(self, state: State) -> str:
        if state.kind is not Kind.PARALLEL or not state.children:
            return ""
        return quoted(f" ({', '.join(self._states[child].key for child in state.children)})")

    def _drawn(self, inside: int, indent: str) -> Iterator[str]:
        arrows = self._arrows[inside]
        if any(source == NONE for source, _ in arrows):
            yield f'{indent}state "any state" as any{inside}'
        for (source, target), labels in arrows.items():
            start = f"any{inside}" if source == NONE else f"s{source}"
            named = ", ".join(quoted(label) for label in labels[:MAX_LABELS])
            more = f", {len(labels) - MAX_LABELS} more" if len(labels) > MAX_LABELS else ""
            yield f"{indent}{start} --> s{target} : {named}{more}"


def _by_state(machine: Machine, arriving: Mapping[str, int]) -> Counter[int]:
    """Return how many actors arrive in each of the innermost states."""
    counts: Counter[int] = Counter()
    for label, actors in arriving.items():
        for index in states(machine, label):
            counts[index] += actors
    return counts


def _name(state: State) -> str:
    if state.kind is Kind.HISTORY:
        return "H*" if state.deep else "H"
    return state.key if state.parent != NONE else state.id


def _small(machine: Machine, arriving: Mapping[str, int]) -> Iterator[str]:
    """Yield the states that actors arrive in, and say what is left out."""
    for number, (label, actors) in enumerate(Counter(arriving).most_common(MAX_BOXES)):
        yield f'{INDENT}state "{quoted(label)} (+{actors:,})" as a{number}'
        yield f"{INDENT}class a{number} arrives"
    note = f"{len(machine.states):,} states are too many to draw, only some with actors are shown"
    yield f'{INDENT}state "{note}" as omitted'


def _text(lines: Iterator[str], actors: Actors) -> str:
    drawn = ["stateDiagram-v2", *lines, *_staying(actors)]
    drawn += (INDENT + style for style in _STYLE)
    return "\n".join(drawn)


def _staying(actors: Actors) -> Iterator[str]:
    """Yield a box for the version before, with the states that actors stay in."""
    if not actors.staying:
        return
    largest = Counter(actors.staying).most_common(MAX_BOXES)
    yield f'{INDENT}state "stay on {quoted(actors.stay_on)}" as before {{'
    for number, (label, count) in enumerate(largest):
        yield f'{INDENT}{INDENT}state "{quoted(label)} ({count:,})" as b{number}'
    if rest := sum(actors.staying.values()) - sum(count for _, count in largest):
        yield f'{INDENT}{INDENT}state "other states ({rest:,})" as b{len(largest)}'
    yield f"{INDENT}}}"
    for number in range(len(largest)):
        yield f"{INDENT}class b{number} stays"

"""Whether everything that names a state names one: ``initial``, targets, defaults of history states."""

from collections.abc import Iterator

from statekeep.engine.finding import Finding
from statekeep.engine.statechart.assembly import defaults_of, initial_of
from statekeep.engine.statechart.codes import Code
from statekeep.engine.statechart.conflicts import conflict
from statekeep.engine.statechart.javascript import is_truthy
from statekeep.engine.statechart.limits import Limits
from statekeep.engine.statechart.outline import Node, ancestors
from statekeep.engine.statechart.path import escape
from statekeep.engine.statechart.state import LEAVES, NONE, Kind
from statekeep.engine.statechart.targets import Targets
from statekeep.engine.statechart.wording import Speller, quoted
from statekeep.engine.statechart.written import Slot, Written, target_list


class References:
    """Checks the references of one definition."""

    __slots__ = ("_limits", "_nodes", "_speller", "_targets")

    def __init__(
        self, nodes: list[Node], targets: Targets, speller: Speller, limits: Limits
    ) -> None:
        self._nodes = nodes
        self._targets = targets
        self._speller = speller
        self._limits = limits

    def findings(self, node: Node, slots: list[Slot]) -> Iterator[Finding]:
        """Yield what is wrong with the references of one state."""
        yield from self._initial(node)
        if node.kind is Kind.HISTORY:
            yield from self._history(node)
        for slot in slots:
            for written in slot.candidates:
                yield from self._transition(node, written)

    def _initial(self, node: Node) -> Iterator[Finding]:
        named = node.config.get("initial")
        place = node.pointer
        children = [
            key for key, i in node.states.items() if self._nodes[i].kind is not Kind.HISTORY
        ]
        if isinstance(named, bool | int | float):
            return  # it is no name at all, which is said of it already
        if not is_truthy(named):
            if node.kind is Kind.COMPOUND and node.states:
                example = quoted((children or list(node.states))[0])
                message = f"A state with child states needs an initial one; try initial: {example}."
                yield Code.MISSING_INITIAL.at(place, message)
            elif node.kind is Kind.COMPOUND:
                message = "A compound state needs child states and an initial one; add them, or remove the type."
                yield Code.MISSING_INITIAL.at(place, message)
        elif initial_of(node) == NONE:
            shown = named.get("target") if isinstance(named, dict) else named
            name = shown if isinstance(shown, str) else ""
            hint = self._speller.hint(name, node.states)
            message = f"{quoted(name)} is no child state; name one by its key.{hint}"
            yield Code.UNKNOWN_INITIAL.at(f"{place}/initial", message)

    def _history(self, node: Node) -> Iterator[Finding]:
        place = node.pointer
        if node.parent == NONE:
            message = "The machine itself cannot be a history state; remove its type or history."
            yield Code.BAD_HISTORY_DEFAULT.at(place, message)
            return
        named = node.config.get("target")
        if named == []:
            message = (
                "An empty list leaves nothing to enter; name a state, or leave the target out."
            )
            yield Code.BAD_HISTORY_DEFAULT.at(f"{place}/target", message)
        for target in target_list(named):
            found = self._targets.history(node.index, target)
            if found is None:
                keys = self._nodes[node.parent].states
                message = (
                    f"{quoted(target)} names no state, as seen from the parent of the history state."
                    f"{self._speller.hint(target, keys)}"
                )
                yield Code.BAD_HISTORY_DEFAULT.at(f"{place}/target", message)
            elif self._nodes[found].kind is Kind.HISTORY:
                message = f"{quoted(target)} is a history state itself, which XState would make active; name another."
                yield Code.BAD_HISTORY_DEFAULT.at(f"{place}/target", message)
            elif problem := self._lost(found):
                yield Code.BAD_HISTORY_DEFAULT.at(f"{place}/target", problem)
        if problem := conflict(self._nodes, defaults_of(self._nodes, node, self._targets)):
            yield Code.CONFLICTING_TARGETS.at(f"{place}/target", problem)

    def _transition(self, node: Node, written: Written) -> Iterator[Finding]:
        place = node.pointer + written.pointer
        if len(written.targets) > self._limits.targets:
            limit = self._limits.targets
            message = f"A transition has at most {limit} targets; name the parallel state instead."
            yield Code.TOO_MANY.at(place, message)
            return
        found = [self._targets.transition(node.index, target) for target in written.targets]
        for target, index in zip(written.targets, found, strict=True):
            if index is None:
                message = f"{quoted(target)} names no state.{self._meant(node, target)}"
                yield Code.UNKNOWN_TARGET.at(place, message)
            elif problem := self._lost(index):
                yield Code.UNKNOWN_TARGET.at(place, problem)
        # A guarded transition is never taken, so its targets never meet. Where a history state leads depends on the
        # past: what it brings is not held against the other targets.
        if len(found) > 1 and not written.guarded:
            known = tuple(
                i for i in found if i is not None and self._nodes[i].kind is not Kind.HISTORY
            )
            if problem := conflict(self._nodes, known):
                yield Code.CONFLICTING_TARGETS.at(place, problem)

    def _lost(self, index: int) -> str | None:
        """Return what is wrong with a state that exists, but that can never be active."""
        for above in ancestors(self._nodes, index):
            kind = self._nodes[above].kind
            if kind in LEAVES or kind is Kind.HISTORY:
                name = quoted(self._nodes[above].id)
                return f"The target lies inside {name}, whose child states are ignored since its type is {kind}."
        return None

    def _meant(self, node: Node, target: str) -> str:
        """Return a hint at what a target may have been meant to be."""
        nodes = self._nodes
        if node.parent == NONE and target in node.states:
            return (
                f" From the machine itself, children are named with a dot: {quoted('.' + target)}."
            )
        if target in node.states:
            return f" For a child, put a dot before it: {quoted('.' + target)}."
        for name in (target, target.removeprefix("#")):
            if (index := self._targets.named(name)) is not None:
                return f" Did you mean {quoted(self._spelling(index))}?"
        if target.startswith("#"):
            ids = [n.id for n in nodes if n.config.get("id")] + [nodes[0].id]
            return self._speller.hint(target, [f"#{escape(i)}" for i in ids])
        siblings = nodes[node.parent].states if node.parent != NONE else {}
        near = [escape(key) for key in siblings] + [f".{escape(key)}" for key in node.states]
        return self._speller.hint(target, near)

    def _spelling(self, index: int) -> str:
        """Return a target that names a state from anywhere."""
        node = self._nodes[index]
        if node.id != node.path or node.parent == NONE:
            return f"#{escape(node.id)}"
        keys = [node.key]
        keys += [self._nodes[i].key for i in ancestors(self._nodes, index) if i]
        root = escape(self._nodes[0].id)
        return ".".join([f"#{root}", *(escape(key) for key in reversed(keys))])

"""Everything that one event sets off, until the machine is at rest.

Follows the macrostep of XState 5: eventless transitions first, then the oldest ``xstate.done.state`` event that
was raised, again and again; the end of the machine stops it at once. Guards being false and actions doing nothing,
only active states, history and raised events matter.

XState can be led to hold two children of one compound state active at once (``legality`` says how). Events are then
matched against its state value, which shows one of them only, while history records both: so it is here.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable

from statekeep.engine.errors import ChartUnstable
from statekeep.engine.statechart.completion import Completion
from statekeep.engine.statechart.configuration import Key
from statekeep.engine.statechart.entry import Entry, Memory, domain
from statekeep.engine.statechart.legality import canonical, shown
from statekeep.engine.statechart.machine import Machine
from statekeep.engine.statechart.selection import Active, enabled, eventless, without_conflicts
from statekeep.engine.statechart.state import LEAVES, NONE, Kind, State, Transition

FIRST_LOOK = 64
"""Microsteps before it is worth looking whether the run goes in circles."""

Situation = tuple[tuple[int, ...], tuple[tuple[int, tuple[int, ...]], ...], tuple[str, ...], bool]
"""All that decides how a run goes on: active states, memory, raised events, whether ``always`` is next."""


class Macrostep:
    """One run to completion: the only place where states become active and cease to be."""

    __slots__ = (
        "_machine",
        "_microsteps",
        "_queue",
        "_seen",
        "_states",
        "_work",
        "active",
        "done",
        "memory",
    )

    def __init__(self, machine: Machine, key: Key) -> None:
        active, history, done = key
        self.active: Active = dict.fromkeys(active)
        self.memory: Memory = dict(history)
        self.done = done
        self._machine = machine
        self._states = machine.states
        self._queue: deque[str] = deque()
        self._microsteps = 0
        self._work = 0
        self._seen: Situation | None = None

    def key(self) -> Key:
        """Return what has been reached."""
        nodes = canonical(self._states, self.active)
        return nodes, tuple(sorted(self.memory.items())), self.done

    def take(self, transitions: Iterable[Transition]) -> bool:
        """Take one microstep; return whether it makes a new snapshot in XState's eyes."""
        states, before = self._states, self.active
        chosen = without_conflicts(states, transitions, before, self.memory)
        left = self._left(chosen)
        changed = self._record(left)
        entry = Entry(states, self.memory)
        for transition in chosen:
            # Asked again: what has just been recorded can change where a history target leads.
            entry.add(transition, domain(states, transition, self.memory))
        gone = set(left)
        self.active = {index: None for index in before if index not in gone}
        self._enter(sorted(entry.entered))
        if not changed and before.keys() == self.active.keys():
            self.active = before  # XState keeps the snapshot, and with it the order of entry
        # Starting or stopping an actor makes a new snapshot even if the states are the same.
        touched = gone | entry.entered
        return (
            changed
            or before.keys() != self.active.keys()
            or any(states[index].invokes for index in touched)
        )

    def settle(self) -> None:
        """Go on until nothing is enabled and nothing is raised.

        Raises:
            ChartUnstable: it goes in circles, or further than the limits allow.
        """
        machine, ask_always = self._machine, True
        while not self.done:
            self._watch(ask_always=ask_always)
            found = (
                eventless(self._states, self.active) if ask_always and machine.has_always else []
            )
            raised = not found
            if raised:
                if not self._queue:
                    return
                event = self._queue.popleft()
                found = self.enabled(event) if machine.hears(event) else []
            changed = self.take(found) if found else False
            ask_always = raised or changed

    def enabled(self, event: str) -> list[Transition]:
        """Return the transitions that an event enables."""
        return enabled(self._states, shown(self._states, self.active), event)

    def _watch(self, *, ask_always: bool) -> None:
        """Stop a run that is too long, or that is where it was before (Brent's algorithm)."""
        limits = self._machine.limits
        self._microsteps += 1
        self._work += len(self.active)
        if self._microsteps > limits.microsteps or self._work > limits.work:
            raise ChartUnstable(self._microsteps - 1)
        if self._microsteps < FIRST_LOOK:
            return
        memory = tuple(sorted(self.memory.items()))
        now = (tuple(self.active), memory, tuple(self._queue), ask_always)
        if now == self._seen:
            raise ChartUnstable(self._microsteps - 1)
        if self._microsteps.bit_count() == 1:
            self._seen = now

    def _left(self, chosen: dict[Transition, int]) -> list[int]:
        """Return the states that are left."""
        ordered = sorted(self.active)
        left: list[int] = []
        for transition, reach in chosen.items():
            if transition.targets:
                last = self._states[reach].last if reach != NONE else len(self._states)
                left += ordered[bisect_right(ordered, reach) : bisect_right(ordered, last)]
        return left

    def _record(self, left: list[int]) -> bool:
        """Let the history states of what is left remember; return whether there are any."""
        states = self._states
        parents = [states[index] for index in left if states[index].histories]
        ordered = sorted(self.active) if parents else []
        for state in parents:
            first, last = (bisect_right(ordered, limit) for limit in (state.index, state.last))
            inside = ordered[first:last]
            leaves = tuple(index for index in inside if states[index].kind in LEAVES)
            children = tuple(index for index in inside if states[index].parent == state.index)
            for history in state.histories:
                self.memory[history] = leaves if states[history].deep else children
        return bool(parents)

    def _enter(self, entered: list[int]) -> None:
        """Make states active, in document order, and raise what ends by it."""
        states = self._states
        self._work += len(entered)
        is_final = any(states[index].kind is Kind.FINAL for index in entered)
        completion = Completion(states, self.active if is_final else ())
        completed: set[int] = set()
        for index in entered:
            self.active[index] = None
            if states[index].kind is Kind.FINAL:
                completion.enter(index)
                self._finish(states[index], completion, completed)

    def _finish(self, final: State, completion: Completion, completed: set[int]) -> None:
        """Raise the done events that entering a final state causes; at the root the machine ends.

        ``completed`` holds the parallel states that were reported in this microstep: each is reported once.
        """
        states = self._states
        above = final.parent
        if above != NONE and states[above].kind is not Kind.PARALLEL:
            self._raise_done(above)
            above = states[above].parent
        while (
            above != NONE
            and states[above].kind is Kind.PARALLEL
            and above not in completed
            and completion.is_finished(above)
        ):
            completed.add(above)
            self._raise_done(above)
            above = states[above].parent
        self.done = self.done or above == NONE

    def _raise_done(self, index: int) -> None:
        self._queue.append(f"xstate.done.state.{self._states[index].id}")

"""What a machine does: where it starts, and where an event leads.

With guards and actions gone a statechart is a finite automaton. It is built lazily: a configuration is made once
and remembers the steps out of it. Event types that no descriptor mentions are remembered by the class they belong
to, so strangers' event types take no memory.
"""

from dataclasses import dataclass

from statekeep.engine.json import JsonObject
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.machine import Machine
from statekeep.engine.statechart.macrostep import Macrostep
from statekeep.engine.statechart.snapshot import key_of
from statekeep.engine.statechart.state import NONE, Transition

UNHEARD = frozenset({"*", "xstate.init", "xstate.stop"})
"""Event types that XState treats as its own or refuses; no transition is ever selected for them."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one event does to one configuration."""

    configuration: Configuration
    """The configuration after it: the same object if the event was not handled."""

    handled: bool
    """Whether a transition was enabled, be it one that goes nowhere."""


def initial(machine: Machine) -> Configuration:
    """Return the configuration in which every actor of the machine starts.

    Raises:
        ChartUnstable: the start never comes to rest; validation refuses such a definition.
    """
    if machine.start is None:
        machine.start = compute_initial(machine)
    return machine.start


def compute_initial(machine: Machine) -> Configuration:
    """Do what ``initial`` does, without remembering it."""
    run = Macrostep(machine, ((), (), False))
    run.take([Transition(0, "", (0,), reenter=True, guarded=False, domain=NONE, pointer="")])
    run.settle()
    return machine.configuration(run.key())


def step(machine: Machine, configuration: Configuration, event_type: str) -> Step:
    """Return what an event does; the configuration must be one of this machine's.

    Raises:
        ChartUnstable: the event would never come to rest; nothing has changed.
    """
    known: Step | None = configuration.steps.get(event_type)
    return known if known is not None else _first_step(machine, configuration, event_type)


def _first_step(machine: Machine, configuration: Configuration, event_type: str) -> Step:
    """Take a step that may not have been taken before, and remember it."""
    mentioned = event_type in machine.mentioned or event_type in UNHEARD
    prefix = None if mentioned else machine.symbol(event_type)
    known: Step | None = None if mentioned else configuration.others.get(prefix)
    if known is None:
        known = compute_step(machine, configuration, event_type)
        machine.remember(configuration)
        machine.count_step()
        if mentioned:
            configuration.steps[event_type] = known
        else:
            configuration.others[prefix] = known
    return known


def compute_step(machine: Machine, configuration: Configuration, event_type: str) -> Step:
    """Do what ``step`` does, without looking up or remembering it."""
    if configuration.is_done or event_type in UNHEARD:
        return Step(configuration, handled=False)
    run = Macrostep(machine, configuration.key)
    transitions = run.enabled(event_type)
    if not transitions:
        return Step(configuration, handled=False)
    run.take(transitions)
    run.settle()
    return Step(machine.configuration(run.key()), handled=True)


def restore(machine: Machine, document: JsonObject) -> Configuration:
    """Return the configuration that ``to_json`` made a document of.

    Raises:
        ConfigurationInvalid: it is not a configuration of this machine.
    """
    return machine.configuration(key_of(machine, document))

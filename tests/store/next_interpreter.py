"""A release whose interpreter was changed: it gives definitions another meaning, and says so."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from statekeep.engine.statechart import interpreter, semantics
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.interpreter import Step
from statekeep.engine.statechart.machine import Machine
from statekeep.engine.store import versions

Change = Callable[[Machine, Configuration, str], Step]


@contextmanager
def release(number: int, change: Change | None = None) -> Iterator[None]:
    """Be another release for a while; what was compiled is forgotten, as a new process has never compiled it."""
    versions._compiled.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(semantics, "SEMANTICS", number)
        if change is not None:
            patch.setattr(interpreter, "compute_step", change)
        yield
    versions._compiled.cache_clear()


_compute_step = interpreter.compute_step


def pays_for_review(machine: Machine, configuration: Configuration, event_type: str) -> Step:
    """Have PAY mean what UPLOAD behind it means."""
    taken = _compute_step(machine, configuration, event_type)
    if event_type == "PAY" and taken.handled:
        return Step(
            _compute_step(machine, taken.configuration, "UPLOAD").configuration, handled=True
        )
    return taken


def is_deaf_to_back(machine: Machine, configuration: Configuration, event_type: str) -> Step:
    """Do not hear BACK."""
    if event_type == "BACK":
        return Step(configuration, handled=False)
    return _compute_step(machine, configuration, event_type)


def hears_strangers(machine: Machine, configuration: Configuration, event_type: str) -> Step:
    """Handle PAY everywhere, where it goes nowhere."""
    taken = _compute_step(machine, configuration, event_type)
    return taken if taken.handled or event_type != "PAY" else Step(configuration, handled=True)

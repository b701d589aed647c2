"""What holds for every machine, and needs nobody to compare with."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.statechart.strategies import anything, definitions, event_types

from statekeep.engine.errors import ChartUnstable
from statekeep.engine.finding import errors
from statekeep.engine.json import JsonObject, canonical
from statekeep.engine.statechart.compiler import compile_machine
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.interpreter import Step, compute_step, initial, restore, step
from statekeep.engine.statechart.legality import is_legal
from statekeep.engine.statechart.limits import DEFAULT_LIMITS
from statekeep.engine.statechart.machine import Machine
from statekeep.engine.statechart.state_value import label
from statekeep.engine.statechart.validation import examine, validate

MANY = settings(max_examples=100)

walks = st.lists(event_types, max_size=12)


def walk(machine: Machine, events: list[str]) -> list[tuple[Configuration, str, Step]]:
    """Return the steps that a sequence of events takes, as far as it comes to rest."""
    taken: list[tuple[Configuration, str, Step]] = []
    configuration = initial(machine)
    for event in events:
        try:
            found = step(machine, configuration, event)
        except ChartUnstable:
            break
        taken.append((configuration, event, found))
        configuration = found.configuration
    return taken


def machine_of(definition: JsonObject) -> Machine | None:
    return examine(definition, DEFAULT_LIMITS, warn=False).machine


@MANY
@given(definitions, walks)
def test_every_configuration_is_legal(definition: JsonObject, events: list[str]) -> None:
    if machine := machine_of(definition):
        for _, _, taken in walk(machine, events):
            assert is_legal(machine.states, taken.configuration.active)


@MANY
@given(definitions, walks)
def test_two_compiles_of_one_definition_behave_alike(
    definition: JsonObject, events: list[str]
) -> None:
    if machine := machine_of(definition):
        again = compile_machine(json.loads(json.dumps(definition)))
        for one, other in zip(walk(machine, events), walk(again, events), strict=True):
            assert canonical(one[2].configuration.to_json()) == canonical(
                other[2].configuration.to_json()
            )
            assert one[2].handled == other[2].handled


@MANY
@given(definitions, walks)
def test_what_is_remembered_is_what_is_computed(definition: JsonObject, events: list[str]) -> None:
    if machine := machine_of(definition):
        for configuration, event, taken in walk(machine, events):
            assert compute_step(machine, configuration, event) == taken
            assert step(machine, configuration, event) is step(machine, configuration, event)


@MANY
@given(definitions, walks)
def test_a_stored_configuration_comes_back_as_itself(
    definition: JsonObject, events: list[str]
) -> None:
    if machine := machine_of(definition):
        for _, _, taken in walk(machine, events):
            stored = canonical(taken.configuration.to_json())
            restored = restore(machine, json.loads(stored))
            assert restored is taken.configuration
            assert canonical(restored.to_json()) == stored


@MANY
@given(definitions, walks)
def test_what_is_not_handled_changes_nothing(definition: JsonObject, events: list[str]) -> None:
    if machine := machine_of(definition):
        for configuration, _, taken in walk(machine, events):
            assert taken.handled or taken.configuration is configuration


@MANY
@given(definitions, walks)
def test_forgetting_changes_nothing(definition: JsonObject, events: list[str]) -> None:
    if machine := machine_of(definition):
        for configuration, event, taken in walk(machine, events):
            machine.forget()
            assert step(machine, configuration, event) == taken


@MANY
@given(definitions, walks)
def test_different_values_have_different_labels(definition: JsonObject, events: list[str]) -> None:
    if machine := machine_of(definition):
        values = [taken.configuration.value for _, _, taken in walk(machine, events)]
        for one in values:
            for other in values:
                assert (label(one) == label(other)) == (one == other)


@settings(max_examples=200)
@given(anything)
def test_validate_never_raises(definition: object) -> None:
    validate(definition)  # type: ignore[arg-type]  # that is the point


@settings(max_examples=200)
@given(anything | definitions)
def test_what_validates_compiles_and_starts(definition: object) -> None:
    findings = validate(definition)  # type: ignore[arg-type]  # that is the point
    if not errors(findings):
        assert isinstance(definition, dict)
        machine = compile_machine(definition)
        assert is_legal(machine.states, initial(machine).active)


@settings(max_examples=200)
@given(anything)
def test_every_finding_points_to_something_that_is_there(definition: object) -> None:
    for finding in validate(definition):  # type: ignore[arg-type]  # that is the point
        value = definition
        for token in finding.pointer.split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            value = value[int(key)] if isinstance(value, list) else value[key]  # type: ignore[index]

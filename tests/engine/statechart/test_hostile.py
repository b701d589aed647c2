"""Definitions and events made to hang, crash or fill the process: each ends in a finding, soon."""

import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from statekeep.engine.errors import ChartUnstable, ConfigurationInvalid
from statekeep.engine.finding import errors
from statekeep.engine.json import JsonObject
from statekeep.engine.statechart.compiler import compile_machine
from statekeep.engine.statechart.interpreter import initial, restore, step
from statekeep.engine.statechart.limits import DEFAULT_LIMITS, Limits
from statekeep.engine.statechart.validation import validate


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail if the block takes much longer than it should; bounds leave room for a slow machine."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def codes(definition: Any) -> set[str]:
    return {finding.code for finding in errors(validate(definition))}


def nested(levels: int) -> JsonObject:
    definition: JsonObject = {}
    for _ in range(levels):
        definition = {"initial": "a", "states": {"a": definition}}
    return definition


def parallel(regions: int, inner: JsonObject) -> JsonObject:
    return {"id": "m", "type": "parallel", "states": {f"r{i}": inner for i in range(regions)}}


def test_ten_thousand_levels_are_refused() -> None:
    with within(5):
        assert codes(nested(10_000)) == {"too-deep"}


def test_a_machine_as_deep_as_the_limit_works() -> None:
    with within(5):
        machine = compile_machine(nested(DEFAULT_LIMITS.depth))
        assert len(initial(machine).active) == DEFAULT_LIMITS.depth + 1
        step(machine, initial(machine), "E")


def test_one_level_more_is_refused() -> None:
    assert codes(nested(DEFAULT_LIMITS.depth + 1)) == {"too-deep"}


def test_deep_values_under_meta_are_refused() -> None:
    meta: Any = 1
    for _ in range(100_000):
        meta = [meta]
    with within(5):
        assert codes({"meta": meta}) == {"too-deep"}


def test_a_document_that_contains_itself_is_refused() -> None:
    definition: dict[str, Any] = {"initial": "a"}
    definition["states"] = {"a": definition, "b": definition}
    with within(10):
        assert codes(definition) <= {"too-deep", "too-large"}
        assert codes(definition)


def test_a_hundred_thousand_states_are_refused() -> None:
    with within(10):
        found = codes({"initial": "s0", "states": {f"s{i}": {} for i in range(100_000)}})
    assert found <= {"too-many", "too-large"}
    assert found


def test_as_many_states_as_the_limit_work() -> None:
    count = DEFAULT_LIMITS.states - 1
    with within(30):
        machine = compile_machine({"initial": "s0", "states": {f"s{i}": {} for i in range(count)}})
        assert initial(machine).value == "s0"


def test_more_transitions_than_the_limit_are_refused() -> None:
    definition: Any = {"on": {f"e{i}": [{}] * 10 for i in range(2_001)}}
    with within(10):
        assert codes(definition) == {"too-many"}


def test_a_thousand_regions_step_together() -> None:
    inner: JsonObject = {
        "initial": "x",
        "states": {"x": {"on": {"E": "f"}}, "f": {"type": "final"}},
    }
    with within(10):
        machine = compile_machine(parallel(1_000, inner))
        taken = step(machine, initial(machine), "E")
    assert taken.configuration.is_done


def test_regions_within_regions_are_bounded_by_the_number_of_states() -> None:
    definition: JsonObject = {"on": {"E": {}}}
    for _ in range(8):
        definition = {
            "type": "parallel",
            "states": {"a": definition, "b": definition, "c": definition},
        }
    with within(20):
        assert codes(definition) <= {"too-many"}


def test_a_cycle_of_always_is_found_at_the_start() -> None:
    states: JsonObject = {"a": {"always": "b"}, "b": {"always": "a"}}
    with within(2):
        assert codes({"initial": "a", "states": states}) == {"unstable-start"}


def test_a_cycle_of_always_behind_an_event_leaves_the_actor_where_it_is() -> None:
    states: JsonObject = {"o": {"on": {"E": "a"}}, "a": {"always": "b"}, "b": {"always": "a"}}
    machine = compile_machine({"initial": "o", "states": states})
    start = initial(machine)
    with within(2), pytest.raises(ChartUnstable):
        step(machine, start, "E")
    assert initial(machine) is start
    assert not step(machine, start, "X").handled


def test_a_cycle_in_a_thousand_regions_is_found_in_time() -> None:
    inner: JsonObject = {
        "initial": "o",
        "states": {"o": {"on": {"E": "a"}}, "a": {"always": "b"}, "b": {"always": "a"}},
    }
    machine = compile_machine(parallel(1_000, inner))
    with within(20), pytest.raises(ChartUnstable):
        step(machine, initial(machine), "E")


def test_a_long_chain_of_always_stops_at_the_limit() -> None:
    chain: JsonObject = {f"s{i}": {"always": f"s{i + 1}"} for i in range(500)}
    definition: JsonObject = {
        "initial": "o",
        "states": {"o": {"on": {"E": "s0"}}, **chain, "s500": {}},
    }
    machine = compile_machine(definition, Limits(microsteps=100))
    with pytest.raises(ChartUnstable):
        step(machine, initial(machine), "E")
    generous = compile_machine(definition)
    assert step(generous, initial(generous), "E").configuration.value == "s500"


@pytest.mark.parametrize(
    "key", ["__proto__", "constructor", "toString", "", "\u202egnp", "#a", "a" * 256]
)
def test_strange_state_keys_end_in_a_finding_or_a_machine(key: str) -> None:
    definition: Any = {
        "initial": "a",
        "states": {"a": {"on": {"E": f"#m.{key}"}}, key: {}},
        "id": "m",
    }
    if not errors(validate(definition)):
        machine = compile_machine(definition)
        step(machine, initial(machine), "E")


@pytest.mark.parametrize(
    "key", [None, 1, 1.5, True, (1, 2), b"a", pytest.param(10**5000, id="10^5000")]
)
def test_keys_that_are_no_text_are_reported(key: object) -> None:
    assert codes({"initial": "a", "states": {"a": {}, key: {}}}) == {"not-json"}


@pytest.mark.parametrize("text", ["\0", "\ud800", "a\udfffb"])
def test_text_that_cannot_be_stored_is_reported(text: str) -> None:
    assert "unstorable-text" in codes({"description": text})
    assert "unstorable-text" in codes({"on": {text: {}}})


@pytest.mark.parametrize(
    "number", [2**53 + 1, -(2**60), 1e300, pytest.param(10**5000, id="10^5000")]
)
def test_numbers_that_json_libraries_round_are_reported(number: float) -> None:
    assert codes({"meta": number}) == {"unsafe-number"}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_does_not_have_are_reported(number: float) -> None:
    assert codes({"meta": number}) == {"not-json"}


@pytest.mark.parametrize("place", ["event", "state", "target"])
def test_megabyte_texts_are_refused_in_one_line_each(place: str) -> None:
    text = "a" * 600_000
    definition: Any = {
        "event": {"on": {text: {}}},
        "state": {"initial": "a", "states": {"a": {}, text: {}}},
        "target": {"on": {"E": text}},
    }[place]
    with within(5):
        found = validate(definition)
    assert errors(found)
    assert all(len(finding.message) < 500 for finding in found)


def test_long_keys_at_the_top_do_not_multiply() -> None:
    """Ids join the keys of all ancestors: ten thousand of them must not each be as long as a chain of long keys."""
    inner: JsonObject = {"initial": "s0", "states": {f"s{i}": {} for i in range(9_000)}}
    for level in range(50):
        inner = {"initial": f"{level}" * 200, "states": {f"{level}" * 200: inner}}
    tracemalloc.start()
    with within(20):
        assert "too-long" in codes(inner)
    assert tracemalloc.get_traced_memory()[1] < 200_000_000
    tracemalloc.stop()


def test_huge_lists_of_targets_are_refused() -> None:
    with within(10):
        assert codes(
            {"initial": "a", "states": {"a": {"on": {"E": {"target": ["b"] * 100_000}}}, "b": {}}}
        ) == {"too-many"}


def test_many_transitions_with_many_targets_are_looked_at_in_time() -> None:
    """Ten thousand transitions, each to regions of one parallel state."""
    regions: JsonObject = {f"r{i}": {"initial": "x", "states": {"x": {}}} for i in range(100)}
    targets = [f"p.r{i}.x" for i in range(60)]
    states: JsonObject = {
        "a": {"on": {f"E{i}": {"target": list(targets)} for i in range(1_200)}},
        "p": {"type": "parallel", "states": regions},
    }
    with within(20):
        assert errors(validate({"initial": "a", "states": states})) == ()


def test_a_thousand_wrong_targets_are_all_found_in_time() -> None:
    states: JsonObject = {f"s{i}": {"on": {"E": f"t{i}"}} for i in range(5_000)}
    with within(30):
        found = validate({"initial": "s0", "states": states})
    assert len(found) == DEFAULT_LIMITS.findings + 1
    assert found[-1].code == "more-findings"


def test_a_chain_of_defaults_is_bounded() -> None:
    states: JsonObject = {
        f"c{i}": {
            "initial": "h",
            "states": {"h": {"type": "history", "target": f"#m.c{i + 1}"}, "x": {}},
        }
        for i in range(2_000)
    }
    states["c2000"] = {}
    with within(20):
        assert codes({"id": "m", "initial": "c0", "states": states}) == {"too-deep"}


def test_strangers_event_types_take_no_memory() -> None:
    machine = compile_machine(
        {"id": "m", "initial": "a", "states": {"a": {"on": {"a.*": "b"}}, "b": {}}}
    )
    start = initial(machine)
    for number in range(2_000):
        step(machine, start, f"a.{number}")
        step(machine, start, f"x{number}")
    assert sum(map(sys.getsizeof, (start.steps, start.others))) < 2_000


def test_remembered_configurations_are_bounded() -> None:
    regions: JsonObject = {
        f"r{i}": {
            "initial": "x",
            "states": {"x": {"on": {f"E{i}": "y"}}, "y": {"on": {f"E{i}": "x"}}},
        }
        for i in range(12)
    }
    machine = compile_machine(
        {"type": "parallel", "states": regions}, Limits(configurations=50, steps=100)
    )
    configuration = initial(machine)
    for number in range(4_096):
        # A Gray code visits every one of the 2^12 configurations.
        configuration = step(
            machine, configuration, f"E{(number & -number).bit_length() % 12}"
        ).configuration
    assert len(machine._configurations) <= 50


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"value": "b", "status": "active"},
        {"value": "a", "status": "done"},
        {"value": "a", "status": "stopped"},
        {"value": {"a": {}}, "status": "active"},
        {"value": {"p": {"x": "i"}}, "status": "active"},
        {"value": {"p": {"x": "i", "y": {}, "z": {}}}, "status": "active"},
        {"value": 1, "status": "active"},
        {"value": "h", "status": "active"},
        {"value": "a", "status": "active", "historyValue": {"m.a": ["m.a"]}},
        {"value": "a", "status": "active", "historyValue": {"m.h": ["m.p.x"]}},
        {"value": "a", "status": "active", "historyValue": {"m.h": "m.a"}},
        {"value": "a", "status": "active", "active": ["m", "m.p"]},
        {"value": "a", "status": "active", "other": 1},
    ],
)
def test_a_stored_configuration_of_another_machine_is_refused(document: Any) -> None:
    region: JsonObject = {"initial": "i", "states": {"i": {}}}
    states: JsonObject = {
        "a": {},
        "h": {"type": "history"},
        "p": {"type": "parallel", "states": {"x": region, "y": {}}},
    }
    machine = compile_machine({"id": "m", "initial": "a", "states": states})
    with pytest.raises(ConfigurationInvalid):
        restore(machine, document)

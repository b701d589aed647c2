"""What the recorded corpus does not say, or says where nobody would look for it."""

from typing import Any

import pytest

from statekeep.engine.json import JsonObject
from statekeep.engine.statechart.compiler import compile_machine
from statekeep.engine.statechart.events import is_reserved, refusal
from statekeep.engine.statechart.interpreter import initial, restore, step
from statekeep.engine.statechart.javascript import delay_name
from statekeep.engine.statechart.limits import Limits
from statekeep.engine.statechart.path import split
from statekeep.engine.statechart.state_value import label

LOAN: JsonObject = {
    "id": "loan",
    "initial": "idle",
    "states": {
        "idle": {"on": {"START": "review"}},
        "review": {
            "initial": "check",
            "onDone": "approved",
            "states": {"check": {"on": {"OK": "done"}}, "done": {"type": "final"}},
        },
        "approved": {"type": "final"},
    },
}


def play(definition: JsonObject, *events: str) -> Any:
    machine = compile_machine(definition)
    configuration = initial(machine)
    for event in events:
        configuration = step(machine, configuration, event).configuration
    return configuration


def test_a_loan_goes_to_its_end_and_stays_there() -> None:
    assert play(LOAN, "START").value == {"review": "check"}
    done = play(LOAN, "START", "OK")
    assert (done.value, done.status) == ("approved", "done")


def test_an_event_that_is_not_handled_gives_the_same_configuration_back() -> None:
    machine = compile_machine(LOAN)
    taken = step(machine, initial(machine), "PAY")
    assert not taken.handled
    assert taken.configuration is initial(machine)


def test_the_types_that_are_xstates_own_select_nothing() -> None:
    machine = compile_machine({"on": {"*": {}, "xstate.init": {}, "E": {}}})
    handled = [
        step(machine, initial(machine), event).handled
        for event in ("*", "xstate.init", "xstate.stop", "E")
    ]
    assert handled == [False, False, False, True]


def test_the_document_of_a_configuration_says_what_xstate_says() -> None:
    states: JsonObject = {
        "p": {
            "initial": "a",
            "states": {"a": {"on": {"N": "b"}}, "b": {}, "h": {"type": "history"}},
            "on": {"OUT": "o"},
        },
        "o": {"on": {"BACK": "p.h"}},
    }
    definition: JsonObject = {"id": "m", "initial": "p", "states": states}
    assert play(definition, "N").to_json() == {"value": {"p": "b"}, "status": "active"}
    assert play(definition, "N", "OUT").to_json() == {
        "value": "o",
        "status": "active",
        "historyValue": {"m.p.h": ["m.p.b"]},
    }
    assert play(definition, "N", "OUT", "BACK").value == {"p": "b"}


def test_states_that_xstate_holds_beside_its_value_are_kept_and_come_back() -> None:
    """A history default in one's own region enters the other regions on top of what is active in them."""
    region: JsonObject = {"initial": "x", "states": {"x": {"on": {"E": "#m.h", "N": "y"}}, "y": {}}}
    states: JsonObject = {
        "p": {"type": "parallel", "states": {"a": region, "b": region}},
        "h": {"type": "history", "target": "p.a.y"},
    }
    definition: JsonObject = {"id": "m", "initial": "p", "states": states}
    moved = play(definition, "N", "N")
    assert moved.value == {"p": {"a": "y", "b": "y"}}
    states["p"] = {
        "type": "parallel",
        "states": {
            "a": region,
            "b": {"initial": "x", "states": {"x": {"on": {"M": "y"}}, "y": {}}},
        },
    }
    held = play(definition, "M", "E")
    assert held.value == {"p": {"a": "y", "b": "y"}}
    assert held.to_json()["active"][-1] == "m.p.b.x"
    machine = compile_machine(definition)
    assert restore(machine, held.to_json()).to_json() == held.to_json()


def test_an_always_that_starts_an_actor_again_never_rests() -> None:
    """XState takes the new actor for a change, so the same states are not rest enough."""
    states: JsonObject = {
        "a": {"on": {"E": "b"}},
        "b": {"always": {"target": "b", "reenter": True}},
    }
    assert play({"initial": "a", "states": states}, "E").value == "b"
    states["b"] = {"always": {"target": "b", "reenter": True}, "invoke": {"src": "work"}}
    machine = compile_machine({"initial": "a", "states": states})
    with pytest.raises(Exception, match="microsteps"):
        step(machine, initial(machine), "E")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("review", "review"),
        ({"review": "pending"}, "review.pending"),
        ({"p": {"b": "y", "a": "x"}}, "p.(a.x, b.y)"),
        ({"p": {"b": {}, "10": "y", "9": "x"}}, "p.(9.x, 10.y, b)"),
        ({"a": "x", "b": {"c": "d"}}, "(a.x, b.c.d)"),
        ({}, "{}"),
        ({"a.b": "c (d)"}, "a\\.b.c\\ \\(d\\)"),
        ("", '""'),
    ],
)
def test_a_state_value_has_a_name_in_one_line(value: Any, name: str) -> None:
    assert label(value) == name


@pytest.mark.parametrize(
    "event", ["PAY", "xstate", "xstate.done.actor.x", "xstate.error.actor.x", "xstate.after.1.x"]
)
def test_events_that_may_be_sent(event: str) -> None:
    assert refusal(event) is None


@pytest.mark.parametrize(
    ("event", "word"),
    [
        ("", "empty"),
        ("*", "wildcard"),
        ("a\0", "NUL"),
        ("\ud800", "surrogate"),
        ("é" * 513, "1026 bytes"),
        ("xstate.init", "xstate."),
        ("xstate.stop", "xstate."),
        ("xstate.done.state.m.p", "xstate."),
        ("xstate.route", "xstate."),
    ],
)
def test_events_that_may_not_be_sent_and_why(event: str, word: str) -> None:
    assert word in (refusal(event) or "")


def test_the_limit_of_event_types_can_be_set() -> None:
    assert refusal("ABCDE", Limits(event_type_bytes=4))
    assert not is_reserved("ABCDE")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("1000", "1000"),
        ("1e3", "1000"),
        ("0x10", "16"),
        ("0b11", "3"),
        (" 7 ", "7"),
        ("", "0"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e21", "1e+21"),
        ("1e400", "Infinity"),
        ("-0", "0"),
        ("1_000", "1_000"),
        ("inf", "inf"),
        ("NaN", "NaN"),
        ("LONG", "LONG"),
    ],
)
def test_delays_are_named_as_javascript_names_them(key: str, name: str) -> None:
    assert delay_name(key) == name


@pytest.mark.parametrize(
    ("path", "keys"), [("a\\", ["aundefined"]), ("a..b", ["a", "", "b"]), ("\\.", ["."])]
)
def test_paths_are_split_as_xstate_splits_them(path: str, keys: list[str]) -> None:
    assert split(path) == keys

"""Each finding: what provokes it, where it points, and that it helps."""

from typing import Any

import pytest

from statekeep.engine.errors import DefinitionInvalid
from statekeep.engine.finding import Finding, errors
from statekeep.engine.json import JsonObject
from statekeep.engine.statechart.codes import Code
from statekeep.engine.statechart.comparison import lost_events
from statekeep.engine.statechart.compiler import compile_machine
from statekeep.engine.statechart.limits import Limits
from statekeep.engine.statechart.validation import validate


def machine(states: JsonObject, **more: Any) -> JsonObject:
    return {"id": "m", "initial": "a", "states": states, **more}


def found(definition: Any) -> set[tuple[str, str]]:
    return {(finding.code, finding.pointer) for finding in validate(definition)}


def only(definition: Any, code: Code) -> Finding:
    """Return the one finding with this code."""
    (finding,) = [finding for finding in validate(definition) if finding.code == code.code]
    return finding


END: JsonObject = {"type": "final"}

WRONG: list[tuple[str, Any, Code, str]] = [
    ("no object", [], Code.WRONG_TYPE, ""),
    ("a state that is null", machine({"a": None}), Code.WRONG_TYPE, "/states/a"),
    (
        "a transition that is null",
        machine({"a": {"on": {"E": None}}}),
        Code.WRONG_TYPE,
        "/states/a/on/E",
    ),
    (
        "a transition in a list that is null",
        machine({"a": {"on": {"E": [None]}}}),
        Code.WRONG_TYPE,
        "/states/a/on/E/0",
    ),
    (
        "an invocation that is null",
        machine({"a": {"invoke": None}}),
        Code.WRONG_TYPE,
        "/states/a/invoke",
    ),
    (
        "a target that is null",
        machine({"a": {"on": {"E": {"target": None}}}}),
        Code.WRONG_TYPE,
        "/states/a/on/E/target",
    ),
    (
        "an after that is a list",
        machine({"a": {"after": [{"delay": 1}]}}),
        Code.WRONG_TYPE,
        "/states/a/after",
    ),
    ("an unknown type", machine({"a": {"type": "finall"}}), Code.UNKNOWN_VALUE, "/states/a/type"),
    (
        "an unknown history",
        machine({"a": {}, "h": {"history": "depp"}}),
        Code.UNKNOWN_VALUE,
        "/states/h/history",
    ),
    (
        "an unknown target",
        machine({"a": {"on": {"E": "b"}}}),
        Code.UNKNOWN_TARGET,
        "/states/a/on/E",
    ),
    (
        "an unknown target among others",
        machine({"a": {"on": {"E": [{"target": "a"}, {"target": "#x"}]}}}),
        Code.UNKNOWN_TARGET,
        "/states/a/on/E/1",
    ),
    (
        "a target that JavaScript inherits",
        machine({"a": {"on": {"E": "toString"}}}),
        Code.UNKNOWN_TARGET,
        "/states/a/on/E",
    ),
    (
        "a bare target from the root",
        machine({"a": {}}, on={"E": "a"}),
        Code.UNKNOWN_TARGET,
        "/on/E",
    ),
    (
        "a target in a final state",
        machine({"a": {"on": {"E": "#m.f.x"}}, "f": {"type": "final", "states": {"x": {}}}}),
        Code.UNKNOWN_TARGET,
        "/states/a/on/E",
    ),
    ("no initial", {"states": {"a": {}}}, Code.MISSING_INITIAL, ""),
    (
        "a compound state without states",
        machine({"a": {"type": "compound"}}),
        Code.MISSING_INITIAL,
        "/states/a",
    ),
    (
        "an initial that is no child",
        {"initial": "b", "states": {"a": {}}},
        Code.UNKNOWN_INITIAL,
        "/initial",
    ),
    (
        "an initial of an atomic state",
        machine({"a": {"initial": "x"}}),
        Code.UNKNOWN_INITIAL,
        "/states/a/initial",
    ),
    (
        "a history default that is no state",
        machine({"a": {}, "h": {"type": "history", "target": "x"}}),
        Code.BAD_HISTORY_DEFAULT,
        "/states/h/target",
    ),
    (
        "a history default that is empty",
        machine({"a": {}, "h": {"type": "history", "target": []}}),
        Code.BAD_HISTORY_DEFAULT,
        "/states/h/target",
    ),
    (
        "a history default that is a history state",
        machine({"a": {}, "h": {"type": "history", "target": "h"}}),
        Code.BAD_HISTORY_DEFAULT,
        "/states/h/target",
    ),
    ("a root that is a history state", {"type": "history"}, Code.BAD_HISTORY_DEFAULT, ""),
    (
        "an initial history state without default",
        machine({"a": {"type": "history"}, "b": {}}),
        Code.DEFAULT_CYCLE,
        "/states/a",
    ),
    ("two ids", machine({"a": {"id": "x"}, "b": {"id": "x"}}), Code.DUPLICATE_ID, "/states/b"),
    (
        "a key with a dot that looks like a path",
        machine({"a": {"initial": "b", "states": {"b": {}}}, "a.b": {}}),
        Code.DUPLICATE_ID,
        "/states/a.b",
    ),
    (
        "two children of one state",
        machine({"a": {"on": {"E": {"target": ["b", "c"]}}}, "b": {}, "c": {}}),
        Code.CONFLICTING_TARGETS,
        "/states/a/on/E",
    ),
    (
        "a state and a child that is not its initial",
        machine(
            {
                "a": {"on": {"E": {"target": ["b", "b.y"]}}},
                "b": {"initial": "x", "states": {"x": {}, "y": {}}},
            }
        ),
        Code.CONFLICTING_TARGETS,
        "/states/a/on/E",
    ),
    ("cond", machine({"a": {"on": {"E": {"cond": "g"}}}}), Code.V4_SYNTAX, "/states/a/on/E/cond"),
    (
        "internal",
        machine({"a": {"always": [{"internal": True}]}}),
        Code.V4_SYNTAX,
        "/states/a/always/0/internal",
    ),
    ("in", machine({"a": {"onDone": {"in": "#m.a"}}}), Code.V4_SYNTAX, "/states/a/onDone/in"),
    ("the empty event", machine({"a": {"on": {"": "a"}}}), Code.V4_SYNTAX, "/states/a/on/"),
    (
        "a key that JavaScript takes for itself",
        machine({"a": {}, "__proto__": {}}),
        Code.UNUSABLE_KEY,
        "/states/__proto__",
    ),
    ("a key like an id", machine({"a": {}, "#b": {}}), Code.UNUSABLE_KEY, "/states/#b"),
    (
        "a start that never rests",
        machine({"a": {"always": "b"}, "b": {"always": "a"}}),
        Code.UNSTABLE_START,
        "/initial",
    ),
]

SURPRISING: list[tuple[str, Any, Code, str]] = [
    (
        "a guard",
        machine({"a": {"on": {"E": {"target": "b", "guard": "g"}}}, "b": END}),
        Code.GUARDED,
        "/states/a/on/E",
    ),
    (
        "one after another",
        machine({"a": {"on": {"E": ["b", {"target": "a"}]}}, "b": END}),
        Code.SHADOWED,
        "/states/a/on/E/1",
    ),
    ("no way in", machine({"a": {"type": "final"}, "b": END}), Code.UNREACHABLE, "/states/b"),
    (
        "only a guarded way in",
        machine({"a": {"on": {"E": {"target": "b", "guard": "g"}}}, "b": END}),
        Code.UNREACHABLE,
        "/states/b",
    ),
    ("no way out", machine({"a": {"on": {"E": "b"}}, "b": {}}), Code.DEAD_END, "/states/b"),
    ("a delay", machine({"a": {"after": {"10": "b"}}, "b": END}), Code.DELAY, "/states/a/after/10"),
    (
        "a bare target in a list of after",
        machine({"a": {"after": {"10": ["b"]}}, "b": END}),
        Code.TARGET_IGNORED,
        "/states/a/after/10/0",
    ),
    (
        "an invocation",
        machine({"a": {"invoke": {"src": "s", "onDone": "b"}}, "b": END}),
        Code.NEVER_SETTLES,
        "/states/a/invoke",
    ),
    ("an unknown member", machine({"a": {"onn": {}}}), Code.UNKNOWN_KEY, "/states/a/onn"),
    (
        "an unknown member of the machine",
        machine({"a": {}}, delimiter="/"),
        Code.UNKNOWN_KEY,
        "/delimiter",
    ),
    (
        "a reserved event",
        machine({"a": {"on": {"xstate.stop": "a"}}}),
        Code.RESERVED_EVENT,
        "/states/a/on/xstate.stop",
    ),
    ("a star inside", machine({"a": {"on": {"a*": "a"}}}), Code.NARROW_WILDCARD, "/states/a/on/a*"),
    (
        "onDone without a final child",
        machine({"a": {"onDone": "a", "on": {"E": "a"}}}),
        Code.NEVER_DONE,
        "/states/a",
    ),
    (
        "states of a final state",
        machine({"a": {"type": "final", "states": {"x": {}}}}),
        Code.STATES_IGNORED,
        "/states/a/states",
    ),
]


@pytest.mark.parametrize(
    ("definition", "code", "pointer"), [pytest.param(*rest, id=name) for name, *rest in WRONG]
)
def test_what_is_wrong_is_an_error_where_it_stands(
    definition: Any, code: Code, pointer: str
) -> None:
    assert code in Code
    assert (code.code, pointer) in {(f.code, f.pointer) for f in errors(validate(definition))}


@pytest.mark.parametrize(
    ("definition", "code", "pointer"), [pytest.param(*rest, id=name) for name, *rest in SURPRISING]
)
def test_what_is_surprising_is_a_warning_where_it_stands(
    definition: Any, code: Code, pointer: str
) -> None:
    assert (code.code, pointer) in found(definition)
    assert errors(validate(definition)) == ()


def test_every_error_is_found_at_once_and_in_document_order() -> None:
    definition: Any = {
        "initial": "nowhere",
        "on": {"E": {"cond": "g"}, "": "x"},
        "states": {"b": None, "a": {"on": {"E": "c"}, "type": "paralel"}},
    }
    assert [(f.code, f.pointer) for f in errors(validate(definition))] == [
        ("unknown-initial", "/initial"),
        ("v4-syntax", "/on/E/cond"),
        ("v4-syntax", "/on/"),
        ("unknown-target", "/on/"),
        ("wrong-type", "/states/b"),
        ("unknown-target", "/states/a/on/E"),
        ("unknown-value", "/states/a/type"),
    ]


def test_compiling_raises_every_error_and_no_warning() -> None:
    definition = machine({"a": {"on": {"E": "b", "F": "c", "G": {"guard": "g"}}}})
    with pytest.raises(DefinitionInvalid) as caught:
        compile_machine(definition)
    assert [finding.code for finding in caught.value.findings] == ["unknown-target"] * 2


@pytest.mark.parametrize(
    ("states", "hint"),
    [
        ({"a": {"on": {"E": "reviw"}}, "review": {}}, 'Did you mean "review"?'),
        ({"a": {"initial": "x", "states": {"x": {}}, "on": {"E": "x"}}}, '".x"'),
        (
            {"a": {"on": {"E": "x"}}, "b": {"initial": "x", "states": {"x": {}}}},
            'Did you mean "#m.b.x"?',
        ),
        ({"a": {"on": {"E": "#custm"}}, "b": {"id": "custom"}}, 'Did you mean "#custom"?'),
    ],
)
def test_a_misspelt_target_is_answered_with_the_nearest(states: JsonObject, hint: str) -> None:
    assert hint in only(machine(states), Code.UNKNOWN_TARGET).message


def test_a_misspelt_word_is_answered_with_the_nearest() -> None:
    assert 'Did you mean "parallel"?' in only({"type": "paralel"}, Code.UNKNOWN_VALUE).message
    assert 'Did you mean "onDone"?' in only({"ondone": {}}, Code.UNKNOWN_KEY).message


@pytest.mark.parametrize(
    ("member", "v5"), [("cond", "guard"), ("internal", "reenter"), ("in", "xstate.stateIn")]
)
def test_v4_syntax_is_answered_with_the_v5_form(member: str, v5: str) -> None:
    assert v5 in only({"on": {"E": {member: "x"}}}, Code.V4_SYNTAX).message


@pytest.mark.parametrize(
    "definition",
    [
        {},
        {
            "on": None,
            "states": None,
            "always": None,
            "onDone": None,
            "after": None,
            "tags": None,
            "id": None,
            "type": None,
        },
        machine({"a": {"on": {"E": "", "F": {}, "G": []}, "always": [], "onDone": ""}}),
        machine({"a": {"after": {"1": None}}}),
        {"initial": {"target": ["a"]}, "states": {"a": {}}},
        {"type": "parallel", "states": {}},
        {"type": "final"},
        machine(
            {
                "a": {"on": {"E": {"target": ["p", "p.x"], "guard": "g"}}},
                "p": {"initial": "y", "states": {"x": {}, "y": {}}},
            }
        ),
        machine(
            {
                "a": {"on": {"E": {"target": ["p.r.y", "p"]}}},
                "p": {
                    "type": "parallel",
                    "states": {"r": {"initial": "x", "states": {"x": {}, "y": {}}}},
                },
            }
        ),
        machine({"a": {}, "": {}}),
        machine({"a": {}, "#b": {"id": "b"}}),
        machine({"a": {"on": {"E": {"target": [""]}}}}),
        {"id": "m", "initial": "h", "states": {"h": {"type": "history", "target": "a"}, "a": {}}},
    ],
)
def test_what_xstate_runs_is_accepted(definition: JsonObject) -> None:
    assert errors(validate(definition)) == ()
    compile_machine(definition)


def test_limits_can_be_set() -> None:
    definition = machine({"a": {}, "b": {}})
    assert [f.code for f in errors(validate(definition, Limits(states=2)))] == ["too-many"]
    assert [f.code for f in errors(validate(definition, Limits(definition_bytes=20)))] == [
        "too-large"
    ]


def test_an_event_that_an_ancestor_handles_and_this_version_never_does_is_reported() -> None:
    first = compile_machine(
        machine(
            {"a": {"on": {"PAY": "b", "WAIVE": "b", "x.y": "b", "G": {"guard": "g"}}}, "b": END}
        )
    )
    second = compile_machine(
        machine(
            {
                "a": {"on": {"PAY": "b", "x.*": "b", "WAIVE": {"target": "b", "guard": "g"}}},
                "b": END,
            }
        )
    )
    (finding,) = lost_events(second, {"loan-v1": first}, skips=False)
    assert finding.code == "lost-event"
    assert "WAIVE" in finding.message
    assert "loan-v1" in finding.message
    assert finding.message.endswith("handle it, or skip it on replay.")
    (skipped,) = lost_events(second, {"loan-v1": first}, skips=True)
    assert skipped.message.endswith("this version never does: it is skipped on replay.")
    assert lost_events(first, {"loan-v2": first}, skips=False) == ()


def test_a_finding_in_an_invocation_points_past_what_is_none() -> None:
    pointers = {finding.pointer for finding in validate({"invoke": [None, {"type": None}]})}
    assert pointers == {"/invoke/0", "/invoke/1/type"}

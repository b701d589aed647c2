"""Words that kubectl turned into booleans are pointed at, and nothing else is."""

from typing import Any

import pytest
from tests.operator.story import Story

from statekeep.controller.manifest.codes import Code
from statekeep.controller.operator.quotes import with_lost_quotes
from statekeep.controller.outcome import Outcome
from statekeep.controller.standing import Applied


def pointed_at(definition: Any) -> list[str]:
    """Return the places of a sound object that are pointed at."""
    outcome = with_lost_quotes(Outcome(Applied(None), None), {"spec": {"definition": definition}})
    assert all(one.code == Code.YAML_AMBIGUOUS for one in outcome.warnings)
    return [one.pointer.removeprefix("/spec/definition") for one in outcome.warnings]


@pytest.mark.parametrize(
    ("definition", "places"),
    [
        ({"initial": "a", "states": {"a": {"on": {"GO": "a"}, "meta": {"true": 1}}}}, []),
        ({"true": {"GO": ".a"}, "states": {"a": {"true": {}}}}, []),
        ({"states": {"a": {"true": {"false": "a"}}}}, ["/states/a/on/false"]),
        ({"on": {"true": ".a"}, "states": {"a": {}}}, ["/on/true"]),
        ({"states": {"a": {"states": {"true": {}}}}}, ["/states/a/states/true"]),
        ({"states": {"a/b": {"states": {"true": {}}}}}, ["/states/a~1b/states/true"]),
        ({"states": ["true"], "on": True}, []),
        ({"context": {"false": 1, "b": [{"true": 2}]}}, ["/context/false", "/context/b/0/true"]),
    ],
    ids=[
        "words",
        "the key of events",
        "an event",
        "an event of the root",
        "a state",
        "below a name with a slash",
        "what is no mapping",
        "keys of the context",
    ],
)
def test_names_are_pointed_at(definition: Any, places: list[str]) -> None:
    assert pointed_at(definition) == places


def test_a_version_that_lost_its_quotes_is_told_the_cause_and_the_cure(story: Story) -> None:
    # As kubectl sends "initial: off, states: {off: {on: {GO: on}}, on: {}}".
    states: Any = {"false": {"true": {"GO": True}}, "true": {}}
    story.apply("v1", definition={"initial": False, "states": states})
    cause = "kubectl reads off, no and n without quotes"
    errors = story.becomes("v1", "Invalid", saying=cause)["errors"]
    assert {e["pointer"] for e in errors if e["code"] == "yaml-ambiguous"} == {
        "/spec/definition/initial",
        "/spec/definition/states/false",
        "/spec/definition/states/true",
        "/spec/definition/states/false/on/GO",
    }
    assert not any("try initial" in error["message"] for error in errors)
    quoted: Any = {"off": {"true": {"GO": "on"}}, "on": {"type": "final"}}
    story.apply("v1", definition={"initial": "off", "states": quoted})
    assert "warnings" not in story.becomes("v1", "Applied")

"""Agreement with XState, recorded: see ``data/README.md`` for what was recorded and how."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from statekeep.engine.errors import DefinitionInvalid
from statekeep.engine.statechart.compiler import compile_machine
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.interpreter import compute_step, initial, restore, step

DATA = Path(__file__).parent / "data"
PROFILES = [
    "always",
    "conflict",
    "directed",
    "done",
    "guards",
    "history",
    "mixed",
    "names",
    "parallel",
    "targets",
    "wild",
]

Case = dict[str, Any]


def _subtle() -> Iterator[Case]:
    yield from map(json.loads, (DATA / "subtle.jsonl").read_text("utf-8").splitlines())


@pytest.fixture(scope="module")
def corpus() -> list[Case]:
    with gzip.open(DATA / "corpus.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def first_difference(case: Case) -> str | None:
    """Return where we differ from XState first."""
    try:
        machine = compile_machine(case["definition"])
    except DefinitionInvalid as error:
        return f"refused: {error}"
    configuration = initial(machine)
    if differs := _differs(configuration, case["expected"]["initial"]):
        return f"at the start: {differs}"
    for number, (event, expected) in enumerate(
        zip(case["events"], case["expected"]["steps"], strict=True)
    ):
        taken = step(machine, configuration, event)
        if taken.handled != expected["handled"]:
            return f"event {number}, {event}: handled is {taken.handled}"
        if differs := _differs(taken.configuration, expected):
            return f"event {number}, {event}: {differs}"
        if compute_step(machine, configuration, event) != taken:
            return f"event {number}, {event}: the step that is remembered is not the one that is computed"
        stored = json.loads(json.dumps(taken.configuration.to_json()))
        if restore(machine, stored) != taken.configuration:
            return f"event {number}, {event}: another configuration comes back from storage"
        configuration = taken.configuration
    return None


def _differs(configuration: Configuration, expected: dict[str, Any]) -> str | None:
    if configuration.value != expected["value"]:
        return f"{configuration.value}, not {expected['value']}"
    if configuration.status != expected["status"]:
        return f"{configuration.status}, not {expected['status']}"
    if "historyValue" in expected and configuration.history_value != expected["historyValue"]:
        return f"history {configuration.history_value}, not {expected['historyValue']}"
    return None


@pytest.mark.parametrize("profile", PROFILES)
def test_we_do_what_xstate_did(corpus: list[Case], profile: str) -> None:
    chosen = [case for case in corpus if case["profile"] == profile]
    assert chosen
    assert [(case["id"], found) for case in chosen if (found := first_difference(case))] == []


def test_every_profile_of_the_corpus_is_compared(corpus: list[Case]) -> None:
    assert sorted({case["profile"] for case in corpus}) == PROFILES


@pytest.mark.parametrize("case", [pytest.param(case, id=case["note"]) for case in _subtle()])
def test_the_subtle_rules_hold(case: Case) -> None:
    assert first_difference(case) is None

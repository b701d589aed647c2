"""The meaning of definitions has a number, and does not change behind its back."""

import gzip
import hashlib
import itertools
import json
from pathlib import Path

import pytest

from statekeep.engine.statechart import interpreter
from statekeep.engine.statechart.compiler import compile_machine
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.interpreter import Step, compute_initial, compute_step
from statekeep.engine.statechart.machine import Machine
from statekeep.engine.statechart.semantics import FIRST, SEMANTICS

CORPUS = Path(__file__).parents[2] / "conformance" / "data" / "corpus.jsonl.gz"

MEANINGS = {1: "11cb8f1b5464de5b30c22c4f93db6da21de99458ba1bdd90ad937791fbac722b"}
"""A digest of what a part of the corpus comes to, for each meaning that a release has had."""


def meaning() -> str:
    """Digest all that the interpreter says of each eighth case, in the documents that are stored."""
    told = hashlib.sha256()
    with gzip.open(CORPUS, "rt", encoding="utf-8") as lines:
        for case in map(json.loads, itertools.islice(lines, 0, None, 8)):
            machine = compile_machine(case["definition"])
            at = compute_initial(machine)
            told.update(json.dumps(at.to_json(), sort_keys=True).encode())
            for event in case["events"]:
                taken = interpreter.compute_step(machine, at, event)
                at = taken.configuration
                told.update(json.dumps([taken.handled, at.to_json()], sort_keys=True).encode())
    return told.hexdigest()


def test_whoever_changes_the_meaning_of_definitions_counts_it_on() -> None:
    assert meaning() == MEANINGS[SEMANTICS], (
        "definitions mean something else than before: count SEMANTICS on, and note the digest here"
    )
    assert min(MEANINGS) == FIRST
    assert max(MEANINGS) == SEMANTICS


def test_a_changed_interpreter_has_another_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    def deaf(machine: Machine, configuration: Configuration, event_type: str) -> Step:
        if event_type == "B":
            return Step(configuration, handled=False)
        return compute_step(machine, configuration, event_type)

    monkeypatch.setattr(interpreter, "compute_step", deaf)
    assert meaning() not in MEANINGS.values()

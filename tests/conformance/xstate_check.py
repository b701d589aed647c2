"""Compares the interpreter with the real ``xstate`` package on machines made up for the occasion.

``make xstate-check`` (``COUNT=…``, ``SEED=…``). Node and npm are needed; the package goes to ``build/xstate``.

XState keeps the order in which states became active, which no stored snapshot has. Where a machine's answer depends
on it, we are compared with XState on a snapshot that has been stored; such machines are counted. So are the few that
XState leads to two active children of one compound state: what we show is always a legal configuration.
"""

import argparse
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.xstate_package import VERSION, install, script
from tests.engine.statechart import generator

from statekeep.engine.errors import ChartUnstable
from statekeep.engine.finding import errors
from statekeep.engine.json import JsonObject
from statekeep.engine.statechart.configuration import Configuration
from statekeep.engine.statechart.interpreter import initial, step
from statekeep.engine.statechart.limits import DEFAULT_LIMITS
from statekeep.engine.statechart.validation import examine

ON_PURPOSE = {"bad-history-default", "conflicting-targets", "default-cycle", "unusable-key"}
"""What we refuse and XState runs, until it comes to the place."""

UNSTABLE = {"error": "Infinite loop"}


@dataclass(frozen=True)
class Case:
    id: str
    definition: JsonObject
    events: list[str]


def cases(seed: int, count: int) -> Iterator[Case]:
    """Yield the machines; each depends on the seed and its number only."""
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        definition = generator.definition(rng, size=rng.choice([5, 12, 30]))
        yield Case(f"{seed}/{number}", definition, generator.events(rng, definition))


def ours(case: Case) -> list[JsonObject] | str:
    """Return what we do with a case, or why we refuse it."""
    examination = examine(case.definition, DEFAULT_LIMITS, warn=False)
    if examination.machine is None:
        first = errors(examination.findings)[0]
        return f"{first.code}: {first.message}"
    machine = examination.machine
    configuration = initial(machine)
    steps = [_report(configuration, handled=True)]
    for event in case.events:
        try:
            taken = step(machine, configuration, event)
        except ChartUnstable:
            return [*steps, dict(UNSTABLE)]
        configuration = taken.configuration
        steps.append(_report(configuration, handled=taken.handled))
    return steps


def difference(definition: JsonObject, mine: list[JsonObject] | str, theirs: dict[str, Any]) -> str:
    """Return ``agree`` or in which way the two answers differ."""
    if "refused" in theirs:
        return "agree: both refuse" if isinstance(mine, str) else "XState refuses, we do not"
    live, stored = _normal(theirs["live"]), _normal(theirs["stored"])
    broken = "error" in live[-1] and live[-1] != UNSTABLE
    if isinstance(mine, str):
        reason = mine.split(":")[0]
        if live == [UNSTABLE]:
            return "agree: the start never rests"
        if broken or reason in ON_PURPOSE:
            return f"agree: refused on purpose ({reason})"
        return f"we refuse, XState does not ({reason})"
    if mine == live:
        return "agree"
    if mine == stored:
        return "agree: the order of entry matters"
    if broken and mine[: len(live) - 1] == live[:-1]:
        return "agree until XState breaks"
    lost = next((n for n, one in enumerate(live) if not _is_value(definition, one.get("value"))), 0)
    if lost and mine[:lost] == live[:lost]:
        return "agree until XState's value shows two children of one compound state"
    return "DIFFERENT"


def _is_value(state: Any, value: Any) -> bool:
    """Return whether a state value names one child of every compound state that is active."""
    if not isinstance(value, dict):
        return True
    children = state.get("states") or {}
    if state.get("type") != "parallel" and children and len(value) != 1:
        return False
    return all(_is_value(children.get(key, {}), inner) for key, inner in value.items())


def _normal(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last = steps[-1]
    if "Infinite loop" in last.get("error", ""):
        return [*steps[:-1], UNSTABLE]
    return steps


def _report(configuration: Configuration, *, handled: bool) -> JsonObject:
    return {
        "value": configuration.value,
        "status": configuration.status,
        "handled": handled,
        "historyValue": dict(configuration.history_value),  # type: ignore[arg-type]  # lists of text are JSON
    }


def _answers(batch: list[Case]) -> Iterator[dict[str, Any]]:
    program = str(script(Path(__file__).with_name("xstate_check.mjs")))
    lines = "".join(json.dumps(vars(case)) + "\n" for case in batch)
    done = subprocess.run(
        ["node", program], input=lines, capture_output=True, text=True, check=True
    )
    return map(json.loads, done.stdout.split("\n")[:-1])


def main() -> int:
    """Compare, print what was found, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=3, help="differences to print in full")
    arguments = parser.parse_args()
    if problem := install():
        print(problem)
        return 1
    found: Counter[str] = Counter()
    shown = steps = 0
    every = list(cases(arguments.seed, arguments.count))
    for start in range(0, len(every), 500):
        batch = every[start : start + 500]
        for case, theirs in zip(batch, _answers(batch), strict=True):
            mine = ours(case)
            verdict = difference(case.definition, mine, theirs)
            found[verdict] += 1
            steps += len(mine) if isinstance(mine, list) else 0
            if not verdict.startswith("agree") and shown < arguments.show:
                shown += 1
                print(
                    json.dumps(
                        {**vars(case), "verdict": verdict, "ours": mine, **theirs},
                        ensure_ascii=False,
                    )
                )
        print(f"{start + len(batch)} machines …", file=sys.stderr)
    agreed = sum(count for verdict, count in found.items() if verdict.startswith("agree"))
    for verdict, count in found.most_common():
        print(f"{count:7}  {verdict}")
    print(
        f"xstate {VERSION}: {agreed} of {len(every)} machines agree, {steps} steps, seed {arguments.seed}"
    )
    return 0 if agreed == len(every) else 1


if __name__ == "__main__":
    sys.exit(main())

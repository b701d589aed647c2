"""How fast the interpreter is: ``make bench-engine``.

In one run, on one machine: our remembered and our computed steps, compile time, the real ``xstate`` package where
Node is present, and the PyPI packages ``python-statemachine`` and ``transitions`` where they are installed
(``pip install --group bench``). The last line is JSON.
"""

import importlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from tests.conformance.xstate_package import PACKAGE, install

from statekeep.engine.json import JsonObject
from statekeep.engine.statechart.compiler import compile_machine
from statekeep.engine.statechart.interpreter import compute_step, initial, step
from statekeep.engine.statechart.machine import Machine

SECONDS = 2.0
"""How long each loop runs."""

LOAN_EVENTS = ["START_APPLICATION", "SUBMIT_INFO", "PAY_FEE", "REJECT", "REOPEN"]
LOAN: JsonObject = {
    "id": "loan",
    "initial": "idle",
    "states": {
        "idle": {"on": {"START_APPLICATION": "form"}},
        "form": {"on": {"SUBMIT_INFO": "fee", "CANCEL": "idle"}},
        "fee": {"on": {"PAY_FEE": "review", "WAIVE_FEE": "review"}},
        "review": {"on": {"APPROVE": "approved", "REJECT": "rejected"}},
        "rejected": {"on": {"REOPEN": "idle"}},
        "approved": {"type": "final"},
    },
}
REGIONS = 50
LARGE: JsonObject = {
    "id": "large",
    "type": "parallel",
    "states": {
        f"r{i}": {
            "initial": "a",
            "states": {
                "a": {"on": {"FLIP": "b", f"ONE{i}": "b"}},
                "b": {"on": {"FLIP": "a", f"ONE{i}": "a"}},
            },
        }
        for i in range(REGIONS)
    },
}
LARGE_EVENTS = ["FLIP", "ONE0", "ONE49", "FLIP", "ONE0", "ONE49"]


def chain(states: int) -> JsonObject:
    """Return a definition with so many states and three transitions from each."""
    return {
        "id": "chain",
        "initial": "s0",
        "states": {
            f"s{i}": {
                "on": {
                    "NEXT": f"s{(i + 1) % states}",
                    "BACK": {"target": f"s{(i - 1) % states}", "actions": ["log"]},
                    "SKIP": [{"guard": "g", "target": "s0"}, {"target": f"s{i * 7 % states}"}],
                },
                "tags": ["x"],
            }
            for i in range(states)
        },
    }


def rate(once: Callable[[], int]) -> float:
    """Return steps a second of a function that returns how many it took."""
    once()
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        steps += once()
    return steps / (time.perf_counter() - start)


def remembered(machine: Machine, events: list[str]) -> float:
    """Return steps a second once every step is known."""
    batch = events * (20_000 // len(events))

    def once() -> int:
        configuration = initial(machine)
        for event in batch:
            configuration = step(machine, configuration, event).configuration
        return len(batch)

    return rate(once)


def computed(machine: Machine, events: list[str]) -> float:
    """Return steps a second if every one is computed."""

    def once() -> int:
        configuration = initial(machine)
        for event in events:
            configuration = compute_step(machine, configuration, event).configuration
        return len(events)

    return rate(once)


def compile_ms(definition: JsonObject) -> float:
    """Return the best of five compiles, in milliseconds."""
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        compile_machine(definition)
        best = min(best, time.perf_counter() - start)
    return best * 1000


def xstate(definition: JsonObject, events: list[str]) -> float | None:
    """Return the steps a second of the real XState, ``None`` without Node."""
    if install() is not None:
        return None
    script = shutil.copy(Path(__file__).with_name("engine.mjs"), PACKAGE / "bench.mjs")
    task = json.dumps({"definition": definition, "events": events, "seconds": SECONDS})
    done = subprocess.run(["node", script], input=task, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["steps_per_s"])


def python_statemachine() -> float | None:
    """Return the steps a second of ``python-statemachine`` on the loan machine, ``None`` if it is missing."""
    if (package := _optional("statemachine")) is None:
        return None
    source = LOAN["states"]
    assert isinstance(source, dict)
    target: dict[str, Any] = {}
    states = {
        key: package.State(key, initial=key == "idle", final=key == "approved") for key in source
    }
    for key, event, goal in _arrows():
        found = states[key].to(states[goal])
        target[event] = target[event] | found if event in target else found
    machine = type("Loan", (package.StateMachine,), {**states, **target})()
    return rate(lambda: sum(1 for event in LOAN_EVENTS if machine.send(event) is None))


def transitions() -> float | None:
    """Return the steps a second of ``transitions`` on the loan machine, ``None`` if it is missing."""
    if (package := _optional("transitions")) is None:
        return None
    states = LOAN["states"]
    assert isinstance(states, dict)
    machine = package.Machine(
        states=list(states),
        initial="idle",
        auto_transitions=False,
        transitions=[[event, key, goal] for key, event, goal in _arrows()],
    )
    return rate(lambda: sum(1 for event in LOAN_EVENTS if machine.trigger(event)))


def _arrows() -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    states: Any = LOAN["states"]
    for key, config in states.items():
        found += [(key, event, goal) for event, goal in config.get("on", {}).items()]
    return found


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def main() -> int:
    """Measure everything, print a table, and last the same as JSON."""
    progress = Console(stderr=True)
    loan, large = compile_machine(LOAN), compile_machine(LARGE)
    table = Table("what", "loan", f"{REGIONS} regions", title="steps a second")

    def row(
        name: str, first: Callable[[], float | None], second: Callable[[], float | None]
    ) -> list[float | None]:
        progress.print(f"{name} …")
        both = [first(), second()]
        table.add_row(name, *(f"{value:,.0f}" if value else "–" for value in both))
        return both

    memoised = row(
        "remembered", lambda: remembered(loan, LOAN_EVENTS), lambda: remembered(large, LARGE_EVENTS)
    )
    cold = row(
        "computed", lambda: computed(loan, LOAN_EVENTS), lambda: computed(large, LARGE_EVENTS)
    )
    real = row("xstate 5", lambda: xstate(LOAN, LOAN_EVENTS), lambda: xstate(LARGE, LARGE_EVENTS))
    peer = row("python-statemachine", python_statemachine, lambda: None)
    other = row("transitions", transitions, lambda: None)
    progress.print("compile …")
    compiled = compile_ms(chain(1_000))
    Console().print(table)
    result = {
        "memoised_steps_per_s": round(memoised[0] or 0),
        "memoised_large_steps_per_s": round(memoised[1] or 0),
        "xstate_steps_per_s": real[0] and round(real[0]),
        "xstate_large_steps_per_s": real[1] and round(real[1]),
        "cold_us_per_step": round(1e6 / (cold[0] or 1), 1),
        "cold_large_us_per_step": round(1e6 / (cold[1] or 1), 1),
        "compile_1000_states_ms": round(compiled, 1),
        "python_statemachine_steps_per_s": peer[0] and round(peer[0]),
        "transitions_steps_per_s": other[0] and round(other[0]),
    }
    Console().print(
        f"A definition of 1,000 states and 4,000 transitions compiles in {compiled:.0f} ms."
    )
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

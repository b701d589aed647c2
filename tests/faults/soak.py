"""``make soak``: faults of every kind in random order for so many minutes, and a table of what was held.

The last line is JSON; the exit status is 1 where anything was lost, twice, or unexplained.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

from rich.console import Console
from rich.table import Table
from tests.faults.checker import Fault, Violation
from tests.faults.kinds import KINDS, impossible
from tests.faults.records import Kind
from tests.faults.world import World, world

CHECK_EVERY = 16
"""Faults between two checks of everything so far."""

SHOWN = 20
"""Violations that are printed."""


def kinds(turning: World, chance: Random) -> Iterator[str]:
    """Yield kinds for ever: each once in every round, in an order of its own."""
    possible = [kind for kind in KINDS if not impossible(turning, kind)]
    while True:
        yield from chance.sample(possible, len(possible))


def soak(turning: World, minutes: float, console: Console) -> tuple[Counter[str], list[Violation]]:
    """Do harm for so long; return how often which, and what is wrong in the end."""
    began = time.monotonic()
    done: Counter[str] = Counter()
    turning.recovers(deployments=1)
    for number, kind in enumerate(kinds(turning, turning.chance), 1):
        if time.monotonic() - began > minutes * 60:
            break
        KINDS[kind](turning, turning.chance)
        done[kind] += 1
        minute, second = divmod(int(time.monotonic() - began), 60)
        told = f"{turning.acknowledged():,} events, {turning.reviewer.applied} versions"
        console.print(f"{minute:3}:{second:02}  survived: {kind} ({told})", highlight=False)
        if number % CHECK_EVERY == 0 and (wrong := turning.violations()):
            return done, wrong
    turning.settle()
    return done, turning.violations()


def acknowledged(turning: World) -> int:
    """Return how many events have been answered; a repeated one counts once."""
    attempts = turning.refresh().attempts.values()
    return len({one.call for one in attempts if one.kind is Kind.EVENT and one.answer is not None})


def table(turning: World, done: Counter[str], wrong: Sequence[Violation]) -> Table:
    shown = Table("fault", "survived", title=f"Seed {turning.seed}")
    for kind in KINDS:
        why = impossible(turning, kind)
        shown.add_row(kind, f"not possible: {why}" if why else str(done[kind]))
    shown.add_section()
    content = turning.content()
    rows = {
        "events acknowledged": acknowledged(turning),
        "events in the log": sum(len(actor.events) for actor in content.actors.values()),
        "actors": len(content.actors),
        "versions applied": turning.reviewer.applied,
        "decisions": len(content.decisions),
        "calls without an answer": turning.records.failures,
        "violations": len(wrong),
    }
    for name, number in rows.items():
        shown.add_row(name, f"{number:,}")
    return shown


def main() -> int:
    """Soak, print what came of it, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    console = Console()
    console.print(f"Seed {arguments.seed}: SEED={arguments.seed} draws the same faults again")
    with world(arguments.seed, disk_mb=2048, refresh_s=1.0) as turning:
        done, wrong = soak(turning, arguments.minutes, console)
        for violation in wrong[:SHOWN]:
            console.print(str(violation), markup=False)
        console.print(table(turning, done, wrong))
        counts = Counter(one.fault for one in wrong)
        summary = {
            "acknowledged": acknowledged(turning),
            "lost": counts[Fault.LOST],
            "duplicated": counts[Fault.DUPLICATED],
            "faults": {kind: done[kind] for kind in KINDS},
            "violations": len(wrong),
        }
    print(json.dumps(summary), flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""How fast the event API is: ``make bench-api``.

Everything in one run on one machine, so that ratios hold when the machine's speed drifts: an embedded Postgres with its
default durability, a real ``statekeep api`` on loopback, the load generator as a process of its own, and ``pgbench`` on
the same server, in turn with the single events. Afterwards the log is counted against what was acknowledged.
The last line is JSON.
"""

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tests.bench import baseline
from tests.bench.load import Mode, Report, Task
from tests.bench.site import Site, running
from tests.bench.traffic import Shape, Traffic

PATIENCE_S = 1_800.0
"""For one step of traffic."""

say = Console(stderr=True, highlight=False).print


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is done."""

    events: int
    """In all, singles and batches together; rounded up to whole steps."""

    actors: int
    connections: int
    batch: int
    batch_connections: int
    rounds: int
    """So often ``pgbench`` and a step of single events take turns."""

    pgbench_s: int
    workers: int
    shape: Shape
    keys: bool

    @property
    def steps(self) -> int:
        return max(math.ceil(self.events / self.actors), self.rounds + 2)


@dataclass
class Sent:
    """Steps of one mode, and what they cost."""

    reports: list[Report] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    """Generator, API, Postgres."""

    def add(self, report: Report, api_s: float, postgres_s: float) -> None:
        self.reports.append(report)
        for place, cpu in enumerate((report.cpu_s, api_s, postgres_s)):
            self.cpu_s[place] += cpu

    @property
    def acknowledged(self) -> int:
        return sum(report.acknowledged for report in self.reports)

    @property
    def per_s(self) -> float:
        return self.acknowledged / sum(report.seconds for report in self.reports)

    def percentile_ms(self, percent: int) -> float:
        """Return the latency that so many of a hundred requests do not exceed."""
        took = sorted(one for report in self.reports for one in report.latencies_ms)
        return took[math.ceil(len(took) * percent / 100) - 1]

    @property
    def cpu_us(self) -> list[float]:
        """Return the microseconds of processor time for one event."""
        return [1e6 * cpu / self.acknowledged for cpu in self.cpu_s]


@dataclass
class Baseline:
    """Runs of ``pgbench``, and what they cost."""

    tps: list[float] = field(default_factory=list)
    cpu_us: list[tuple[float, float]] = field(default_factory=list)
    """Of one transaction: in ``pgbench`` itself, in Postgres."""

    @property
    def per_s(self) -> float:
        return statistics.mean(self.tps)

    @property
    def mean_cpu_us(self) -> tuple[float, float]:
        return statistics.mean(c for c, _ in self.cpu_us), statistics.mean(
            p for _, p in self.cpu_us
        )


def send(site: Site, size: Size, mode: Mode, step: int) -> tuple[Report, float, float]:
    """Send one step; return what the generator saw, and the CPU seconds of API and Postgres."""
    connections = size.connections if mode is Mode.SINGLE else size.batch_connections
    task = Task(
        host=site.host,
        port=site.port,
        mode=mode,
        connections=connections,
        shape=size.shape,
        actors=size.actors,
        step=step,
        batch=size.batch,
        keys=size.keys,
    )
    before = site.cpu_s()
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        input=json.dumps(asdict(task)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    report = Report(**json.loads(done.stdout))
    after = site.cpu_s()
    if report.refused:
        raise SystemExit(f"events were refused, the first answer was:\n{report.refused[0]}")
    say(f"  step {step}, {mode}: {report.acknowledged / report.seconds:,.0f} events/s")
    return report, after[0] - before[0], after[1] - before[1]


def run_baseline(site: Site, size: Size, done: Baseline) -> None:
    """Run ``pgbench`` once."""
    client, (_, before) = children_s(), site.cpu_s()
    tps = baseline.transactions_per_s(site.pgbench, site.baseline_url, size.actors, size.pgbench_s)
    count = tps * size.pgbench_s
    done.tps.append(tps)
    done.cpu_us.append(
        (1e6 * (children_s() - client) / count, 1e6 * (site.cpu_s()[1] - before) / count)
    )
    say(f"  pgbench: {tps:,.0f} transactions/s")


def children_s() -> float:
    """Return the processor time of the programs that have run and ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(site: Site, size: Size) -> tuple[Sent, Sent, Baseline]:
    """Warm up, then measure single events and ``pgbench`` in turn, then batches."""
    singles, batches, usual = Sent(), Sent(), Baseline()
    say("warming up …")
    sent = send(site, size, Mode.BATCH, 0)[0].acknowledged
    for round_ in range(1, size.rounds + 1):
        run_baseline(site, size, usual)
        singles.add(*send(site, size, Mode.SINGLE, round_))
    for step in range(size.rounds + 1, size.steps):
        batches.add(*send(site, size, Mode.BATCH, step))
    sent += singles.acknowledged + batches.acknowledged
    say("counting the log …")
    logged, processed = site.logged()
    assert logged == processed == sent, (logged, processed, sent)
    say(f"  {logged:,} events are in the log, as many as were acknowledged")
    return singles, batches, usual


def table(singles: Sent, batches: Sent, usual: Baseline) -> Table:
    shown = Table("what", "events/s", "p50 ms", "p99 ms", "client", "API", "Postgres")
    for name, sent in (("single", singles), ("batches", batches)):
        times = [f"{sent.percentile_ms(percent):.1f}" for percent in (50, 99)]
        shown.add_row(name, f"{sent.per_s:,.0f}", *times, *(f"{cpu:.0f}" for cpu in sent.cpu_us))
    client, server = usual.mean_cpu_us
    shown.add_row("pgbench", f"{usual.per_s:,.0f}", "", "", f"{client:.0f}", "", f"{server:.0f}")
    shown.caption = "the last three: microseconds of processor time an event"
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything, print a table, and last the same as JSON."""
    size = read(arguments)
    say(f"starting, with {size.actors:,} actors …")
    with (
        tempfile.TemporaryDirectory(prefix="statekeep-bench-") as folder,
        running(Path(folder), Traffic(size.shape, size.actors), size.workers) as site,
    ):
        say(f"Postgres {site.postgres_version}, fsync and synchronous_commit on; {size}")
        singles, batches, usual = measure(site, size)
        rss_mb = site.rss_mb()
    Console().print(table(singles, batches, usual))
    Console().print(
        f"Single events are {singles.per_s / usual.per_s:.2f} times as fast as pgbench with "
        f"{baseline.CLIENTS} clients, and take {sum(singles.cpu_us) / sum(usual.mean_cpu_us):.2f} "
        f"times its processor time.\n"
        f"A process of the API has {rss_mb:.0f} MB after {size.steps * size.actors:,} events."
    )
    result = {
        "single_events_per_s": round(singles.per_s),
        "single_p99_ms": round(singles.percentile_ms(99), 1),
        "pgbench_tps": round(usual.per_s),
        "batch_events_per_s": round(batches.per_s),
        "worker_rss_mb": round(rss_mb, 1),
    }
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


def read(arguments: Sequence[str] | None) -> Size:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.api", description=__doc__)
    whole = {
        "events": (1_000_000, "in all, rounded up to whole steps"),
        "actors": (50_000, "each gets one event a step"),
        "connections": (128, "with one single event in flight each"),
        "batch": (1_000, "events of one POST /v1/events"),
        "batch-connections": (4, "with one batch in flight each"),
        "rounds": (3, "steps of single events, in turn with pgbench"),
        "pgbench-s": (10, "seconds of one run of pgbench"),
        "workers": (1, "processes of the API"),
    }
    for name, (default, meaning) in whole.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=meaning)
    parser.add_argument("--shape", type=Shape, choices=list(Shape), default=Shape.SHARED)
    parser.add_argument("--keys", action="store_true", help="give every event an idempotency key")
    return Size(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())

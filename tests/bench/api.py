"""How fast the event API is: ``make bench-api``.

Everything in one run on one machine, so that ratios hold when the machine's speed drifts: an embedded Postgres with its
default durability, a real ``statekeep api`` on loopback, the load generator as a process of its own, and ``pgbench`` on
the same server, in turn with the single events. Afterwards the log is counted against what was acknowledged.
The last line is JSON.
"""

import argparse
import http.client
import json
import math
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
from tests.bench.site import VERSION, Site, running
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

    pgbench_s: float
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
    def cpu_us(self) -> list[str]:
        """Return the microseconds of processor time for one event."""
        return [f"{1e6 * cpu / self.acknowledged:.0f}" for cpu in self.cpu_s]


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


def spawn_first(site: Site) -> None:
    """Spawn the actor that the others are copies of."""
    connection = http.client.HTTPConnection(site.host, site.port)
    body = json.dumps({"id": "first", "version": VERSION})
    connection.request("POST", "/v1/actors", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 201, answer.read()
    connection.close()


def measure(site: Site, size: Size) -> tuple[Sent, Sent, list[float]]:
    """Warm up, then measure single events and ``pgbench`` in turn, then batches."""
    singles, batches, tps = Sent(), Sent(), []
    say(f"filling {size.actors:,} actors …")
    spawn_first(site)
    site.fill(size.actors)
    baseline.fill(site.baseline_url, size.actors)
    say("warming up …")
    sent = send(site, size, Mode.BATCH, 0)[0].acknowledged
    for round_ in range(1, size.rounds + 1):
        tps.append(baseline.transactions_per_s(site.baseline_url, size.actors, size.pgbench_s))
        say(f"  pgbench: {tps[-1]:,.0f} transactions/s")
        singles.add(*send(site, size, Mode.SINGLE, round_))
    for step in range(size.rounds + 1, size.steps):
        batches.add(*send(site, size, Mode.BATCH, step))
    sent += singles.acknowledged + batches.acknowledged
    say("counting the log …")
    logged, processed = site.logged()
    assert logged == processed == sent, (logged, processed, sent)
    say(f"  {logged:,} events are in the log, as many as were acknowledged")
    return singles, batches, tps


def table(singles: Sent, batches: Sent, tps: float) -> Table:
    shown = Table("what", "events/s", "p50 ms", "p99 ms", "generator", "API", "Postgres")
    for name, sent in (("single", singles), ("batches", batches)):
        times = [f"{sent.percentile_ms(percent):.1f}" for percent in (50, 99)]
        shown.add_row(name, f"{sent.per_s:,.0f}", *times, *sent.cpu_us)
    shown.add_row(f"pgbench, {baseline.CLIENTS} clients", f"{tps:,.0f}")
    shown.caption = "the last three: microseconds of processor time an event"
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything, print a table, and last the same as JSON."""
    size = read(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="statekeep-bench-") as folder,
        running(Path(folder), Traffic(size.shape, size.actors), size.workers) as site,
    ):
        say(f"Postgres {site.postgres_version}, fsync and synchronous_commit on; {size}")
        singles, batches, rounds = measure(site, size)
        rss_mb = site.rss_mb()
    tps = statistics.mean(rounds)
    Console().print(table(singles, batches, tps))
    Console().print(
        f"Single events are {singles.per_s / tps:.2f} times as fast as pgbench; the API's "
        f"process has {rss_mb:.0f} MB after {size.steps * size.actors:,} events."
    )
    result = {
        "single_events_per_s": round(singles.per_s),
        "single_p99_ms": round(singles.percentile_ms(99), 1),
        "pgbench_tps": round(tps),
        "batch_events_per_s": round(batches.per_s),
        "worker_rss_mb": round(rss_mb, 1),
    }
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


def read(arguments: Sequence[str] | None) -> Size:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.api", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--actors", type=int, default=50_000)
    parser.add_argument("--connections", type=int, default=128)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--batch-connections", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pgbench-s", type=float, default=10)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--shape", type=Shape, choices=list(Shape), default=Shape.SHARED)
    parser.add_argument("--keys", action="store_true", help="give every event an idempotency key")
    return Size(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())

"""What a deployment to many actors costs: ``make bench-migrate [ACTORS=1000000] [COHORTS=1000] [HISTORY=shared]``.

Each population is written into an embedded Postgres of its own folder, which is deleted afterwards. Preview,
deployments and reads go through the store; beside them stand the usual ways on the same actors. The last
line is JSON. ``PARTITIONS=16`` spreads actors and events over so many tables.
"""

import argparse
import asyncio
import json
import math
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.bench import usual
from tests.bench.population import DIGITS, NAMESPACE, Filling, Kind, definition
from tests.bench.sampling import Deployed, Judge, disagreements

from statekeep.controller import garbage
from statekeep.controller.dev import postgres
from statekeep.engine.ids import ActorId, EventType, MachineName, Namespace, VersionName
from statekeep.engine.json import JsonObject
from statekeep.engine.routing.decision import Migrate
from statekeep.engine.routing.policy import MigrationPolicy
from statekeep.engine.routing.preview import Preview
from statekeep.engine.routing.replay import Walk
from statekeep.engine.routing.version import read_version
from statekeep.engine.store import (
    audit,
    deployments,
    passengers,
    previews,
    processing,
    spawning,
    versions,
)
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.database import Database, connect, upgrade
from statekeep.engine.store.deployments import ApprovedBy, Deployment
from statekeep.engine.store.events import Answer, Event
from statekeep.engine.store.keyring import new_key_ring_text, read_key_ring
from statekeep.engine.store.locks import MACHINE_SPACE
from statekeep.engine.store.partitioning import MOST, partition
from statekeep.engine.store.spawning import Spawn
from statekeep.engine.store.versions import StoredVersion

T = TypeVar("T")

V2 = definition(without="D7")
"""Who met D7 while it checked needs a rescue."""

OTHER: JsonObject = {"initial": "idle", "states": {"idle": {"on": {"START": "idle"}}}}


@dataclass(frozen=True)
class Wanted:
    actors: int
    cohorts: int
    history: Kind
    partitions: int
    rate: float
    """Events a second of the stream to the machine; to another one go as many."""

    calm_s: float
    """How long the stream runs before the deployment, and how long events are counted."""

    one_by_one: int
    """Actors that are moved one at a time; the rest is reckoned."""

    sample: int


@dataclass
class Result:
    numbers: dict[str, Any] = field(default_factory=dict)

    def __setitem__(self, name: str, value: float | None) -> None:
        self.numbers[name] = None if value is None else float(f"{value:.4g}")


class Bench:
    """One population and everything that is done to it."""

    def __init__(self, url: str, wanted: Wanted, console: Console) -> None:
        self.url = url
        self.wanted = wanted
        self.console = console
        self.database = connect(url, read_key_ring(new_key_ring_text()), pool_size=20)
        self.catalogue = Catalogue()
        self.result = Result()

    async def run(self) -> dict[str, Any]:
        await self.prepare()
        garbage.settle()  # as the operator does
        self.bare()
        await self.previews()
        self.result["one_by_one_s"], self.result["row_per_actor_s"] = self.baselines()
        first = await self.deploy("v2", "v1", V2, ("START",))
        self.result["apply_s"] = first[0]
        await self.reads(first[1])
        if self.wanted.rate:
            second = await self.under_events(first[1])
        else:
            second = (await self.deploy("v3", "v2", definition(), ()))[1]
        await self.events()
        await self.exact([first[1], second])
        self.result["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        await self.database.close()
        return self.result.numbers

    async def prepare(self) -> None:
        await upgrade(self.database)
        root = await self.propose("v1", None, "m", definition(), ())
        await self.propose("other", None, "other", OTHER, ())
        if self.wanted.partitions:
            await partition(self.database, self.wanted.partitions)
        with Progress(console=self.console, transient=True) as progress:
            bars: dict[str, TaskID] = {}
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                receiving, sending = get_context("spawn").Pipe(duplex=False)
                filling = pool.submit(
                    fill, self.url, root.id, root.machine_id, self.wanted, sending
                )
                while not filling.done():
                    while receiving.poll(0.1):
                        table, number, total = receiving.recv()
                        bar = bars.setdefault(table, progress.add_task(table, total=total))
                        progress.update(bar, completed=number)
                filling.result()
        for number in range(100):
            wish = Spawn(
                Namespace(NAMESPACE),
                ActorId(f"o{number}"),
                MachineName("other"),
                by_machine=True,
                context=None,
                digest=b"",
            )
            await spawning.spawn(self.database, self.catalogue, wish)
        self.result.numbers |= {
            "actors": self.wanted.actors,
            "cohorts": self.one("select count(*) from statekeep.cohort where version_id = 1"),
            "histories": self.one("select count(*) from statekeep.history"),
            "event_rows": self.one("select count(*) from statekeep.event"),
        }

    async def propose(
        self,
        name: str,
        parent: str | None,
        machine: str,
        definition: JsonObject,
        path: Sequence[str],
    ) -> StoredVersion:
        version = read_version(
            VersionName(name),
            parent=None if parent is None else VersionName(parent),
            path=tuple(path),
            policy=MigrationPolicy(),
            definition=definition,
        )

        async def work(connection: AsyncConnection) -> StoredVersion:
            above = parent and await versions.find(
                connection, Namespace(NAMESPACE), VersionName(parent)
            )
            stored = await versions.propose(
                connection, Namespace(NAMESPACE), MachineName(machine), version, above or None
            )
            if parent is None:
                await versions.mark_applied(connection, stored.id)
            return stored

        return await self.database.transact(work)

    def bare(self) -> None:
        query = "select cohort_id, count(*) from statekeep.actor group by cohort_id"
        with psycopg.connect(self.url) as connection:
            times = [timed(lambda: connection.execute(query).fetchall())[0] for _ in range(5)]
        self.result["group_by_s"] = statistics.median(times)

    async def previews(self) -> None:
        await self.propose("v2", "v1", "m", V2, ("START",))
        times = []
        for _ in range(5 if self.wanted.history == "shared" else 1):
            seconds, preview = await clocked(self.preview("v2", "v1"))
            times.append(seconds)
        assert preview.evaluated == self.wanted.actors
        self.result["preview_s"] = statistics.median(times)
        self.result["preview_page_max_s"] = await self.preview_pages()

    async def preview_pages(self) -> float:
        """Name the actors that would move, a page from here and there; return the slowest one's seconds.

        Each page begins with nothing, as a request with a cursor does.
        """
        times = []
        for after in ("a0", "a3", "a6", "a98"):

            async def page(connection: AsyncConnection, after: str = after) -> passengers.Page:
                found = await versions.find(connection, Namespace(NAMESPACE), VersionName("v1"))
                target = await versions.find(connection, Namespace(NAMESPACE), VersionName("v2"))
                assert found is not None
                assert target is not None
                walk = Walk(target.version)
                return await passengers.page(
                    connection, walk, found, Migrate, after=ActorId(after), limit=1000
                )

            seconds, found = await clocked(self.database.read(page))
            assert found.passengers
            times.append(seconds)
        return max(times)

    async def preview(self, name: str, parent: str) -> Preview:
        async def work(connection: AsyncConnection) -> Preview:
            stored = await versions.find(connection, Namespace(NAMESPACE), VersionName(name))
            above = await versions.find(connection, Namespace(NAMESPACE), VersionName(parent))
            assert stored is not None
            assert above is not None
            return await previews.compute(connection, stored.version, above)

        return await self.database.read(work)

    async def deploy(
        self, name: str, parent: str, definition: JsonObject, path: Sequence[str]
    ) -> tuple[float, Deployment]:
        """Propose, preview, apply; return the seconds of the last, and what it did."""
        await self.propose(name, parent, "m", definition, path)
        while True:
            preview = await self.preview(name, parent)

            async def keep(connection: AsyncConnection, preview: Preview = preview) -> None:
                stored = await versions.find(connection, Namespace(NAMESPACE), VersionName(name))
                assert stored is not None
                await previews.keep(connection, stored, preview)

            await self.database.transact(keep)
            seconds, done = await clocked(
                deployments.apply(
                    self.database,
                    Namespace(NAMESPACE),
                    VersionName(name),
                    preview.id,
                    ApprovedBy.MANUAL,
                )
            )
            if isinstance(done, Deployment):
                return seconds, done
            self.console.print(f"{name}: {done}")

    def baselines(self) -> tuple[float, float]:
        self.console.print("the usual ways …")
        usual.prepare(self.url)
        seconds, actors = usual.one_by_one(self.url, V2, self.wanted.one_by_one)
        self.result.numbers["one_by_one_actors"] = actors
        states = {"idle": "idle", "work": "work", "check": "check"}
        set_based, moved = usual.set_based(self.url, states)
        assert moved == self.wanted.actors, moved
        return seconds * self.wanted.actors / actors, set_based

    async def reads(self, deployment: Deployment) -> None:
        """Read one actor's decisions, and page through everybody's."""
        catalogue, last, total, slowest = Catalogue(), None, 0, 0.0
        start = time.perf_counter()
        while True:

            async def page(connection: AsyncConnection, last: Any = last) -> audit.ActorPage:
                return await audit.of_deployment_by_actor(
                    connection, catalogue, deployment.id, after=last, limit=1000
                )

            seconds, found = await clocked(self.database.read(page))
            total, slowest = total + len(found.decisions), max(slowest, seconds)
            if (last := found.last) is None:
                break
        self.result["page_all_s"] = time.perf_counter() - start
        self.result["page_max_s"] = slowest
        counted = deployment.migrated + deployment.stayed + deployment.needs_rescue
        assert total == counted == self.wanted.actors, (total, counted)
        key = self.one("select key from statekeep.actor where id = 'a1'")

        async def one(connection: AsyncConnection) -> object:
            return await audit.decisions(connection, catalogue, key)

        times = [(await clocked(self.database.read(one)))[0] for _ in range(100)]
        self.result["decisions_of_one_s"] = statistics.median(times)

    async def under_events(self, first: Deployment) -> Deployment:
        """Deploy a second version to those who moved, while events come in."""
        command = [sys.executable, "-m", "tests.bench.stream", self.url]
        stream = await asyncio.create_subprocess_exec(
            *command,
            str(self.wanted.actors),
            str(self.wanted.rate),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            limit=2**30,
        )
        assert stream.stdout is not None
        assert stream.stdin is not None
        assert await stream.stdout.readline() == b"ready\n"
        started = time.monotonic()
        await asyncio.sleep(3 + self.wanted.calm_s)  # its first seconds are not steady
        start = time.monotonic()
        locked = Locked(self.database)
        seconds, done = await self.deploy("v3", "v2", definition(), ())
        end = time.monotonic()
        self.result["lock_held_s"] = locked.seconds
        begin = end - seconds
        await asyncio.sleep(1.0)
        stream.stdin.close()
        answers = json.loads(await stream.stdout.read())
        await stream.wait()
        calm = [s for m, t, s in answers if m == "a" and started + 2 < t < start - 1]
        mine = [s for m, t, s in answers if m == "a" and begin <= t + s and t <= end]
        others = [s for m, t, s in answers if m == "o" and begin <= t + s and t <= end]
        self.result["apply_under_events_s"] = seconds
        self.result["event_p99_before_s"] = quantile(calm, 0.99)
        self.result["event_max_before_s"] = max(calm)
        self.result["max_event_wait_s"] = max(mine, default=None)
        self.result["max_other_event_wait_s"] = max(others, default=None)
        self.result.numbers |= {"events_during": len(mine), "other_events_during": len(others)}
        return done

    async def events(self) -> None:
        """Send events as fast as they are taken, in batches of 200."""
        chance, sent, start = random.Random(2), 0, time.perf_counter()
        while (passed := time.perf_counter() - start) < self.wanted.calm_s:
            numbers = chance.sample(range(self.wanted.actors), min(200, self.wanted.actors))
            batch = [
                Event(Namespace(NAMESPACE), ActorId(f"a{n}"), EventType(chance.choice(DIGITS)))
                for n in numbers
            ]
            outcomes = await processing.process(self.database, self.catalogue, batch)
            assert all(isinstance(outcome, Answer) for outcome in outcomes)
            sent += len(batch)
        self.result["events_per_s"] = sent / passed

    async def exact(self, done: Sequence[Deployment]) -> None:
        """Hold the audit of a sample against a slow judgement of each actor's log."""
        judge = Judge(
            definition(),
            [
                Deployed("v2", "v1", done[0].epoch, V2, ("START",)),
                Deployed("v3", "v2", done[1].epoch, definition(), ()),
            ],
        )
        compared, wrong = await disagreements(
            self.url, self.database, judge, self.wanted.actors, self.wanted.sample
        )
        self.result.numbers |= {"audit_sample": compared, "audit_wrong": wrong}

    def one(self, query: str) -> Any:
        with psycopg.connect(self.url) as connection:
            row = connection.execute(query).fetchone()
            assert row is not None
            return row[0]


class Locked:
    """Watches how long a deployment holds its machine: from the grant until its commit is over."""

    def __init__(self, database: Database) -> None:
        self._since = 0.0
        self.seconds = 0.0
        engine = database.engine.sync_engine
        sa.event.listen(engine, "before_cursor_execute", self._before)
        sa.event.listen(engine, "after_cursor_execute", self._after)

    def _before(self, *event: Any) -> None:
        if "select distinct on (c.actor_key)" in event[2]:
            self.seconds = time.perf_counter() - self._since

    def _after(self, *event: Any) -> None:
        if "pg_advisory_xact_lock" in event[2] and event[3].get("space") == MACHINE_SPACE:
            self._since = time.perf_counter()


def fill(url: str, version_id: int, machine_id: int, wanted: Wanted, progress: Any) -> None:
    """Fill in a process of its own, whose memory is not that of the deployment."""

    def tell(table: str, number: int, total: int) -> None:
        progress.send((table, number, total))

    Filling(url, version_id, machine_id, tell).fill(wanted.history, wanted.actors, wanted.cohorts)


def timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    done = work()
    return time.perf_counter() - start, done


async def clocked(work: Awaitable[T]) -> tuple[float, T]:
    start = time.perf_counter()
    done = await work
    return time.perf_counter() - start, done


def quantile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, math.ceil(part * len(values)) - 1)]


def measure(wanted: Wanted, console: Console) -> dict[str, Any]:
    """Measure one population in a Postgres of its own."""
    with tempfile.TemporaryDirectory(prefix="statekeep-bench-") as folder:
        server = postgres.start(Path(folder))
        try:
            return asyncio.run(Bench(server.url, wanted, console).run())
        finally:
            server.close()


ROWS = {
    "group_by_s": "bare SELECT cohort_id, count(*) … GROUP BY",
    "preview_s": "preview",
    "preview_page_max_s": "a page of 1,000 actors of the preview, begun with nothing, the slowest",
    "apply_s": "apply",
    "event_p99_before_s": "99 of 100 events with no deployment took at most",
    "event_max_before_s": "the slowest of them",
    "apply_under_events_s": "apply while events come in",
    "lock_held_s": "of that, with the machine locked",
    "max_event_wait_s": "the slowest of {events_during:,} events during it, same machine",
    "max_other_event_wait_s": "the slowest of {other_events_during:,} events during it, another machine",
    "decisions_of_one_s": "one actor's decisions",
    "page_all_s": "all decisions by actor, pages of 1,000",
    "page_max_s": "the slowest of those pages",
    "row_per_actor_s": "one UPDATE over a row per actor, with an audit row each",
    "one_by_one_s": "one actor at a time (reckoned from {one_by_one_actors:,})",
}


def table(numbers: dict[str, Any]) -> Table:
    shown = Table(
        "what", "seconds", title="{actors:,} actors in {cohorts:,} cohorts".format(**numbers)
    )
    for name, text in ROWS.items():
        if numbers.get(name) is not None:
            shown.add_row(text.format(**numbers), f"{numbers[name]:,.4f}")
    return shown


def plot(runs: Sequence[dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    lines = {
        "apply_s": "StateKeep: apply",
        "row_per_actor_s": "one UPDATE, a row per actor",
        "one_by_one_s": "one actor at a time",
    }
    for name, text in lines.items():
        axes.plot([r["actors"] for r in runs], [r[name] for r in runs], "o-", label=text)
    axes.set(xscale="log", yscale="log", xlabel="actors", ylabel="seconds")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(path)
    pyplot.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--actors", type=int, default=1_000_000, help="100 or more")
    parser.add_argument("--cohorts", type=int, default=1_000, help="at most as many as actors")
    parser.add_argument("--history", choices=["shared", "unique", "loops"], default="shared")
    parser.add_argument("--partitions", type=int, default=0)
    parser.add_argument(
        "--rate",
        type=float,
        default=100.0,
        help="events a second meanwhile, and as many of another machine",
    )
    parser.add_argument("--sample", type=int, default=10_000)
    parser.add_argument("--plot", type=Path, default=Path("bench-migrate.svg"))
    options = parser.parse_args()
    if options.actors < 100:
        parser.error(f"{options.actors} actors are too few to measure: 100 or more")
    if not 1 <= options.cohorts <= options.actors:
        parser.error(f"{options.cohorts} cohorts are not between 1 and {options.actors}")
    if options.partitions != 0 and not 2 <= options.partitions <= MOST:
        parser.error(f"{options.partitions} partitions are neither 0 nor between 2 and {MOST}")
    console = Console(stderr=True)
    runs = []
    sizes = sorted({max(100, options.actors // part) for part in (100, 10, 1)})
    for size in sizes:
        console.print(f"{size:,} actors …")
        wanted = Wanted(
            actors=size,
            cohorts=min(options.cohorts, size),
            history=options.history,
            partitions=options.partitions,
            rate=options.rate,
            calm_s=5.0,
            one_by_one=2_000,
            sample=options.sample if size == options.actors else 500,
        )
        # A process of its own: the memory of one is not the peak of another.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            runs.append(pool.submit(measured, wanted).result())
        Console().print(table(runs[-1]))
    plot(runs, options.plot)
    console.print(f"The curves are in {options.plot}.")
    sys.stdout.write(json.dumps(runs[-1]) + "\n")
    return 0


def measured(wanted: Wanted) -> dict[str, Any]:
    return measure(wanted, Console(stderr=True))


if __name__ == "__main__":
    sys.exit(main())

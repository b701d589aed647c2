"""What the benchmark of the API puts under load: an embedded Postgres and a real ``statekeep api`` on loopback."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from sqlalchemy.engine import make_url
from tests.bench.traffic import Traffic
from tests.dev.process import Watched

from statekeep.controller.dev import postgres
from statekeep.controller.manifest.manifest import Manifest
from statekeep.controller.reconcile import reconcile
from statekeep.engine.ids import ActorId, Namespace, VersionName
from statekeep.engine.store.catalogue import Catalogue
from statekeep.engine.store.database import connect, upgrade
from statekeep.engine.store.keyring import new_key_ring_text, read_key_ring
from statekeep.engine.store.spawning import Spawn, spawn

DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
"""Settings of Postgres that must be on, or a figure means nothing."""

FILL = """
insert into statekeep.actor (key, namespace, id, machine_id, cohort_id, seq, body_digest, spawn_epoch,
                             spawn_configuration_id, created_at, updated_at)
select encode(substring(sha256(convert_to(namespace || '/a' || n, 'UTF8')) from 1 for 16), 'hex')::uuid,
       namespace, 'a' || n, machine_id, cohort_id, 0, body_digest, spawn_epoch, spawn_configuration_id, now(), now()
  from statekeep.actor, generate_series(0, %s - 1) as n
 where id = 'first'
"""
"""Copies of one actor, which was spawned as any other."""


@dataclass(frozen=True)
class Site:
    """The servers under load."""

    server_url: str
    host: str
    port: int
    workers: int
    api: psutil.Process
    keeper: psutil.Process
    postgres_version: str

    @property
    def database_url(self) -> str:
        """Return where the actors are."""
        return database(self.server_url, "actors")

    @property
    def baseline_url(self) -> str:
        """Return where ``pgbench`` works."""
        return database(self.server_url, "baseline")

    @property
    def pgbench(self) -> Path:
        """Return the program that came with the Postgres that runs."""
        return Path(self.keeper.children()[0].exe()).with_name("pgbench")

    def rss_mb(self) -> float:
        """Return the resident memory of the largest process of the API."""
        return max(p.memory_info().rss for p in family(self.api)) / 1e6

    def cpu_s(self) -> tuple[float, float]:
        """Return the processor time that the API and Postgres have used so far."""
        return used_s(family(self.api)), used_s(family(self.keeper))

    def logged(self) -> tuple[int, int]:
        """Return the events in the log, and how many the actors believe to have processed."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(
                "select (select count(*) from statekeep.event), (select sum(seq) from statekeep.actor)"
            ).fetchone()
        assert row is not None
        return int(row[0]), int(row[1])


def family(process: psutil.Process) -> Sequence[psutil.Process]:
    return [process, *process.children(recursive=True)]


def used_s(processes: Sequence[psutil.Process]) -> float:
    times = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended; its parent has its time
            times.append(process.cpu_times())
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


@contextlib.contextmanager
def running(folder: Path, traffic: Traffic, workers: int) -> Iterator[Site]:
    """Serve the traffic's machine and its actors; everything stops at the end."""
    server = postgres.start(folder / "postgres")
    try:
        version = durable_version(server.url)
        url = database(server.url, "actors")
        fill(server.url, traffic)
        keys = folder / "keys"
        keys.write_text(new_key_ring_text())
        arguments = ["--database-url", url, "--keys", str(keys), "--port", "0"]
        api = Watched(folder, "api", *arguments, "--workers", str(workers))
        try:
            address = make_url(api.line("StateKeep serves").split()[2])
            yield Site(
                server_url=server.url,
                host=str(address.host),
                port=int(address.port or 0),
                workers=workers,
                api=psutil.Process(api.process.pid),
                keeper=psutil.Process(server.keeper.pid),
                postgres_version=version,
            )
        finally:
            api.send(signal.SIGTERM)
            api.end()
    finally:
        server.close()


def durable_version(url: str) -> str:
    """Return the version of Postgres, which must be durable."""
    with psycopg.connect(url) as connection:
        for name in DURABLE:
            [value] = connection.execute(f"show {name}").fetchall()
            assert value == ("on",), (name, value)
        [version] = connection.execute("show server_version").fetchall()
    return str(version[0])


def fill(url: str, traffic: Traffic) -> None:
    """Create the databases: the one under test, and a copy of it for the baseline."""
    actors = database(url, "actors")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create database actors")
        asyncio.run(deploy(actors, traffic))
        with psycopg.connect(actors, autocommit=True) as inside:
            inside.execute(FILL, (traffic.actors,))
            inside.execute("vacuum analyze statekeep.actor")
        connection.execute("create database baseline template actors")


async def deploy(url: str, traffic: Traffic) -> None:
    """Create the schema, apply the machine, and spawn the actor that the others are copies of."""
    target = connect(url, read_key_ring(new_key_ring_text()))
    await upgrade(target)
    namespace, version = Namespace("default"), VersionName("v1")
    root = Manifest(name=version, namespace=namespace, definition=traffic.definition)
    await reconcile(root, {}, target)
    first = Spawn(
        namespace, ActorId("first"), version, by_machine=False, context=None, digest=bytes(32)
    )
    await spawn(target, Catalogue(), first)
    await target.close()

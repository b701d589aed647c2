"""Everything that runs: Postgres, the API, operators, an API server, clients and a reviewer, and the ways between them.

::

    clients ──front──▶ statekeep api --workers 2 ──back──▶ Postgres
    reviewer ─▶ API server ◀──cluster── statekeep operator ──back──┘

``front``, ``back`` and ``cluster`` are proxies; each process is started again when it ends, and ends with us.
"""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from random import Random

import psutil
from tests.conftest import KEYS
from tests.faults.checker import Violation, violations
from tests.faults.client import Settings
from tests.faults.clock import Clock
from tests.faults.content import Content, read
from tests.faults.kept import Kept
from tests.faults.postgres import Disk, Postgres
from tests.faults.proxy import Proxy
from tests.faults.records import Records, now
from tests.faults.reviewer import Reviewer
from tests.operator.kubernetes import Kubernetes
from tests.tied import tied, tied_statekeep

from statekeep.engine.store.database import connect, upgrade

ROOT = Path(__file__).parents[2]

PATIENCE_S = 180.0
"""For everything that is waited for; other work may share the machine."""

LOOK_S = 0.05

TEMPORARY = Path("/tmp")
PREFIX = "statekeep-faults-"
"""Of a world's folder; the id of its process follows, and something random."""

HANGS_S = 1
"""Nobody has begun a call for so long: all wait for answers."""

DEPLOYMENT_PACE = 150
"""Events between two deployments."""


class World:
    """All of it, from the first event until nobody sends any more."""

    def __init__(
        self, seed: int, *, clients: int = 3, disk_mb: int = 512, refresh_s: float = 0.3
    ) -> None:
        self._closing = contextlib.ExitStack()
        try:
            self._open(seed, clients=clients, disk_mb=disk_mb, refresh_s=refresh_s)
        except BaseException:
            self._closing.close()
            raise

    def _open(self, seed: int, *, clients: int, disk_mb: int, refresh_s: float) -> None:
        self.seed = seed
        self.chance = Random(f"faults/{seed}")
        clear_away()
        folder = tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=TEMPORARY)
        self.home = Path(self._closing.enter_context(folder))
        self.home.chmod(0o755)
        self._folder("disk"), self._folder("journals")
        self.clock = Clock(self._folder("clock"))
        self._closing.callback(self.clock.close)
        self.disk = Disk(self.home / "disk", disk_mb)
        self._closing.callback(self.disk.close)
        self.postgres = Postgres(self.home / "disk", self.clock.environment)
        self._closing.callback(self.postgres.close)
        asyncio.run(self._prepare())
        self.back, self.front, self.cluster = (
            Proxy(Random(f"{seed}/{name}")) for name in ("back", "front", "cluster")
        )
        for proxy in (self.back, self.front, self.cluster):
            self._closing.callback(proxy.close)
        self.back.lead_to(self.postgres.socket)
        self.kubernetes = Kubernetes()
        self._closing.callback(self.kubernetes.close)
        self.cluster.lead_to(int(self.kubernetes.url.rpartition(":")[2]))
        self.kubernetes.url = f"http://127.0.0.1:{self.cluster.port}"
        self._kubeconfig = self.kubernetes.kubeconfig(self.home / "kubeconfig")
        self._refresh_s = refresh_s
        (self.home / "keys").write_text(_keys_text())
        self.api = self._keep("api", self._api_command, hears=self._hear_api)
        self.operator = self.new_operator("operator")
        self.records = Records(self.home / "journals")
        self._records_lock = threading.Lock()
        self.reviewer = Reviewer(
            self.kubernetes, Random(f"{seed}/reviewer"), self._wait_for_traffic
        )
        self._closing.callback(self.reviewer.close)
        self.until(lambda: self.reviewer.applied >= 2, "the first versions")
        self.clients = {name: self._client(name) for name in (f"c{n}" for n in range(clients))}

    def close(self) -> None:
        self._closing.close()

    # Its parts

    def _folder(self, name: str) -> Path:
        folder = self.home / name
        folder.mkdir()
        return folder

    async def _prepare(self) -> None:
        database = connect(self.postgres.url, KEYS)
        await upgrade(database)
        await database.close()

    def _keep(
        self,
        name: str,
        command: Callable[[int], list[str]],
        *,
        hears: Callable[[str], None] = lambda _: None,
        clocked: bool = True,
    ) -> Kept:
        environment = {**os.environ, "KUBECONFIG": str(self._kubeconfig), "PYTHONPATH": str(ROOT)}
        if clocked:
            environment |= self.clock.environment
        kept = Kept(command, log=self.home / f"{name}.log", environment=environment, hears=hears)
        self._closing.callback(kept.end)
        return kept

    @property
    def database_url(self) -> str:
        """The way through the proxy."""
        return f"postgresql://postgres@127.0.0.1:{self.back.port}/postgres"

    def _api_command(self, _: int) -> list[str]:
        options = ("--database-url", self.database_url, "--keys", str(self.home / "keys"))
        return [*tied_statekeep("api", *options, "--port", "0", "--workers", "2")]

    def _hear_api(self, line: str) -> None:
        if line.startswith("StateKeep serves"):
            self.front.lead_to(int(line.rpartition(":")[2]))

    def new_operator(self, name: str) -> Kept:
        """Start an operator."""
        options = (
            *("--database-url", self.database_url, "--identity", name),
            *("--health-host", "127.0.0.1", "--health-port", "0"),
            *("--refresh", str(self._refresh_s), "--sweep", "1"),
        )
        return self._keep(name, lambda _: [*tied_statekeep("operator", *options)])

    def _client(self, name: str) -> Kept:
        def command(life: int) -> list[str]:
            url = f"http://127.0.0.1:{self.front.port}"
            settings = Settings(name, url, str(self.home / "journals"), self.seed, life)
            told = json.dumps(asdict(settings))
            return [*tied(sys.executable, "-m", "tests.faults.client", told)]

        return self._keep(name, command, clocked=False)

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes of the API."""
        return [child for child in self.api.children() if _is_worker(child)]

    # How it goes on

    def until(self, is_so: Callable[[], object], what: str) -> None:
        """Wait until something is so; say what everybody printed if it does not come to that."""
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < deadline, f"waited in vain: {what}\n{self.tails()}"
            time.sleep(LOOK_S)

    def tails(self) -> str:
        """Return the last lines of every log."""
        logs = [*sorted(self.home.glob("*.log")), self.home / "disk" / "postgres.log"]
        tails = [f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs]
        return "\n".join([f"the reviewer waits for {self.reviewer.waits_for}", *tails])

    def refresh(self) -> Records:
        """Return the records as they are now."""
        with self._records_lock:
            self.records.refresh()
        return self.records

    def acknowledged(self) -> int:
        """Return how many events have got an answer."""
        return sum(self.refresh().acknowledged.values())

    def _wait_for_traffic(self, over: threading.Event) -> None:
        wanted = self.acknowledged() + DEPLOYMENT_PACE
        while not over.is_set() and self.acknowledged() < wanted:
            over.wait(LOOK_S * 2)

    def traffic(self, events: int) -> None:
        """Let so many events get answers."""
        wanted = self.acknowledged() + events
        self.until(lambda: self.acknowledged() >= wanted, f"{events} more events")

    def failing(self) -> None:
        """Wait until an answer is missing, or says that nobody knows."""
        before = self.refresh().failures
        self.until(lambda: self.refresh().failures > before, "a failure")

    def hangs(self) -> bool:
        """Return whether a call has had no answer for long, though its client waits for it."""
        attempts = list(self.refresh().attempts.values())[-200:]
        late = now() - HANGS_S * 10**9
        return any(one.ended is None and one.began < late for one in attempts) and all(
            one.began < late for one in attempts
        )

    def recovers(self, *, deployments: int = 0) -> None:
        """Wait until every client gets answers to what it sends from now on, and deployments are made."""
        since, applied = now(), self.reviewer.applied

        def is_well() -> bool:
            newest = self.refresh().newest
            return all(newest.get(name, 0) > since for name in self.clients)

        self.until(is_well, "answers for every client")
        self.until(lambda: self.reviewer.applied >= applied + deployments, "a deployment")

    def settle(self) -> None:
        """Let every client finish: what has a key gets its answer."""
        self.reviewer.close()
        with ThreadPoolExecutor(len(self.clients)) as threads:
            statuses = list(threads.map(Kept.stop, self.clients.values()))
        assert not any(statuses), f"clients ended with {statuses}\n{self.tails()}"
        for name in self.clients:
            log = (self.home / f"{name}.log").read_text()
            assert "Traceback" not in log, log[-3000:]

    # What became of it

    def content(self) -> Content:
        """Return what the database holds now."""

        async def work() -> Content:
            database = connect(self.postgres.url, KEYS)
            try:
                return await read(database)
            finally:
                await database.close()

        return asyncio.run(work())

    def violations(self) -> list[Violation]:
        """Compare what clients have been told up to now with what is there."""
        as_of = now()
        content = self.content()
        attempts = list(self.refresh().attempts.values())
        return violations(attempts, content, self.reviewer.approved, as_of=as_of)


def clear_away() -> None:
    """Remove the folders of worlds whose process was killed; a mounted disk outlives it."""
    for folder in TEMPORARY.glob(f"{PREFIX}*-*"):
        if psutil.pid_exists(int(folder.name.removeprefix(PREFIX).partition("-")[0])):
            continue
        if (folder / "disk").is_mount():
            subprocess.run(["umount", "--lazy", str(folder / "disk")], check=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def world(seed: int, **options: float) -> Iterator[World]:
    """Let a world turn while the context is open."""
    turning = World(seed, **options)  # type: ignore[arg-type]
    try:
        yield turning
    finally:
        turning.close()


def _is_worker(process: psutil.Process) -> bool:
    try:
        return any("spawn_main" in part for part in process.cmdline())
    except psutil.Error:
        return False


def _keys_text() -> str:
    """Return the key ring of the tests as a file has it."""
    return "".join(f"{id_}: {base64.b64encode(key).decode()}\n" for id_, key in KEYS.keys.items())

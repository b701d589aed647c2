"""A durable Postgres that can be killed, restarted, replaced by its standby, and left without room on its disk."""

import contextlib
import errno
import itertools
import os
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil
import psycopg
from tests.tied import tied

from statekeep.controller.dev import postgres as embedded

PATIENCE_S = 120.0
"""For a start with recovery on a busy machine."""

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "max_wal_size": "64MB",
    "min_wal_size": "32MB",
    "wal_keep_size": "64MB",
    "max_wal_senders": "3",
    "log_min_messages": "warning",
    "restart_after_crash": "on",
}

SYNCHRONOUS = {"synchronous_standby_names": "*"}
"""A commit is answered when a standby has it on disk too."""


class Disk:
    """The file system that Postgres writes to; a small one of its own where that may be mounted."""

    def __init__(self, folder: Path, size_mb: int) -> None:
        self.folder = folder
        self.problem = ""
        """Why the disk cannot be filled, if it cannot."""

        mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(folder)]
        self._is_mounted = False
        if os.geteuid() != 0:
            self.problem = "a small file system can be mounted by root only"
            return
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        self._is_mounted = done.returncode == 0
        if not self._is_mounted:
            self.problem = f"a small file system cannot be mounted: {done.stderr.strip()}"

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Leave no room for anything."""
        assert self._is_mounted, self.problem
        ballast = self.folder / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file:
                for size in (1 << 20, 4096):
                    _fill(file.fileno(), size)
            yield
        finally:
            ballast.unlink(missing_ok=True)

    def close(self) -> None:
        if self._is_mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


def _fill(file: int, size: int) -> None:
    block = bytes(size)
    try:
        while os.write(file, block) == size:
            pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def _kill(server: "subprocess.Popen[bytes]") -> None:
    """End a server and what it has started, all at once."""
    postmaster = psutil.Process(server.pid)
    for process in [postmaster, *postmaster.children()]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    server.wait(PATIENCE_S)


class Postgres:
    """The server that is in charge; after a failover it is another one, with another socket."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._numbers = itertools.count()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a library's, about folders that we do not use
            self._user = embedded._user()
            embedded._prepare(folder, self._user)
            self._bin = embedded._binaries()
        self._log = folder / "postgres.log"
        self._log.touch()
        self._home = self._new_home()
        options = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres")
        self._run("initdb", "-D", str(self._data(self._home)), *options, "--wal-segsize=4")
        self._process = self._launch(self._home, {})
        self.ensure()

    # What it is

    @property
    def socket(self) -> Path:
        return self._home / ".s.PGSQL.5432"

    @property
    def url(self) -> str:
        """The direct way to it, past every proxy."""
        return f"postgresql://postgres@/postgres?host={self._home}"

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.url, autocommit=True, connect_timeout=10)

    # What is done to it

    def ensure(self) -> None:
        """Have it run and take connections; whatever ended it, it is started until it stays."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.connect().close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, self.log[-2000:]
            if self._process.poll() is not None:
                self._process = self._launch(self._home, {})
            time.sleep(0.05)

    def kill(self) -> None:
        """End all its processes at once, as when its container is killed, and start it again."""
        _kill(self._process)
        self.ensure()

    def kill_backend(self) -> None:
        """Kill one process that serves a client: Postgres ends all of them and recovers."""
        with self.connect() as connection:
            row = connection.execute(
                "select pid from pg_stat_activity where backend_type = 'client backend' "
                "and pid <> pg_backend_pid() order by xact_start nulls last limit 1"
            ).fetchone()
        if row is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(str(row[0])), signal.SIGKILL)
        self.ensure()

    def restart(self, settings: Mapping[str, str] | None = None) -> None:
        """Stop it in good order, and start it, with other settings if there are any."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(PATIENCE_S)
        self._process = self._launch(self._home, settings or {})
        self.ensure()

    @contextlib.contextmanager
    def standby(self) -> Iterator[None]:
        """Run with a synchronous standby; at the end kill the primary and let the standby take over."""
        home = self._new_home()
        source = f"host={self._home} user=postgres"
        self._run("pg_basebackup", "-D", str(self._data(home)), "-d", source, "-R", "-c", "fast")
        standby = self._launch(home, {"hot_standby": "on"})
        self.restart(SYNCHRONOUS)
        self._wait("select 1 from pg_stat_replication where sync_state = 'sync'")
        yield
        old, old_home = self._process, self._home
        _kill(old)
        self._process, self._home = standby, home
        self._wait("select pg_promote(true, 60)")
        shutil.rmtree(old_home, ignore_errors=True)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(PATIENCE_S)

    # How

    def _new_home(self) -> Path:
        home = self._folder / str(next(self._numbers))
        home.mkdir()
        if self._user is not None:
            shutil.chown(home, self._user)
        return home

    @staticmethod
    def _data(home: Path) -> Path:
        return home / "data"

    def _run(self, program: str, *arguments: str) -> None:
        embedded._run(self._bin, self._user, program, *arguments)

    def _launch(self, home: Path, settings: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """Start it in a folder; it ends with us."""
        parts = [
            part
            for name, value in {**SETTINGS, **settings}.items()
            for part in ("-c", f"{name}={value}")
        ]
        # The clock is for Postgres alone: what starts it is another user, whose clock it could not share.
        clock = [f"{name}={value}" for name, value in self._environment.items()]
        command = [
            *(str(shutil.which("env")), *clock),
            *(str(self._bin / "postgres"), "-D", str(self._data(home)), "-k", str(home)),
            *parts,
        ]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._tied(command),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _tied(self, command: Sequence[str]) -> Sequence[str]:
        """Return the command line that runs as its user, for as long as we live."""
        if self._user is None:
            return tied(*command)
        who = ("--reuid", self._user, "--regid", self._user, "--clear-groups")
        setpriv = shutil.which("setpriv")
        assert setpriv is not None, "setpriv is part of util-linux"
        return [setpriv, *who, "--pdeathsig", "KILL", *command]

    def _wait(self, query: str) -> None:
        """Ask until there is a row."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(psycopg.OperationalError), self.connect() as connection:
                if connection.execute(query.encode()).fetchone():
                    return
            assert time.monotonic() < deadline, f"{query}: {self.log[-2000:]}"
            time.sleep(0.05)

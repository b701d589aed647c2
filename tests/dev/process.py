"""The real ``statekeep`` as processes, which end with the test process, however that ends."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from tests.indiscretion import listen
from tests.tied import tied_statekeep

PATIENCE_S = 60.0
"""For everything that is waited for; other work may share the machine."""

ENVIRONMENT = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}


def started(home: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start ``statekeep``; its output and errors are one stream."""
    return subprocess.Popen(
        tied_statekeep(*arguments),
        cwd=home,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def statekeep(home: Path, *arguments: str) -> tuple[int, str]:
    """Run ``statekeep`` to its end; return its exit status and everything it printed."""
    process = started(home, *arguments)
    output, _ = process.communicate(timeout=PATIENCE_S * 2)
    return process.returncode, output


running: list["Watched"] = []
"""Those that nobody has ended yet."""


class Watched:
    """A running ``statekeep`` and the lines that it has printed so far."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home = home
        self.process = started(home, *arguments)
        self.lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        running.append(self)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(listen(line.rstrip("\n")))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def line(self, *parts: str, since: int = 0) -> str:
        """Return the first line with all the parts, once it is there."""

        def found() -> str | None:
            return next((one for one in self.lines[since:] if all(p in one for p in parts)), None)

        with self._changed:
            self._changed.wait_for(lambda: found() or self._ended, PATIENCE_S)
            line = found()
        assert line is not None, f"no line with {parts} in:\n{self.output}"
        return line

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the end and return the exit status."""
        status = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        running.remove(self)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status

    def kill(self) -> None:
        """Kill it, at once and without a word."""
        self.process.kill()
        self.end()


class Dev(Watched):
    """A running ``statekeep dev manifests`` in a folder of its own."""

    def __init__(self, home: Path, *arguments: str) -> None:
        (home / "manifests").mkdir(exist_ok=True)
        super().__init__(home, "dev", "manifests", "--port", "0", *arguments)
        try:
            self.url = self.line("StateKeep serves").split()[2]
        except BaseException:
            self.kill()
            raise

    def stop(self) -> int:
        """Stop it as Ctrl-C does; return the exit status."""
        self.send(signal.SIGINT)
        return self.end()

    def children(self) -> list[psutil.Process]:
        """Return the keeper of Postgres, Postgres, and its processes."""
        return psutil.Process(self.process.pid).children(recursive=True)


def until(is_so: Callable[[], object], what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def gone(processes: list[psutil.Process]) -> None:
    """Wait until the processes have ended."""
    until(lambda: not any(p.is_running() and p.status() != "zombie" for p in processes), "the end")

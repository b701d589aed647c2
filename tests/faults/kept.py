"""A process that is started again whenever it ends, as the kubelet does, and ends with the test process."""

import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil
from tests.indiscretion import listen

PAUSE_S = 0.2
"""Before it is started again."""

STOP_S = 60.0


class Kept:
    """Keeps a command running; its output goes to a file.

    The process is started by the thread that waits for its end: it is tied to that thread.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        *,
        log: Path,
        environment: Mapping[str, str],
        hears: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Start it.

        Args:
            command: returns the command line of a life, counted from 0.
            log: what all of them print.
            environment: theirs.
            hears: is told every line, at once.
        """
        self.log = log
        self.starts = 0
        self._command, self._environment, self._hears = command, environment, hears
        self._process: subprocess.Popen[str] | None = None
        self._over = threading.Event()
        self._changed = threading.Lock()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        while not self._over.is_set():
            with self._changed:
                if self._over.is_set():
                    return
                process = subprocess.Popen(
                    self._command(self.starts),
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
                self._process = process
                self.starts += 1
            assert process.stdout is not None
            with self.log.open("a") as log, process.stdout:
                for line in process.stdout:
                    log.write(listen(line))
                    log.flush()
                    self._hears(line.rstrip("\n"))
            process.wait()
            self._over.wait(PAUSE_S)

    def kill(self) -> None:
        """Kill the one that runs now, if there is one; another one follows."""
        with self._changed:
            if self._process is not None:
                self._process.kill()

    def children(self) -> list[psutil.Process]:
        """Return the child processes of the one that runs now."""
        try:
            return [] if self._process is None else psutil.Process(self._process.pid).children()
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> int:
        """Stop it as Kubernetes does, for good; return the exit status."""
        return self._end(subprocess.Popen.terminate)

    def end(self) -> None:
        """Kill it for good."""
        self._end(subprocess.Popen.kill)

    def _end(self, how: Callable[["subprocess.Popen[str]"], None]) -> int:
        self._over.set()
        with self._changed:
            process = self._process
            if process is not None:
                how(process)
        self._thread.join(STOP_S)
        return 0 if process is None else process.wait(STOP_S)

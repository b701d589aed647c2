"""The operator as a process that ends with the test process, however that ends."""

import os
import re
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

from tests.indiscretion import listen
from tests.operator.patience import PATIENCE_S, until
from tests.tied import tied_statekeep

STOP_S = 10.0
"""A third of what Kubernetes allows; it is well under a second on an idle machine."""

_ARGUMENTS = (
    *("--health-host", "127.0.0.1", "--health-port", "0"),
    *("--refresh", "0.3", "--sweep", "0.5"),
)


class Operator:
    """A running ``statekeep operator`` and what it has logged."""

    def __init__(self, kubeconfig: Path, database_url: str, *arguments: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            tied_statekeep("operator", *_ARGUMENTS, *arguments),
            env={
                **os.environ,
                "KUBECONFIG": str(kubeconfig),
                "STATEKEEP_DATABASE_URL": database_url,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(map(listen, self.process.stderr))

    @property
    def log(self) -> str:
        return "".join(self.lines)

    @property
    def url(self) -> str:
        """Return where the probes are."""
        port = until(lambda: re.search(r"probes on port (\d+)", self.log), "the operator's port")
        return f"http://127.0.0.1:{port[1]}"

    def probe(self, path: str) -> tuple[int, str]:
        """Return the status and the text of an answer."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=PATIENCE_S) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, series: str) -> float:
        """Return the value of a series, 0 if there is none yet."""
        found = re.search(rf"^{re.escape(series)} (\S+)$", self.probe("/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else 0.0

    def stop(self) -> int:
        """Stop it as Kubernetes does; return the exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return status

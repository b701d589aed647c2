"""A way to the API server that knows every kind of credentials: ``kubectl proxy``, on a socket of our own."""

import http.client
import json
import socket
import subprocess
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.cluster.kubectl import Kubectl
from tests.operator.objects import Refused
from tests.tied import tied

TIMEOUT_S = 60.0


class Proxy:
    """Requests to the API server, as whoever the kubeconfig says."""

    def __init__(self, kubectl: Kubectl, folder: Path) -> None:
        self._socket = folder / "proxy"
        self._process = subprocess.Popen(
            tied(kubectl.program, "proxy", f"--unix-socket={self._socket}"),
            env=kubectl.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert "Starting to serve" in self._process.stdout.readline()
        self._connection = _Connection(self._socket)

    def close(self) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        kind: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the JSON of an answer.

        Raises:
            Refused: with the status and the message of the API server.
        """
        if query:
            path = f"{path}?{urlencode(query)}"
        data = None if body is None else json.dumps(body)
        self._connection.request(method, path, data, {"Content-Type": kind, "Host": "localhost"})
        with self._connection.getresponse() as response:
            text = response.read()
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise Refused(response.status, _message(text))
        return json.loads(text)


def _message(text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError):
        return text.decode(errors="replace")


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket; connects anew by itself."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(self._path))

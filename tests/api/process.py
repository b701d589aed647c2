"""``statekeep api`` as a process of its own, on a database of the tests."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.dev.process import Watched

from statekeep.engine.store.keyring import new_key_ring_text


class Api(Watched):
    """A running ``statekeep api``."""

    def __init__(self, home: Path, database_url: str, *arguments: str, port: str = "0") -> None:
        keys = home / "keys"
        if not keys.exists():
            keys.write_text(new_key_ring_text())
        options = ("--keys", str(keys), "--database-url", database_url, "--port", port)
        super().__init__(home, "api", *options, *arguments)
        try:
            self.url = self.line("StateKeep serves").split()[2]
        except BaseException:
            self.kill()
            raise


def ask(url: str, body: object = None) -> tuple[int, Any]:
    """Send a request on a connection of its own; return status and body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            status, raw = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            status, raw = error.code, error.read()
    try:
        return status, json.loads(raw)
    except ValueError:
        return status, raw.decode()

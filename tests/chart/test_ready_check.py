"""The check of ``helm test``, run as its pod runs it."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.chart.render import REQUIRED, objects, of_kind, pod


class Probe(BaseHTTPRequestHandler):
    """Ready at the third question."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(200 if type(self).asked > 2 else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    Probe.asked = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Probe) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/readyz"
        listening.shutdown()
        thread.join()


def check(*urls: str, patience_s: int) -> subprocess.CompletedProcess[str]:
    container = pod(objects(REQUIRED), "test").container("ready")
    assert container["command"] == ["python", "-c"]
    script = container["args"][0].replace("monotonic() + 60", f"monotonic() + {patience_s}")
    assert script != container["args"][0] or patience_s == 60
    return subprocess.run(
        [sys.executable, "-c", script, *urls], capture_output=True, text=True, check=False
    )


def test_it_waits_until_all_are_ready(server: str) -> None:
    ran = check(server, server, patience_s=60)
    assert (ran.returncode, ran.stdout) == (0, f"{server} is ready\n" * 2)


def test_it_fails_at_what_does_not_become_ready(server: str) -> None:
    nowhere = server.replace("/readyz", "").rpartition(":")[0] + ":1/readyz"
    ran = check(server, nowhere, patience_s=3)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"{nowhere} is not ready: ")


def test_it_asks_both_services_and_is_nothing_but_a_test() -> None:
    rendered = objects(REQUIRED)
    one = pod(rendered, "test")
    assert one.owner["metadata"]["annotations"]["helm.sh/hook"] == "test"
    hosts = {
        (service["metadata"]["name"], port["port"])
        for service in of_kind(rendered, "Service")
        for port in service["spec"]["ports"]
        if port["name"] == "health"
    }
    urls = one.container("ready")["args"][1:]
    assert urls == [f"http://{name}:{port}/readyz" for name, port in sorted(hosts, reverse=True)]

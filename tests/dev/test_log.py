"""What the dev server logs: one line for an outage, nothing for what callers do wrong."""

import signal
import socket
from pathlib import Path

import psutil
import pytest
from tests.dev.calls import call, get
from tests.dev.process import Dev, until

CHUNKED = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n", id="a bad method"),
        pytest.param(b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", id="an overlong URL"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", id="TLS"),
        pytest.param(
            CHUNKED + b"Content-Type: application/json\r\n\r\nzz\r\n", id="a broken chunk"
        ),
        pytest.param(
            CHUNKED + b"Content-Type: text/plain\r\n\r\n2\r\n[]\r\nzz\r\n",
            id="a broken chunk that nobody reads",
        ),
        pytest.param(
            b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nG@T / HTTP/1.1\r\nHost: x\r\n\r\n",
            id="a bad second request",
        ),
    ],
)
def test_a_malformed_request_is_not_logged(dev: Dev, raw: bytes) -> None:
    before = len(dev.lines)
    host, port = dev.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass
    assert get(f"{dev.url}/healthz") == {"status": "ok"}
    assert not [line for line in dev.lines[before:] if "ERROR" in line or "Traceback" in line]


def test_an_outage_is_a_line_and_not_one_for_every_request(home: Path) -> None:
    dev = Dev(home)
    keeper, *_ = psutil.Process(dev.process.pid).children()
    [postgres] = keeper.children()
    keeper.send_signal(signal.SIGSTOP)  # or it would start another one
    postgres.kill()
    until(lambda: call(f"{dev.url}/readyz")[0] == 503, "the outage")
    for _ in range(5):
        assert call(f"{dev.url}/readyz")[0] == 503
        assert call(f"{dev.url}/v1/actors")[0] == 503
    keeper.send_signal(signal.SIGCONT)
    until(lambda: call(f"{dev.url}/readyz")[0] == 200, "the end of the outage")
    assert dev.stop() == 0
    assert "Traceback" not in dev.output
    for kind in ("not-ready: ", "database-unavailable: "):
        assert len([line for line in dev.lines if kind in line]) == 1

"""Bytes to a server, as no client library would send them, and what comes back."""

import socket
from contextlib import suppress
from urllib.parse import urlsplit

PATIENCE_S = 15.0


def connected(url: str) -> socket.socket:
    """Open a connection to the server of a URL."""
    address = urlsplit(url)
    assert address.hostname is not None
    return socket.create_connection((address.hostname, address.port or 80), timeout=PATIENCE_S)


def everything(connection: socket.socket) -> bytes:
    """Return all that comes until the server closes."""
    received = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            received += part
    return received


def exchanged(url: str, sent: bytes) -> bytes:
    """Send bytes and return all that comes back until the server closes, which we leave to it."""
    with connected(url) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
        return everything(connection)


def statuses(received: bytes) -> list[int]:
    """Return the status of every response, walking from head to body to head by their lengths."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        status, *fields = head.split(b"\r\n")
        assert status.startswith(b"HTTP/"), received
        found.append(int(status.split()[1]))
        lengths = [f.split(b":")[1] for f in fields if f.lower().startswith(b"content-length:")]
        assert len(lengths) == 1, head
        received = rest[int(lengths[0]) :]
    return found

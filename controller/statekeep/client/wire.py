"""The two ways in which bytes get to the server and back; everything above them is written once.

What calls a wire is a coroutine. On the asynchronous one it suspends wherever it waits. On the blocking one nothing
ever suspends, since every method does its work before it returns: ``statekeep.client.blocking`` runs such a coroutine
by stepping into it once.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import httpx2


class Wire(Protocol):
    """Sends requests and waits."""

    def request(
        self,
        method: str,
        url: str,
        *,
        params: dict[str, str],
        headers: dict[str, str],
        content: bytes | None,
        timeout: httpx2.Timeout,
    ) -> httpx2.Request:
        """Return a request."""
        ...

    async def open(self, request: httpx2.Request) -> httpx2.Response:
        """Send it, and return the head of the answer."""
        ...

    async def read(self, response: httpx2.Response) -> bytes:
        """Return the whole body."""
        ...

    def chunks(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        """Yield the body as it comes."""
        ...

    async def shut(self, response: httpx2.Response) -> None:
        """Be done with an answer."""
        ...

    async def pause(self, seconds: float) -> None:
        """Wait."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """How connections are made."""

    limit: int
    ssl_context: ssl.SSLContext | None

    @property
    def limits(self) -> httpx2.Limits:
        """Return how many there may be; all of them are kept for the next call."""
        return httpx2.Limits(max_connections=self.limit, max_keepalive_connections=self.limit)

    @property
    def verify(self) -> ssl.SSLContext | bool:
        """Return what certificates are held to."""
        return True if self.ssl_context is None else self.ssl_context


def now() -> float:
    """Return the time on a clock that only goes forward."""
    return time.monotonic()


class AsyncWire:
    """Suspends while it waits."""

    def __init__(self, connections: Connections) -> None:
        self._http = httpx2.AsyncClient(verify=connections.verify, limits=connections.limits)
        self.request = self._http.build_request

    async def open(self, request: httpx2.Request) -> httpx2.Response:
        """Send it, and return the head of the answer."""
        return await self._http.send(request, stream=True)

    async def read(self, response: httpx2.Response) -> bytes:
        """Return the whole body."""
        return await response.aread()

    def chunks(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        """Yield the body as it comes."""
        return response.aiter_bytes()

    async def shut(self, response: httpx2.Response) -> None:
        """Be done with an answer."""
        await response.aclose()

    async def pause(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()


class BlockingWire:
    """Blocks while it waits, and never suspends."""

    def __init__(self, connections: Connections) -> None:
        self._http = httpx2.Client(verify=connections.verify, limits=connections.limits)
        self.request = self._http.build_request

    async def open(self, request: httpx2.Request) -> httpx2.Response:
        """Send it, and return the head of the answer."""
        return self._http.send(request, stream=True)

    async def read(self, response: httpx2.Response) -> bytes:
        """Return the whole body."""
        return response.read()

    async def chunks(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        """Yield the body as it comes."""
        for chunk in response.iter_bytes():
            yield chunk

    async def shut(self, response: httpx2.Response) -> None:
        """Be done with an answer."""
        response.close()

    async def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)  # noqa: ASYNC251  (that is what blocking means)

    async def close(self) -> None:
        """Close every connection."""
        self._http.close()

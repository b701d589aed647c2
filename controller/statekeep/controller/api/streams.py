"""Answers that go on for as long as somebody reads them: NDJSON, or Server-Sent Events.

A reader that has gone is noticed by writing to it, one that takes nothing by waiting for it; so every
silence is broken by a bookmark, and every wait has an end.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from statekeep.controller.api.contract import NDJSON
from statekeep.controller.api.observation import note_stream

SSE = "text/event-stream"

BOOKMARK_S = 15.0
"""Silence after which a bookmark shows both sides that the other one is there."""

STALLED_S = 60.0
"""A reader that takes nothing for so long is taken for dead."""

RETRY_MS = 1_000
"""What a reader of Server-Sent Events is told to wait before they come back."""

CHUNK_BYTES = 64 * 1024
"""Written at once, about; a single line may be longer."""

_HEADERS: Mapping[str, str] = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def wants_sse(request: web.Request) -> bool:
    """Return whether the reader asks for Server-Sent Events."""
    return SSE in request.headers.get("Accept", "").lower()


class Stream:
    """One answer, written line by line."""

    def __init__(self, request: web.Request, *, is_sse: bool) -> None:
        self._request = request
        self._is_sse = is_sse
        kind = SSE if is_sse else NDJSON
        self._response = web.StreamResponse(headers={"Content-Type": kind, **_HEADERS})
        self._buffer = bytearray()
        self._written_at = 0.0

    async def open(self) -> None:
        """Send the status and the headers; from now on an error can only be the last line."""
        note_stream(self._request)
        await self._response.prepare(self._request)
        self._written_at = _now()
        if self._is_sse:
            self._buffer += b"retry: %d\n\n" % RETRY_MS
            await self.flush()

    async def add(self, kind: str, cursor: str, body: Any) -> None:
        """Write one line, sooner or later."""
        if self._is_sse:
            self._buffer += f"id: {cursor}\nevent: {kind}\ndata: ".encode()
        self._buffer += msgspec.json.encode(body)
        self._buffer += b"\n\n" if self._is_sse else b"\n"
        if len(self._buffer) >= CHUNK_BYTES:
            await self.flush()

    async def bookmark(self, cursor: str) -> None:
        """Say how far the reader has got; to one of Server-Sent Events it is no event."""
        if self._is_sse:
            self._buffer += f"id: {cursor}\n\n".encode()
        else:
            self._buffer += msgspec.json.encode({"cursor": cursor, "kind": "bookmark"}) + b"\n"
        await self.flush()

    async def breathe(self, cursor: str) -> None:
        """Write what is waiting, or a bookmark after a long silence.

        Raises:
            ConnectionError: the reader has gone.
        """
        if self._request.transport is None or self._request.transport.is_closing():
            raise ConnectionResetError("the reader has gone")
        if self._buffer:
            await self.flush()
        elif _now() - self._written_at >= BOOKMARK_S:
            await self.bookmark(cursor)

    async def flush(self) -> None:
        """Write what is waiting.

        Raises:
            ConnectionError: the reader has gone, or takes nothing.
        """
        data, self._buffer = bytes(self._buffer), bytearray()
        try:
            async with asyncio.timeout(STALLED_S):
                await self._response.write(data)
        except TimeoutError as error:
            if self._request.transport is not None:
                self._request.transport.abort()
            raise ConnectionResetError("the reader takes nothing") from error
        self._written_at = _now()

    async def fail(self, problem: Mapping[str, Any]) -> None:
        """Write a problem as the last line."""
        if self._is_sse:
            self._buffer += b"event: problem\ndata: "
        self._buffer += msgspec.json.encode(problem) + (b"\n\n" if self._is_sse else b"\n")
        await self.flush()

    async def close(self) -> web.StreamResponse:
        """End the answer properly."""
        await self.flush()
        await self._response.write_eof()
        return self._response


def _now() -> float:
    return asyncio.get_running_loop().time()

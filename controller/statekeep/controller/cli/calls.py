"""Calling the event API from commands; every failure becomes one line that says what to do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import aiohttp
import click
import msgspec

from statekeep.controller.dev import workspace
from statekeep.engine.errors import StatekeepError

DEFAULT_SERVER = "http://127.0.0.1:8080"

TIMEOUT_S = 60.0

SILENCE_S = 45.0
"""After which a stream is taken for dead; a bookmark comes every 15 s."""

MAX_LINE_BYTES = 8 * 1024 * 1024
"""One line of a stream."""


class CallFailed(StatekeepError):
    """The API refused, or did not answer."""


class NoAnswer(CallFailed):
    """The API cannot be reached, or not now: the same call may succeed a little later."""


def _server(_: click.Context, __: click.Parameter, value: str | None) -> str:
    if value is not None:
        return value.rstrip("/")
    running = workspace.running()
    return running.url if running else DEFAULT_SERVER


server_option = click.option(
    "--server",
    envvar="STATEKEEP_SERVER",
    callback=_server,
    help=f"The event API; default: the running `statekeep dev`, else {DEFAULT_SERVER}.",
)


class Caller:
    """One connection pool to one server."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session = session
        self._server = server

    async def get(self, path: str, **query: str) -> Any:
        """Return the JSON of a GET."""
        return await self._call("GET", path, params=query)

    async def post(
        self, path: str, body: Any, *, headers: dict[str, str] | None = None, **query: str
    ) -> Any:
        """Return the JSON of a POST."""
        json_headers = {"Content-Type": "application/json", **(headers or {})}
        return await self._call(
            "POST", path, data=msgspec.json.encode(body), headers=json_headers, params=query
        )

    async def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            async with self._session.request(method, self._server + path, **options) as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._silent(error) from error
        return self._read(path, response.status, raw)

    async def lines(self, path: str, **query: str) -> AsyncIterator[Any]:
        """Yield the documents of an NDJSON answer as they come, however long that takes.

        A problem is the last line of an answer that breaks off.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S, sock_read=SILENCE_S)
        try:
            async with self._session.get(
                self._server + path, params=query, timeout=timeout, read_bufsize=MAX_LINE_BYTES
            ) as response:
                if response.status >= 400:
                    self._read(path, response.status, await response.read())
                async for line in response.content:
                    if not line.endswith(b"\n"):
                        raise self._silent(EOFError("the answer broke off"))
                    document = self._read(path, response.status, line)
                    if isinstance(status := document.get("status"), int):
                        self._read(path, status, line)
                    yield document
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._silent(error) from error

    def _silent(self, error: Exception) -> NoAnswer:
        return NoAnswer(
            f"{self._server} does not answer ({error or type(error).__name__}); "
            "start one: statekeep dev FOLDER, or make run"
        )

    def _read(self, path: str, status: int, raw: bytes) -> Any:
        """Return the JSON of an answer that is no refusal."""
        try:
            document = msgspec.json.decode(raw)
        except msgspec.DecodeError as error:
            raise CallFailed(
                f"{self._server}{path} answered {status} with something that is not JSON"
            ) from error
        if status >= 400:
            failure = NoAnswer if status == HTTPStatus.SERVICE_UNAVAILABLE else CallFailed
            raise failure(_problem(document, status))
        return document


def _problem(document: Any, status: int) -> str:
    if not isinstance(document, dict):
        return f"the server answered {status}"
    lines = [str(document.get("detail") or document.get("title") or status)]
    lines += [
        f"  {error.get('pointer')}: {error.get('detail')}" for error in document.get("errors", [])
    ]
    return "\n".join(lines)


@asynccontextmanager
async def calling(server: str) -> AsyncIterator[Caller]:
    """Hold a caller while the context is open."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield Caller(session, server)

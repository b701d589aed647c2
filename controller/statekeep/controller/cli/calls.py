"""Calling the event API from commands; every failure becomes one line that says what to do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import click
import msgspec

from statekeep.controller.dev import workspace
from statekeep.engine.errors import StatekeepError

DEFAULT_SERVER = "http://127.0.0.1:8080"

TIMEOUT_S = 60.0


class CallFailed(StatekeepError):
    """The API refused, or did not answer."""


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
            raise CallFailed(
                f"{self._server} does not answer ({error or type(error).__name__}); "
                "start one: statekeep dev FOLDER, or make run"
            ) from error
        try:
            document = msgspec.json.decode(raw)
        except msgspec.DecodeError as error:
            raise CallFailed(
                f"{self._server}{path} answered {response.status} with something that is not JSON"
            ) from error
        if response.status >= 400:
            raise CallFailed(_problem(document, response.status))
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

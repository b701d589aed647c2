"""Calling the event API from commands; every failure becomes one line that says what to do."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import wraps
from http import HTTPStatus
from pathlib import Path
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


REACH = "statekeep.reach"
"""Under this key of a context's ``meta``, a front other than ``statekeep`` says how it reaches the API: called with
the context and what ``--server`` says, it returns the URL."""

TOKEN = "statekeep.token"  # noqa: S105  (a key, not a token)
"""Under this key of a context's ``meta`` is a token that goes before the given one."""

NAMESPACE = "statekeep.namespace"
"""Under this key of a context's ``meta`` is the namespace that paths without one mean; else the server decides."""

Reach = Callable[[click.Context, str | None], str]

START_SERVER = "start one: statekeep dev FOLDER, or make run; or name another with --server"
CHECK_SERVER = "look at its pods, or name another with --server"


class CallFailed(StatekeepError):
    """The API refused, or did not answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """Of HTTP; ``None`` where there was no answer of the API's own."""


class NoAnswer(CallFailed):
    """The API cannot be reached, or not now: the same call may succeed a little later."""


@dataclass(frozen=True, slots=True)
class Server:
    """An event API, and who calls it."""

    url: str
    token: str | None = field(default=None, repr=False)

    namespace: str | None = None
    """What a path without one means; ``None``: the server decides."""

    advice: str = START_SERVER
    """What to do if nobody answers."""


def _url(context: click.Context, _: click.Parameter, value: str | None) -> str:
    given = value and value.rstrip("/")
    reach: Reach | None = context.meta.get(REACH)
    if reach is not None:
        return reach(context, given)
    if given is not None:
        return given
    running = workspace.running()
    return running.url if running else DEFAULT_SERVER


def server_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--server``, ``--token`` and ``--token-file``; the command gets one ``server`` made of them."""

    @click.option(
        "--server",
        "url",
        envvar="STATEKEEP_SERVER",
        callback=_url,
        help=f"The event API; default: the running `statekeep dev`, else {DEFAULT_SERVER}.",
    )
    @click.option(
        "--token",
        envvar="STATEKEEP_TOKEN",
        help="Who calls: an sk_ key or a service account's token; better in STATEKEEP_TOKEN.",
    )
    @click.option(
        "--token-file",
        envvar="STATEKEEP_TOKEN_FILE",
        type=click.Path(path_type=Path),
        help="The file that holds it, such as a mounted service account's token.",
    )
    @wraps(command)
    def with_server(
        *arguments: Any, url: str, token: str | None, token_file: Path | None, **options: Any
    ) -> None:
        meta = click.get_current_context().meta
        server = Server(
            url,
            meta.get(TOKEN) or _token(token, token_file),
            meta.get(NAMESPACE),
            CHECK_SERVER if REACH in meta else START_SERVER,
        )
        command(*arguments, server=server, **options)

    return with_server


def _token(token: str | None, file: Path | None) -> str | None:
    """Return the token that was given, checked; no message repeats it."""
    if token is not None and file is not None:
        raise CallFailed(
            "give a token or a token file, not both (STATEKEEP_TOKEN and STATEKEEP_TOKEN_FILE count)"
        )
    if file is not None:
        try:
            token = file.read_text()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise CallFailed(f"the token file {file} cannot be read: {why}") from error
    if token is None:
        return None
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CallFailed(
            "the token cannot be one: it is empty, or has spaces or special characters"
        )
    return token


class Caller:
    """One connection pool to one server."""

    def __init__(self, session: aiohttp.ClientSession, server: Server) -> None:
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

    async def find(self, path: str) -> Any | None:
        """Return the JSON of a GET, or ``None`` if there is no such thing."""
        try:
            return await self.get(path)
        except CallFailed as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    async def _call(self, method: str, path: str, **options: Any) -> Any:
        url = self._server.url + self._within(path)
        try:
            async with self._session.request(method, url, **options) as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._silent(error) from error
        return self._read(url, response.status, raw)

    async def lines(self, path: str, **query: str) -> AsyncIterator[Any]:
        """Yield the documents of an NDJSON answer as they come, however long that takes.

        A problem is the last line of an answer that breaks off.
        """
        url = self._server.url + self._within(path)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S, sock_read=SILENCE_S)
        try:
            async with self._session.get(
                url, params=query, timeout=timeout, read_bufsize=MAX_LINE_BYTES
            ) as response:
                if response.status >= 400:
                    self._read(url, response.status, await response.read())
                async for line in response.content:
                    if not line.endswith(b"\n"):
                        raise self._silent(EOFError("the answer broke off"))
                    document = self._read(url, response.status, line)
                    if isinstance(status := document.get("status"), int):
                        self._read(url, status, line)
                    yield document
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._silent(error) from error

    def _silent(self, error: Exception) -> NoAnswer:
        return NoAnswer(
            f"{self._server.url} does not answer ({error or type(error).__name__}); {self._server.advice}"
        )

    def _read(self, url: str, status: int, raw: bytes) -> Any:
        """Return the JSON of an answer that is no refusal."""
        try:
            document = msgspec.json.decode(raw)
        except msgspec.DecodeError as error:
            raise CallFailed(f"{url} answered {status} with something that is not JSON") from error
        if status >= 400:
            problem = _problem(document, status)
            if status == HTTPStatus.UNAUTHORIZED:
                problem += " (STATEKEEP_TOKEN, or --token-file)"
            failure = NoAnswer if status == HTTPStatus.SERVICE_UNAVAILABLE else CallFailed
            raise failure(problem, status)
        return document

    def _within(self, path: str) -> str:
        """Return the path in our namespace, unless it names one or the server is to decide."""
        namespace = self._server.namespace
        if namespace is None or path.startswith("/v1/namespaces/"):
            return path
        return f"/v1/namespaces/{namespace}{path.removeprefix('/v1')}"


def _problem(document: Any, status: int) -> str:
    if not isinstance(document, dict):
        return f"the server answered {status}"
    lines = [str(document.get("detail") or document.get("title") or status)]
    lines += [
        f"  {error.get('pointer')}: {error.get('detail')}" for error in document.get("errors", [])
    ]
    return "\n".join(lines)


@asynccontextmanager
async def calling(server: Server) -> AsyncIterator[Caller]:
    """Hold a caller while the context is open."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    headers = {} if server.token is None else {"Authorization": f"Bearer {server.token}"}
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
        yield Caller(session, server)

"""Calling the event API from commands; every failure becomes one line that says what to do."""

from collections.abc import AsyncIterator, Callable
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

START_SERVER = "start one: statekeep dev FOLDER, or make run; or name another with --server"
CHECK_SERVER = "look at its pods, or name another with --server"


REACH = "statekeep.reach"
"""Under this key of a context's ``meta``, a front other than ``statekeep`` says how it reaches the API: called with
the context and what ``--server`` says, it returns the URL."""

TOKEN = "statekeep.token"  # noqa: S105  (a key, not a token)
"""Under this key of a context's ``meta`` is the bearer token to call with."""

NAMESPACE = "statekeep.namespace"
"""Under this key of a context's ``meta`` is the namespace that paths without one mean; else the server decides."""

Reach = Callable[[click.Context, str | None], str]


class CallFailed(StatekeepError):
    """The API refused, or did not answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """Of HTTP; ``None`` where there was no answer."""


def _server(context: click.Context, _: click.Parameter, value: str | None) -> str:
    given = value and value.rstrip("/")
    reach: Reach | None = context.meta.get(REACH)
    if reach is not None:
        return reach(context, given)
    if given is not None:
        return given
    running = workspace.running()
    return running.url if running else DEFAULT_SERVER


def _token(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value and value.strip():
        context.meta.setdefault(TOKEN, value.strip())


token_option = click.option(
    "--token",
    envvar="STATEKEEP_TOKEN",
    expose_value=False,
    callback=_token,
    help="A bearer token for the event API; better in STATEKEEP_TOKEN, which no list of processes shows.",
)


def server_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--server``, which the command is given, and ``--token``, which ``calling`` sends."""
    server = click.option(
        "--server",
        envvar="STATEKEEP_SERVER",
        callback=_server,
        help=f"The event API; default: the running `statekeep dev`, else {DEFAULT_SERVER}.",
    )
    return server(token_option(command))


class Caller:
    """One connection pool to one server."""

    def __init__(
        self, session: aiohttp.ClientSession, server: str, namespace: str | None, advice: str
    ) -> None:
        self._session = session
        self._server = server
        self._namespace = namespace
        self._advice = advice
        """What to do if nobody answers."""

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
        path = self._within(path)
        try:
            async with self._session.request(method, self._server + path, **options) as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CallFailed(
                f"{self._server} does not answer ({error or type(error).__name__}); {self._advice}"
            ) from error
        try:
            document = msgspec.json.decode(raw)
        except msgspec.DecodeError as error:
            raise CallFailed(
                f"{self._server}{path} answered {response.status} with something that is not JSON"
            ) from error
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise CallFailed(_problem(document, response.status), response.status)
        return document

    def _within(self, path: str) -> str:
        """Return the path in our namespace, unless it names one or the server is to decide."""
        if self._namespace is None or path.startswith("/v1/namespaces/"):
            return path
        return f"/v1/namespaces/{self._namespace}{path.removeprefix('/v1')}"


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
    """Hold a caller while the context is open; it speaks with the token and the namespace of the command."""
    context = click.get_current_context(silent=True)
    meta = {} if context is None else context.meta
    headers = {"Authorization": f"Bearer {meta[TOKEN]}"} if TOKEN in meta else {}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
        advice = CHECK_SERVER if REACH in meta else START_SERVER
        yield Caller(session, server, meta.get(NAMESPACE), advice)

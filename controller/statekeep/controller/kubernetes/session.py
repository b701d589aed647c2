"""A session with the API server.

Credentials are those that kopf finds, and are looked for again when the API server does not know them any more:
tokens of service accounts expire.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import aiohttp
import kopf
import yaml

from statekeep.controller.kubernetes.errors import ClusterUnavailable, PathUnknown
from statekeep.engine.json import JsonObject, JsonValue

TIMEOUT = aiohttp.ClientTimeout(total=60, connect=10)

Login = Callable[[], kopf.ConnectionInfo]


def place() -> str:
    """Return where ``login`` leads, as people call it.

    Raises:
        ClusterUnavailable: nowhere.
    """
    found = login()
    if kopf.login_with_service_account(settings=kopf.OperatorSettings()) is not None:
        return "the cluster of this pod"
    return f"the context {_context()} ({found.server})"


def _context() -> str:
    """Return the name of the context that kubeconfigs choose: the first of them that names one."""
    paths = (os.environ.get("KUBECONFIG") or "~/.kube/config").split(os.pathsep)
    files = (Path(path.strip()).expanduser() for path in paths if path.strip())
    configs = (yaml.safe_load(file.read_text(encoding="utf-8")) or {} for file in files)
    return next((str(one["current-context"]) for one in configs if "current-context" in one), "")


def login() -> kopf.ConnectionInfo:
    """Return the service account's credentials in a cluster, else those of the kubeconfig.

    Raises:
        ClusterUnavailable: there are neither.
    """
    settings = kopf.OperatorSettings()
    try:
        found = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(
            settings=settings
        )
    except (kopf.LoginError, OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ClusterUnavailable(f"the kubeconfig cannot be used: {_fault(error)}") from error
    if found is None:
        raise ClusterUnavailable("neither a service account nor a kubeconfig was found")
    return found


def _fault(error: Exception) -> str:
    """Return what is wrong with a kubeconfig."""
    match error:
        case OSError(filename=str() as name, strerror=str() as reason):
            return f"{name}: {reason}"
        case KeyError(args=(name,)):
            return f"it has no {name}"
        case yaml.YAMLError() | TypeError():
            return "it is not the YAML of one"
        case _:
            return str(error) or type(error).__name__


class Session:
    """Sends requests; any number at a time."""

    def __init__(self, login: Login, *, agent: str) -> None:
        self._login = login
        self._agent = agent
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        """Close it; requests in flight end first."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.retire()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: JsonValue = None,
        kind: str = "application/json",
        accept: str = "application/json",
    ) -> tuple[int, JsonObject]:
        """Send one request; log in anew, once, where the credentials are not known any more.

        Raises:
            ClusterUnavailable: no answer, or none that is JSON.
            PathUnknown: the API server serves nothing there.
        """
        headers = {"Accept": accept} | ({} if body is None else {"Content-Type": kind})
        data = None if body is None else json.dumps(body)
        for is_last in (False, True):
            connection = await self._connected()
            async with (
                _translated(),
                connection.used() as session,
                session.request(
                    method,
                    connection.server + path,
                    params=params,
                    data=data,
                    headers=headers,
                ) as response,
            ):
                if response.status != HTTPStatus.UNAUTHORIZED or is_last:
                    return response.status, _document(response, await response.text())
            if self._connection is connection:
                await self.close()
        raise AssertionError("the second attempt returns")

    async def _connected(self) -> "_Connection":
        async with self._connecting:
            if self._connection is None:
                info = await asyncio.to_thread(self._login)
                self._connection = _Connection(info, self._agent)
            return self._connection


class _Connection:
    """A session under one set of credentials; given up, it lasts until its last request has ended."""

    def __init__(self, info: kopf.ConnectionInfo, agent: str) -> None:
        self.server = info.server.rstrip("/")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=info.as_ssl_context()),
            headers=info.as_http_headers() | {"User-Agent": agent},
            timeout=TIMEOUT,
            proxy=info.proxy_url,
            trust_env=info.trust_env,
        )
        self._in_flight = 0
        self._retired = False

    @asynccontextmanager
    async def used(self) -> AsyncIterator[aiohttp.ClientSession]:
        self._in_flight += 1
        try:
            yield self._session
        finally:
            self._in_flight -= 1
            await self._close_if_done()

    async def retire(self) -> None:
        self._retired = True
        await self._close_if_done()

    async def _close_if_done(self) -> None:
        if self._retired and self._in_flight == 0:
            await self._session.close()


def _document(response: aiohttp.ClientResponse, text: str) -> JsonObject:
    """Return the object that an answer holds; where it is of no use, an empty one."""
    try:
        value = json.loads(text)
    except ValueError as error:
        # A path of no resource has no Status to say so.
        kind = PathUnknown if response.status == HTTPStatus.NOT_FOUND else ClusterUnavailable
        why = (
            f"the API server answered {response.status}: {text.strip()[:200] or 'it says no more'}"
        )
        raise kind(why) from error
    return value if isinstance(value, dict) else {}


def expect(status: int, value: JsonObject) -> JsonObject:
    """Return the value of an answer that is no refusal.

    Raises:
        ClusterUnavailable: it is one.
    """
    if status >= HTTPStatus.BAD_REQUEST:
        raise ClusterUnavailable(f"the API server answered {status}: {message(value)}")
    return value


def message(value: JsonObject) -> str:
    """Return what a refusal says."""
    return str(value.get("message") or "it says no more")[:500]


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise ClusterUnavailable(f"the API server did not answer: {_silence(error)}") from error


def _silence(error: Exception) -> str:
    """Return why there was no answer."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"the certificate of {error.host}:{error.port} is not accepted: {error.certificate_error}"
        case aiohttp.ClientConnectorError():
            number = error.os_error.errno
            reason = os.strerror(number) if number and number > 0 else str(error.os_error)
            return f"{error.host}:{error.port}: {reason}"
        case TimeoutError():
            return "it took too long"
        case _:
            return str(error) or type(error).__name__

"""The API server, as far as turns need it: read, write a status, post an Event.

Credentials are those that kopf finds, and are looked for again when the API server does not know them any more:
tokens of service accounts expire.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import cast

import aiohttp
import kopf

from statekeep.controller.operator.errors import ClusterUnavailable, StatusRefused
from statekeep.controller.operator.resource import (
    API_VERSION,
    GROUP,
    PLURAL,
    Key,
    Resource,
    read_resource,
)
from statekeep.controller.operator.settings import FIELD_MANAGER
from statekeep.engine.ids import Namespace
from statekeep.engine.json import JsonObject, JsonValue

TIMEOUT = aiohttp.ClientTimeout(total=60, connect=10)

PAGE = 20
"""Objects of one answer to a list; each may be more than 1 MB."""

METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

Login = Callable[[], kopf.ConnectionInfo]


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
    except (kopf.LoginError, OSError, KeyError, ValueError) as error:
        raise ClusterUnavailable(f"the kubeconfig cannot be used: {error!r}") from error
    if found is None:
        raise ClusterUnavailable("neither a service account nor a kubeconfig was found")
    return found


class Cluster:
    """A session with the API server."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._session: aiohttp.ClientSession | None = None
        self._server = ""

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def find(self, key: Key) -> Resource | None:
        """Return an object as it is now, or ``None``."""
        status, value = await self._ask("GET", _path(key.namespace, key.name))
        if status == HTTPStatus.NOT_FOUND:
            return None
        return read_resource(_expect(status, value))

    async def find_all(self, namespaces: Sequence[Namespace]) -> Sequence[Resource]:
        """Return every object in the namespaces, or everywhere where there are none named."""
        return [one async for one in self._listed(namespaces, "application/json")]

    async def revisions(self, namespaces: Sequence[Namespace]) -> Mapping[Key, str]:
        """Return the revision of every object; definitions stay where they are."""
        return {one.key: one.revision async for one in self._listed(namespaces, METADATA_ONLY)}

    async def _listed(
        self, namespaces: Sequence[Namespace], accept: str
    ) -> AsyncIterator[Resource]:
        for namespace in namespaces or (None,):
            params = {"limit": str(PAGE)}
            while True:
                path = _path(namespace)
                page = _expect(*await self._ask("GET", path, params=params, accept=accept))
                items, metadata = page.get("items"), page.get("metadata")
                for item in items if isinstance(items, list) else ():
                    yield read_resource(cast(JsonObject, item))
                after = metadata.get("continue") if isinstance(metadata, dict) else None
                if not after:
                    break
                params["continue"] = str(after)

    async def check(self, namespaces: Sequence[Namespace]) -> None:
        """Return if the API server serves our objects.

        Raises:
            ClusterUnavailable: it does not, or does not answer.
        """
        for namespace in namespaces or (None,):
            _expect(*await self._ask("GET", _path(namespace), params={"limit": "1"}))

    async def write_status(self, resource: Resource, status: JsonObject) -> Resource:
        """Replace the whole status of an object as it was read; return it as it is now.

        Raises:
            StatusRefused: the object has changed since, or went.
        """
        patch: JsonValue = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": resource.revision},
            {"op": "add", "path": "/status", "value": status},
        ]
        code, value = await self._ask(
            "PATCH",
            _path(resource.key.namespace, resource.key.name, "status"),
            params={"fieldManager": FIELD_MANAGER},
            body=patch,
            kind="application/json-patch+json",
        )
        if code in (
            HTTPStatus.NOT_FOUND,
            HTTPStatus.CONFLICT,
            HTTPStatus.UNPROCESSABLE_ENTITY,
        ):
            raise StatusRefused(f"{resource.key}: {_message(value)}")
        return read_resource(_expect(code, value))

    async def post_event(self, namespace: Namespace, event: JsonObject) -> None:
        """Create a Kubernetes Event."""
        path = f"/api/v1/namespaces/{namespace}/events"
        _expect(*await self._ask("POST", path, body=event))

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: JsonValue = None,
        kind: str = "application/json",
        accept: str = "application/json",
    ) -> tuple[int, JsonObject]:
        """Send one request; log in anew, once, where the credentials are not known any more."""
        headers = {"Accept": accept} | ({} if body is None else {"Content-Type": kind})
        data = None if body is None else json.dumps(body)
        for is_last in (False, True):
            async with (
                _translated(),
                (await self._connected()).request(
                    method, self._server + path, params=params, data=data, headers=headers
                ) as response,
            ):
                if response.status != HTTPStatus.UNAUTHORIZED or is_last:
                    value = await response.json(content_type=None)
                    return response.status, value if isinstance(value, dict) else {}
            await self.close()
        raise AssertionError("the second attempt returns")

    async def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            info = await asyncio.to_thread(self._login)
            self._server = info.server.rstrip("/")
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=info.as_ssl_context()),
                headers=info.as_http_headers() | {"User-Agent": FIELD_MANAGER},
                timeout=TIMEOUT,
                proxy=info.proxy_url,
                trust_env=info.trust_env,
            )
        return self._session


def _path(namespace: Namespace | None, *rest: str) -> str:
    within = "" if namespace is None else f"/namespaces/{namespace}"
    return "/".join([f"/apis/{GROUP}/{API_VERSION}{within}/{PLURAL}", *rest])


def _expect(status: int, value: JsonObject) -> JsonObject:
    if status >= HTTPStatus.BAD_REQUEST:
        raise ClusterUnavailable(f"the API server answered {status}: {_message(value)}")
    return value


def _message(value: JsonObject) -> str:
    return str(value.get("message") or "it says no more")[:500]


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise ClusterUnavailable(f"the API server did not answer: {error!r}") from error

"""The API server, as far as turns need it: read, write a status, post an Event."""

from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from statekeep.controller.kubernetes.errors import ClusterUnavailable, PathUnknown
from statekeep.controller.kubernetes.session import Login, Session, expect, message
from statekeep.controller.operator.errors import StatusRefused
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

PAGE = 20
"""Objects of one answer to a list; each may be more than 1 MB."""

METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


UNKNOWN = "the cluster does not know MachineVersions: apply crds/machineversions.yaml, or install the chart"


class Cluster:
    """Asks the API server about our objects."""

    def __init__(self, login: Login) -> None:
        self._session = Session(login, agent=FIELD_MANAGER)

    async def close(self) -> None:
        """Close the session."""
        await self._session.close()

    async def find(self, key: Key) -> Resource | None:
        """Return an object as it is now, or ``None``."""
        status, value = await self._ask("GET", _path(key.namespace, key.name))
        if status == HTTPStatus.NOT_FOUND:
            return None
        return read_resource(expect(status, value))

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
                page = expect(*await self._ask("GET", path, params=params, accept=accept))
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
            expect(*await self._ask("GET", _path(namespace), params={"limit": "1"}))

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
        if _is_outdated(code, value):
            raise StatusRefused(f"{resource.key}: {message(value)}")
        return read_resource(expect(code, value))

    async def post_event(self, namespace: Namespace, event: JsonObject) -> None:
        """Create a Kubernetes Event."""
        path = f"/api/v1/namespaces/{namespace}/events"
        expect(*await self._session.ask("POST", path, body=event))

    async def _ask(self, method: str, path: str, **options: Any) -> tuple[int, JsonObject]:
        """Send a request about our objects; those of an unknown kind may well be there, so they are not gone."""
        try:
            return await self._session.ask(method, path, **options)
        except PathUnknown as error:
            raise ClusterUnavailable(UNKNOWN) from error


def _is_outdated(code: int, value: JsonObject) -> bool:
    """Return whether a write was refused for the revision it names; a status that the schema refuses is our mistake."""
    if code == HTTPStatus.UNPROCESSABLE_ENTITY:
        return " is invalid: " not in message(value)
    return code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


def _path(namespace: Namespace | None, *rest: str) -> str:
    within = "" if namespace is None else f"/namespaces/{namespace}"
    return "/".join([f"/apis/{GROUP}/{API_VERSION}{within}/{PLURAL}", *rest])

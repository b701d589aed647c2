"""Every route of the API in one table: what routing, authorization and the OpenAPI document are made of."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from statekeep.controller.api import actors, changes, events, versions

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One call, under ``/v1`` for the caller's own namespace and under ``/v1/namespaces/{namespace}``."""

    method: str
    path: str
    """Behind the prefix, as aiohttp's router reads it."""

    handler: Handler

    verb: str
    """What it does, in the words of Kubernetes RBAC."""

    resource: str
    """What it does it to: a resource of the API group ``statekeep.io``, with its subresource; most are virtual."""


ROUTES = (
    Route("GET", "/actors", actors.index, "list", "actors"),
    Route("POST", "/actors", actors.spawn, "create", "actors"),
    Route("GET", "/actors/{id}", actors.read, "get", "actors"),
    Route("GET", "/actors/{id}/events", actors.history, "get", "actors/events"),
    Route("POST", "/actors/{id}/events", events.send, "create", "actors/events"),
    Route("GET", "/actors/{id}/decisions", actors.decisions, "get", "actors/decisions"),
    Route("GET", "/actors/{id}/snapshot", actors.snapshot, "get", "actors/snapshot"),
    Route("POST", "/events", events.send_many, "create", "actors/events"),
    Route("GET", "/changes", changes.follow, "watch", "actors"),
    Route("GET", "/versions", versions.index, "list", "machineversions"),
    Route("GET", "/versions/{name}", versions.read, "get", "machineversions"),
    Route("POST", "/previews", versions.preview, "create", "previews"),
    Route("GET", "/deployments/{id}/decisions", versions.decisions, "get", "deployments/decisions"),
)

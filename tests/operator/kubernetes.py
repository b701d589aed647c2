"""An API server in a thread of its own: kmock's discovery and HTTP, our objects, and the rights that an operator needs.

It is stricter than kmock's own emulator: watches go on from a revision, a status is written against the revision that
was read and through its subresource alone, and what the operator's role does not allow is refused and remembered.
People may set annotations, by a merge patch.
"""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs
import kmock
import yaml
from aiohttp import web
from tests.operator.objects import Name, Object, Objects, Refused
from tests.operator.patience import PATIENCE_S

MACHINE_VERSIONS = "statekeep.io/v1alpha1/machineversions"
EVENTS = "v1/events"

MAX_EVENT_MESSAGE_BYTES = 1024

REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    422: "Invalid",
}

PERSON = "person"
"""The token of somebody who may edit; what is refused to them is not held against the operator."""

T = TypeVar("T")

_numbers = itertools.count(1)


@attrs.define(kw_only=True)
class _Server(kmock.KubernetesScaffold):
    """Answers the requests of an operator."""

    objects: Objects = attrs.field(factory=Objects)
    events: list[Object] = attrs.field(factory=list)
    refused: list[str] = attrs.field(factory=list)
    token: str = "secret"
    broken: bool = False
    anonymous: bool = False
    before_write: Callable[[], Coroutine[Any, Any, object]] | None = None
    loses: Callable[[Name, Object], bool] | None = None
    _answers: dict[Any, Callable[[Any], Coroutine[Any, Any, Object]]] = attrs.field(
        factory=dict, init=False
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        verbs = {"get", "list", "watch"}
        self._serve(MACHINE_VERSIONS, "MachineVersion", verbs, namespaced=True)
        self._serve(EVENTS, "Event", {"create"}, namespaced=True)
        # kopf waits for ever unless these two can be discovered.
        self._serve("v1/namespaces", "Namespace", verbs, namespaced=False)
        definitions = "apiextensions.k8s.io/v1/customresourcedefinitions"
        self._serve(definitions, "CustomResourceDefinition", verbs, namespaced=False)
        ours = kmock.resource(MACHINE_VERSIONS)
        self.fallback[ours, kmock.action.WATCH] << self._watch
        # Answered without kmock's reactions, whose cost grows with the requests that were made before.
        self._answers = {
            (ours, kmock.action.LIST): self._list,
            (ours, kmock.action.FETCH): self._fetch,
            (ours, kmock.action.UPDATE): self._update,
            (kmock.resource(EVENTS), kmock.action.CREATE): self._event,
        }

    def _serve(self, name: str, kind: str, verbs: set[str], *, namespaced: bool) -> None:
        self.resources[name] = kmock.ResourceInfo(
            kind=kind,
            namespaced=namespaced,
            singular=kind.lower(),
            verbs=verbs,
            subresources={"status"} if name == MACHINE_VERSIONS else set(),
        )

    async def _handle(self, request: Any) -> Any:
        try:
            bearer = request.headers.get("Authorization")
            if bearer != f"Bearer {self.token}" and not self._is_person(request):
                raise Refused(401, "Unauthorized")
            if self.broken:
                raise Refused(500, "out of order")
            answer = self._answers.get((request.resource, request.action))
            if request.url.path == f"/api/v1/namespaces/{request.namespace}":
                answer = self._namespace
            if answer is not None:
                return web.json_response(await answer(request))
            return await super()._handle(request)
        except Refused as refusal:
            if refusal.status in (403, 422) and not self._is_person(request):
                self.refused.append(f"{request.method} {request.url.path}: {refusal}")
            reason = REASONS.get(refusal.status, "InternalError")
            raise kmock.KubernetesError(
                status=refusal.status, reason=reason, message=str(refusal)
            ) from refusal
        except NotImplementedError as unknown:
            self.refused.append(f"{request.method} {request.url.path}")
            raise kmock.KubernetesError(status=403, message="forbidden") from unknown

    async def _list(self, request: Any) -> Object:
        return {
            "apiVersion": "statekeep.io/v1alpha1",
            "kind": "MachineVersionList",
            "metadata": {"resourceVersion": self.objects.revision},
            "items": self.objects.find_all(request.namespace),
        }

    async def _watch(self, request: Any) -> AsyncIterator[Any]:
        yield b""  # sends the headers
        since = int(request.params.get("resourceVersion") or 0)
        async for event in self.objects.watch(request.namespace, since):
            yield event

    async def _fetch(self, request: Any) -> Object:
        return self.objects.find((request.namespace, request.name))

    async def _namespace(self, request: Any) -> Object:
        """Return any namespace; kubectl looks whether it is that what is missing."""
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": request.namespace}}

    async def _update(self, request: Any) -> Object:
        """Take a JSON patch of a status, guarded by the revision; an operator may write nothing else."""
        name = (request.namespace, request.name)
        if self._is_person(request):
            return await self._annotate(request)
        match request.data:
            case [
                {"op": "test", "path": "/metadata/resourceVersion", "value": revision},
                {"op": "add", "path": "/status", "value": status},
            ] if request.subresource == "status":
                if self.loses is not None and self.loses(name, status):
                    raise Refused(500, "out of order")
                if self.before_write is not None:
                    interrupt, self.before_write = self.before_write, None
                    await interrupt()
                if self.objects.find(name)["metadata"]["resourceVersion"] != revision:
                    raise Refused(409, "the object has been modified")
                return await self.objects.write_status(name, status)
            case _:
                raise Refused(403, "only a status can be patched")

    def _is_person(self, request: Any) -> bool:
        bearer = request.headers.get("Authorization")
        return bool(bearer == f"Bearer {PERSON}" or (bearer is None and self.anonymous))

    async def _annotate(self, request: Any) -> Object:
        """Take a merge patch of annotations, guarded by the revision if it names one."""
        name = (request.namespace, request.name)
        if self.before_write is not None:
            interrupt, self.before_write = self.before_write, None
            await interrupt()
        old = self.objects.find(name)
        metadata = request.data["metadata"]
        revision = old["metadata"]["resourceVersion"]
        if metadata.get("resourceVersion", revision) != revision:
            raise Refused(409, "the object has been modified; please apply your changes to it")
        annotations = old["metadata"]["annotations"] | metadata["annotations"]
        manifest = old | {"metadata": old["metadata"] | {"annotations": annotations}}
        return await self.objects.apply(manifest, request.params.get("fieldManager", "unknown"))

    async def _event(self, request: Any) -> Object:
        event: Object = request.data
        if len(event["message"].encode()) > MAX_EVENT_MESSAGE_BYTES:
            raise Refused(422, "message: can have at most 1024 characters")
        self.events.append(event)
        return event


class Kubernetes:
    """The API server, for tests that speak to it as people do with ``kubectl``."""

    def __init__(self) -> None:
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._started.wait(PATIENCE_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with _Server() as self._server, kmock.Server(self._server) as listening:
            self.url = str(listening.url).rstrip("/")
            self._started.set()
            await self._stop.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE_S)

    def namespaces(self, count: int) -> Sequence[str]:
        """Return names that nobody else uses; there is nothing to make."""
        return [f"story-{next(_numbers)}" for _ in range(count)]

    def scope(self, namespaces: Sequence[str]) -> Sequence[str]:
        """Return no arguments: an operator may look after everything here."""
        return ()

    def kubeconfig(
        self, path: Path, *, token: str | None = None, namespace: str | None = None
    ) -> Path:
        """Write the file that leads a client here: an operator unless a token says who else."""
        user = {"name": "u", "user": {"token": token or self._server.token}}
        place = {} if namespace is None else {"namespace": namespace}
        context = {"name": "c", "context": {"cluster": "k", "user": "u", **place}}
        cluster = {"name": "k", "cluster": {"server": self.url}}
        config = {
            "current-context": "c",
            "contexts": [context],
            "clusters": [cluster],
            "users": [user],
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def expire(self, path: Path) -> None:
        """Accept only a new token from now on, which the file has."""
        self._server.token += "-anew"
        self.kubeconfig(path)

    def admit_anonymous(self) -> None:
        """Take whoever says nothing for a person: kubectl keeps its credentials to itself without TLS."""
        self._server.anonymous = True

    def break_down(self, *, broken: bool) -> None:
        """Answer everything with an error, or no longer."""
        self._server.broken = broken

    def fall_silent(self, *, silent: bool) -> None:
        """Let no watch tell of anything for the time being."""
        self._do(self._server.objects.fall_silent(silent=silent))

    def apply_before_the_next_write(self, manifest: Object) -> None:
        """Let an edit come between the reading of an object and the writing of its status, or of its annotation."""
        self._server.before_write = lambda: self._server.objects.apply(manifest, "kubectl")

    def write_status_before_the_next_write(self, name: Name, status: Object) -> None:
        """Let the operator come between the reading of an object and the writing of its annotation."""
        self._server.before_write = lambda: self._server.objects.write_status(name, status)

    def lose_writes(self, loses: Callable[[Name, Object], bool] | None) -> None:
        """Ask this before every status that an operator writes whether it is lost, in the thread of the server."""
        self._server.loses = loses

    @property
    def refused(self) -> list[str]:
        """What an operator asked for and must not."""
        return self._server.refused

    def apply(self, manifest: Object, *, manager: str = "kubectl") -> Object:
        return self._do(self._server.objects.apply(manifest, manager))

    def write_status(self, name: Name, status: Object) -> Object:
        return self._do(self._server.objects.write_status(name, status))

    def delete(self, name: Name) -> None:
        self._do(self._server.objects.delete(name))

    def mark_deleted(self, name: Name) -> None:
        """Delete an object that somebody's finalizer holds."""
        self._do(self._server.objects.mark_deleted(name))

    def get(self, name: Name) -> Object:
        return self._server.objects.find(name)

    def names(self, namespace: str) -> list[Name]:
        """Return the names of the objects in a namespace."""
        found = self._server.objects.find_all(namespace)
        return [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in found]

    def events(self, name: Name) -> list[Object]:
        """Return the Events of an object, oldest first."""
        return [
            event
            for event in self._server.events
            if (event["involvedObject"]["namespace"], event["involvedObject"]["name"]) == name
        ]

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

"""A ``MachineVersion`` as the API server holds it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION
from statekeep.controller.status import conditions_of
from statekeep.engine.ids import MachineName, Namespace, VersionName
from statekeep.engine.json import JsonObject, JsonValue

GROUP = "statekeep.io"
API_VERSION = "v1alpha1"
PLURAL = "machineversions"

_METADATA = ("name", "namespace", "uid", "generation", "annotations")
"""What of the metadata a manifest is read from; the rest is the API server's own."""


class Key(NamedTuple):
    """The name of an object."""

    namespace: Namespace
    name: VersionName

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Resource:
    """One object at one moment."""

    key: Key
    uid: str
    revision: str
    """Its ``resourceVersion``: opaque, only ever compared for equality."""

    parent: VersionName | None
    """As its spec names it, valid or not."""

    machine: MachineName | None
    """As its spec says, which a root need not; else as its status does."""

    generation: int | None
    deleting: bool
    status: JsonObject
    document: JsonObject
    """What the author declared, with the metadata that the API server vouches for."""

    approver: str | None
    """The field manager that set the approval, if ``managedFields`` tells, or several of one second."""


def read_resource(value: JsonObject) -> Resource:
    """Return the object that the API server sent."""
    metadata = _object(value.get("metadata"))
    spec = _object(value.get("spec"))
    parent = spec.get("parentId")
    generation = metadata.get("generation")
    return Resource(
        key=Key(Namespace(str(metadata.get("namespace"))), VersionName(str(metadata.get("name")))),
        uid=str(metadata.get("uid")),
        revision=str(metadata.get("resourceVersion")),
        parent=VersionName(parent) if isinstance(parent, str) else None,
        machine=_machine(metadata, spec, _object(value.get("status"))),
        generation=generation if isinstance(generation, int) else None,
        deleting="deletionTimestamp" in metadata,
        status=_object(value.get("status")),
        document={
            **{name: value[name] for name in ("apiVersion", "kind", "spec") if name in value},
            "metadata": {name: metadata[name] for name in _METADATA if name in metadata},
        },
        approver=_approver(metadata),
    )


def ready_reason(status: JsonObject) -> str | None:
    """Return the reason of ``Ready``, or ``None`` where there is no such condition yet."""
    ready = conditions_of(status).get("Ready")
    return None if ready is None else str(ready.get("reason"))


def error_codes(status: JsonObject) -> frozenset[str]:
    """Return the codes of the errors that a status lists."""
    return frozenset(str(error.get("code")) for error in _objects(status.get("errors")))


def _machine(metadata: JsonObject, spec: JsonObject, status: JsonObject) -> MachineName | None:
    own = metadata.get("name") if "parentId" not in spec else None
    for name in (spec.get("machine"), own, status.get("machine")):
        if isinstance(name, str):
            return MachineName(name)
    return None


def _approver(metadata: JsonObject) -> str | None:
    """Return who set the approval last; all of them, where several did so within one second."""
    owners = [
        (str(entry.get("time", "")), str(entry.get("manager", "")))
        for entry in _objects(metadata.get("managedFields"))
        if f"f:{APPROVE_ANNOTATION}" in _annotations(entry)
    ]
    last = max((time for time, _ in owners), default="")
    return ", ".join(sorted({name for time, name in owners if time == last and name})) or None


def _annotations(entry: JsonObject) -> JsonObject:
    match entry:
        case {"fieldsV1": {"f:metadata": {"f:annotations": dict() as annotations}}}:
            return annotations
        case _:
            return {}


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _objects(value: JsonValue) -> Iterator[JsonObject]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))

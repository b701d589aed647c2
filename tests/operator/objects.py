"""What an API server does with objects: versions, generations, schema, defaults, status apart, a log to watch."""

import asyncio
import copy
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import yaml

Object = dict[str, Any]
Name = tuple[str, str]

CRD = Path(__file__).parents[2] / "crds" / "machineversions.yaml"

MAX_OBJECT_BYTES = 1_572_864
"""What etcd takes."""

MAX_ANNOTATIONS_BYTES = 262_144


class Refused(Exception):
    """A request that the API server answers with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _closed_schema() -> Any:
    [version] = yaml.safe_load(CRD.read_text())["spec"]["versions"]
    return _closed(version["schema"]["openAPIV3Schema"])


def _closed(node: Any) -> Any:
    """Return the schema such that a field that it does not name is an error."""
    if isinstance(node, dict):
        node = {key: _closed(value) for key, value in node.items()}
        if isinstance(node.get("properties"), dict) and node.get("type") == "object":
            open_ = node.get("x-kubernetes-preserve-unknown-fields")
            return node if open_ else node | {"additionalProperties": False}
        return node
    return [_closed(item) for item in node] if isinstance(node, list) else node


def _defaulted(schema: Any, value: Any) -> Any:
    if not isinstance(value, dict) or not isinstance(schema.get("properties"), dict):
        return value
    value = dict(value)
    for name, field in schema["properties"].items():
        if name not in value and "default" in field:
            value[name] = copy.deepcopy(field["default"])
        if name in value:
            value[name] = _defaulted(field, value[name])
    return value


class Objects:
    """The MachineVersions, as etcd and the API server keep them."""

    def __init__(self) -> None:
        self._schema = _closed_schema()
        self._body = jsonschema.Draft202012Validator(
            self._schema | {"properties": self._schema["properties"] | {"metadata": {}}}
        )
        self._objects: dict[Name, Object] = {}
        self._log: list[tuple[int, str, Object]] = []
        self._revision = 100
        self._changed = asyncio.Condition()
        self._silent = False

    @property
    def revision(self) -> str:
        return str(self._revision)

    def find(self, name: Name) -> Object:
        if name not in self._objects:
            raise Refused(404, f"machineversions {name[1]} not found")
        return self._objects[name]

    def find_all(self, namespace: str | None) -> list[Object]:
        return [one for (ns, _), one in self._objects.items() if namespace in (None, ns)]

    async def apply(self, manifest: Object, manager: str) -> Object:
        """Create or edit an object as ``kubectl apply`` does."""
        metadata = manifest["metadata"]
        name = (metadata["namespace"], metadata["name"])
        old = self._objects.get(name)
        annotations = dict(metadata.get("annotations") or {})
        new: Object = {
            "apiVersion": manifest["apiVersion"],
            "kind": manifest["kind"],
            "metadata": {"namespace": name[0], "name": name[1], "annotations": annotations},
            "spec": copy.deepcopy(manifest["spec"]),
        }
        if old is not None:
            new["status"] = old["status"]
        new["metadata"]["managedFields"] = _managed(old, annotations, manager)
        return await self._store(name, _defaulted(self._schema, new))

    async def write_status(self, name: Name, status: Object) -> Object:
        """Replace the status, and nothing else."""
        return await self._store(name, self.find(name) | {"status": status})

    async def mark_deleted(self, name: Name) -> Object:
        """Do what a deletion does while somebody's finalizer holds the object."""
        one = self.find(name)
        marked = one["metadata"] | {"deletionTimestamp": _now(), "finalizers": ["example.com/f"]}
        return await self._store(name, one | {"metadata": marked})

    async def delete(self, name: Name) -> None:
        gone = self.find(name)
        del self._objects[name]
        await self._tell("DELETED", self._versioned(gone))

    async def watch(self, namespace: str | None, since: int) -> AsyncIterator[Object]:
        """Yield what happened after a revision, and what happens from now on."""
        position = 0
        while True:
            async with self._changed:
                while self._silent or position >= len(self._log):
                    await self._changed.wait()
                batch, position = self._log[position:], len(self._log)
            for revision, kind, one in batch:
                if revision > since and namespace in (None, one["metadata"]["namespace"]):
                    yield {"type": kind, "object": one}

    async def fall_silent(self, *, silent: bool) -> None:
        """Hold back what watches would tell, or let it go."""
        async with self._changed:
            self._silent = silent
            self._changed.notify_all()

    async def _store(self, name: Name, new: Object) -> Object:
        old = self._objects.get(name)
        self._check(new)
        before = {} if old is None else old["metadata"]
        deleted = "deletionTimestamp" in new["metadata"] and "deletionTimestamp" not in before
        edited = old is None or old["spec"] != new["spec"] or deleted
        new["metadata"] = new["metadata"] | {
            "uid": before.get("uid") or str(uuid.uuid4()),
            "creationTimestamp": before.get("creationTimestamp") or _now(),
            **{
                name: before[name] for name in ("deletionTimestamp", "finalizers") if name in before
            },
            "generation": before.get("generation", 0) + edited,
        }
        if old is not None and _without_revision(old) == _without_revision(new):
            return old
        self._objects[name] = new = self._versioned(new)
        await self._tell("ADDED" if old is None else "MODIFIED", new)
        return new

    def _check(self, new: Object) -> None:
        annotations = new["metadata"].get("annotations") or {}
        if sum(len(key) + len(value) for key, value in annotations.items()) > MAX_ANNOTATIONS_BYTES:
            raise Refused(422, "metadata.annotations: Too long")
        if len(json.dumps(new, separators=(",", ":"))) > MAX_OBJECT_BYTES:
            raise Refused(500, "etcdserver: request is too large")
        error = jsonschema.exceptions.best_match(self._body.iter_errors(new))
        if error is not None:
            raise Refused(422, f"{error.json_path}: {error.message[:200]}")

    def _versioned(self, one: Object) -> Object:
        self._revision += 1
        return one | {"metadata": one["metadata"] | {"resourceVersion": self.revision}}

    async def _tell(self, kind: str, one: Object) -> None:
        async with self._changed:
            self._log.append((self._revision, kind, one))
            self._changed.notify_all()


def _without_revision(one: Object) -> Object:
    metadata = {k: v for k, v in one["metadata"].items() if k not in ("resourceVersion",)}
    return one | {"metadata": metadata}


def _managed(old: Object | None, annotations: dict[str, str], manager: str) -> list[Object]:
    """Return who owns which annotation: whoever set its value."""
    owners: dict[str, dict[str, Object]] = {}
    before = {} if old is None else old["metadata"]["annotations"]
    for entry in [] if old is None else old["metadata"]["managedFields"]:
        for field in entry["fieldsV1"]["f:metadata"]["f:annotations"]:
            if before[field[2:]] == annotations.get(field[2:]):
                owners.setdefault(entry["manager"], {})[field] = {}
    for key, value in annotations.items():
        if before.get(key) != value:
            owners.setdefault(manager, {})[f"f:{key}"] = {}
    return [
        {
            "manager": owner,
            "operation": "Apply",
            "time": "2026-01-02T03:04:05Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:metadata": {"f:annotations": fields}},
        }
        for owner, fields in owners.items()
    ]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""From a JSON value, out of a file or from the API server, to a ``Manifest``.

kubectl, like every reader of YAML 1.1, takes the key ``on`` for a boolean unless it is quoted, and sends it as
``"true"``. No state node has such a field, so ``parse`` gives it its ``on`` back. Names of states and events that were
lost in the same way (``yes``, ``no``, ``on``, ``off``) cannot be told apart any more; in files they get a warning.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, cast

from statekeep.controller.manifest.codes import Code
from statekeep.controller.manifest.errors import ManifestInvalid
from statekeep.controller.manifest.findings import quoted, schema_findings
from statekeep.controller.manifest.limits import MAX_DEPTH, MAX_FINDINGS, MAX_INTEGER, MAX_KEY
from statekeep.controller.manifest.manifest import Approval, Manifest
from statekeep.engine.finding import Finding, escape
from statekeep.engine.ids import MachineName, Namespace, VersionName
from statekeep.engine.json import JsonObject, JsonValue
from statekeep.engine.routing.policy import (
    CompletedActors,
    MigrationPolicy,
    UnhandledEvents,
    UnseenMoves,
)

# From the leaf to the root, so that a step down costs the same whatever the length of the keys above.
Path = tuple["Path", str] | tuple[()]

_SURROGATE = re.compile("[\ud800-\udfff]")


def parse(value: JsonValue) -> Manifest:
    """Return the manifest that a document declares; the definition is only known to be an object.

    Raises:
        ManifestInvalid: with the findings in the order of their pointers, at most ``MAX_FINDINGS`` of them.
    """
    unfit = list(islice(_unfit(value), MAX_FINDINGS))
    too_deep = any(finding.code == Code.YAML_TOO_DEEP for finding in unfit)
    findings = unfit if too_deep else [*unfit, *_spec_findings(value)]
    if findings:
        findings.sort(key=lambda finding: finding.pointer)
        raise ManifestInvalid([_printable(finding) for finding in findings[:MAX_FINDINGS]])
    return _manifest(cast(dict[str, Any], value))


def _spec_findings(value: JsonValue) -> list[Finding]:
    found = list(islice(schema_findings(value), MAX_FINDINGS))
    match value:
        case {"metadata": {"uid": _}}:
            # The API server vouches for its metadata, also for fields that a later release of it may add.
            found = [
                f
                for f in found
                if f.code != Code.FIELD_UNKNOWN or not f.pointer.startswith("/metadata/")
            ]
    match value:
        case {"metadata": {"name": str() as name}, "spec": {"parentId": str() as parent}} if (
            name == parent
        ):
            message = f"{name} is its own parent: name the version before it, or leave parentId out for a root"
            found.append(Finding(Code.PARENT_SELF, "/spec/parentId", message))
        case {"spec": {"historyPath": [_, *_], **others}} if "parentId" not in others:
            message = "a history path says who comes over from a parent: name the parentId too"
            found.append(Finding(Code.PATH_WITHOUT_PARENT, "/spec/historyPath", message))
    return found


def _unfit(value: JsonValue) -> Iterator[Finding]:
    """Yield what no JSON value of ours may hold, without recursion: this runs before anything recursive does."""
    pending: list[tuple[Path, int, JsonValue]] = [((), 0, value)]
    while pending:
        path, depth, item = pending.pop()
        if depth > MAX_DEPTH:
            message = f"more than {MAX_DEPTH} levels of nesting: make the document flatter"
            yield Finding(Code.YAML_TOO_DEEP, _pointer(path), message)
            return
        match item:
            case dict():
                yield from _unfit_keys(path, item)
                pending.extend(
                    ((path, key), depth + 1, child)
                    for key, child in item.items()
                    if len(key) <= MAX_KEY
                )
            case list():
                pending.extend(
                    ((path, str(index)), depth + 1, child) for index, child in enumerate(item)
                )
            case str():
                yield from _unfit_text(path, item)
            case int() | float():
                yield from _unfit_number(path, item)


def _unfit_keys(path: Path, item: JsonObject) -> Iterator[Finding]:
    for key in item:
        if len(key) > MAX_KEY:
            message = f"the key {quoted(key)} has more than {MAX_KEY} characters: shorten it"
            yield Finding(Code.YAML_KEY, _pointer(path), message)
        else:
            yield from _unfit_text((path, key), key)


def _unfit_number(path: Path, number: int | float) -> Iterator[Finding]:
    if isinstance(number, float) and not math.isfinite(number):
        message = "JSON has no infinity and no NaN: write a number or a string"
        yield Finding(Code.NUMBER_NOT_FINITE, _pointer(path), message)
    elif isinstance(number, int) and abs(number) > MAX_INTEGER:
        message = "an integer beyond 2^53 does not survive JSON: write it as a string, in quotes"
        yield Finding(Code.NUMBER_RANGE, _pointer(path), message)


def _unfit_text(path: Path, text: str) -> Iterator[Finding]:
    if "\0" in text:
        message = "the text holds a NUL, which Postgres cannot store: remove it"
        yield Finding(Code.TEXT_CHARACTER, _pointer(path), message)
    if _SURROGATE.search(text):
        message = "the text holds half of a surrogate pair, which is no character: write the whole character"
        yield Finding(Code.TEXT_CHARACTER, _pointer(path), message)


def _pointer(path: Path) -> str:
    tokens: list[str] = []
    while path:
        path, token = path
        tokens.append(f"/{escape(token)}")
    return "".join(reversed(tokens))


def _printable(finding: Finding) -> Finding:
    """Return the finding without the halves of surrogate pairs that a key may have brought in."""
    pointer, message = (
        text.encode("utf-8", "replace").decode() for text in (finding.pointer, finding.message)
    )
    return replace(finding, pointer=pointer, message=message)


def _manifest(value: dict[str, Any]) -> Manifest:
    metadata, spec = value["metadata"], value["spec"]
    path = spec.get("historyPath")
    return Manifest(
        name=VersionName(metadata["name"]),
        namespace=Namespace(metadata["namespace"]) if "namespace" in metadata else None,
        annotations=dict(metadata.get("annotations") or {}),
        generation=int(metadata["generation"]) if "generation" in metadata else None,
        machine=MachineName(spec["machine"]) if "machine" in spec else None,
        parent_id=VersionName(spec["parentId"]) if "parentId" in spec else None,
        history_path=None if path is None else tuple(path),
        approval=Approval(spec.get("approval", Approval.MANUAL)),
        migration=_policy(spec.get("migration", {})),
        definition=_with_on(spec["definition"]),
    )


def _policy(migration: dict[str, Any]) -> MigrationPolicy:
    default = MigrationPolicy()
    return MigrationPolicy(
        unhandled_events=UnhandledEvents(
            migration.get("unhandledEvents", default.unhandled_events)
        ),
        completed_actors=CompletedActors(
            migration.get("completedActors", default.completed_actors)
        ),
        unseen_moves=UnseenMoves(migration.get("unseenMoves", default.unseen_moves)),
    )


def _with_on(node: JsonObject) -> JsonObject:
    """Return a state node whose ``"true"`` is ``on`` again, and the same for the states below; all else is kept."""
    rename = "true" in node and "on" not in node
    mended = {("on" if rename and key == "true" else key): child for key, child in node.items()}
    states = mended.get("states")
    if isinstance(states, dict):
        mended["states"] = {
            name: _with_on(state) if isinstance(state, dict) else state
            for name, state in states.items()
        }
    return mended

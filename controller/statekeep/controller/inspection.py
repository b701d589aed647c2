"""What can be said of manifests and machines from their files alone: every problem, each with its place.

A document of ours is a manifest whatever else is wrong with it, and the statechart in it is looked at even then. Of the
other documents those that look like an XState machine are one; the rest are somebody else's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from statekeep.controller.manifest.codes import Code
from statekeep.controller.manifest.document import Document
from statekeep.controller.manifest.errors import ManifestInvalid
from statekeep.controller.manifest.folder import Folder, yaml_problems
from statekeep.controller.manifest.manifest import Manifest
from statekeep.controller.manifest.parse import parse
from statekeep.controller.manifest.problem import Problem
from statekeep.controller.manifest.schema import API_VERSION, KIND
from statekeep.engine.finding import Finding, Severity
from statekeep.engine.json import JsonObject, JsonValue
from statekeep.engine.routing.version import in_canonical_order
from statekeep.engine.statechart.limits import DEFAULT_LIMITS
from statekeep.engine.statechart.machine import Machine
from statekeep.engine.statechart.validation import examine

DEFINITION = "/spec/definition"
"""Where a manifest holds its definition."""

_NODE_MEMBERS = frozenset({"on", "always", "after", "invoke", "onDone", "type", "history"})

# Only readers of YAML 1.1 take this key for a boolean, and those of machines are not among them.


@dataclass(frozen=True, slots=True)
class Inspected:
    """One manifest, or one bare machine, and all that is wrong or surprising in it."""

    document: Document
    manifest: Manifest | None
    """``None`` for a bare machine, and for a manifest with errors or a name that another one has too."""

    kin: Manifest | None
    """What of a manifest matters to its family, even if other parts of it are wrong; its definition may be missing."""

    machine: Machine | None
    """``None`` if the definition has errors."""

    problems: tuple[Problem, ...]
    """Of the statechart; for a bare machine those of its YAML as well."""

    is_manifest: bool = True

    @property
    def name(self) -> str:
        """The name of the manifest, or the id of the bare machine; empty where there is none."""
        match self.document.value:
            case {"metadata": {"name": str() as name}} if self.is_manifest:
                return name
            case {"id": str() as name} if not self.is_manifest:
                return name
            case _:
                return ""


def subjects(folder: Folder) -> list[tuple[Document, Manifest | None, bool]]:
    """Return what there is to inspect: (document, manifest, whether it is one), in the order of the files."""
    listed: list[tuple[Document, Manifest | None, bool]] = [
        (source.document, source.manifest, True) for source in folder.sources
    ]
    listed += [(document, None, True) for document in folder.broken]
    listed += [(document, None, False) for document in folder.others if is_machine(document)]
    return listed


def inspect(document: Document, manifest: Manifest | None, *, is_manifest: bool) -> Inspected:
    """Look at the statechart of a document, whatever else has been found in it."""
    if not is_manifest:
        return _bare(document)
    kin = manifest or _kin(document.value)
    definition = manifest.definition if manifest else _definition(document.value)
    if definition is None:
        return Inspected(document, None, kin, None, ())
    examination = examine(in_canonical_order(definition), DEFAULT_LIMITS)
    findings = (found.under(DEFINITION) for found in examination.findings)
    problems = tuple(map(document.problem, findings))
    return Inspected(document, manifest, kin, examination.machine, problems)


def misread(one: Inspected) -> tuple[Problem, ...]:
    """Return the words of a manifest that kubectl reads as booleans.

    As errors: what the file declares is not what the cluster would get, so nothing that is found out about the one
    holds for the other.
    """
    if not one.is_manifest:
        return ()
    return tuple(
        replace(problem, severity=Severity.ERROR)
        for problem in yaml_problems(one.document)
        if problem.code == Code.YAML_AMBIGUOUS
    )


def is_machine(document: Document) -> bool:
    """Return whether a document that is not a manifest looks like an XState machine."""
    value = document.value
    if not isinstance(value, dict) or ("apiVersion" in value and "kind" in value):
        return False
    return (
        "states" in value
        or "initial" in value
        or ("id" in value and bool(_NODE_MEMBERS & {*value}))
    )


def is_strange(document: Document) -> bool:
    """Return whether a document is neither a manifest, nor a machine, nor another Kubernetes resource."""
    value = document.value
    return not is_machine(document) and not (
        isinstance(value, dict) and "apiVersion" in value and "kind" in value
    )


def strangeness(document: Document) -> Problem:
    """Return the warning that a document has not been looked at."""
    message = (
        f"neither a {KIND} (apiVersion: {API_VERSION}) nor an XState machine (id, initial, states): "
        "it was not looked at"
    )
    return document.problem(Finding(Code.NOT_A_MACHINE, "", message, Severity.WARNING))


def distinct(problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield problems without those that say again, of one place, what the manifest's reader said of it."""
    seen: set[tuple[str, str, int, str, str]] = set()
    for problem in problems:
        code = _SAME.get(problem.code, problem.code)
        message = "" if code in _SAME.values() else problem.message
        place = (problem.path, problem.pointer, problem.line, code, message)
        if place not in seen:
            seen.add(place)
            yield problem


# Both packages refuse what JSON or Postgres cannot hold, each in its words; a manifest is read by both.
_SAME: dict[str, str] = {
    "unstorable-text": Code.TEXT_CHARACTER,
    "unsafe-number": Code.NUMBER_RANGE,
    "too-deep": Code.YAML_TOO_DEEP,
}


def _bare(document: Document) -> Inspected:
    problems = yaml_problems(document, definition="")
    examination = examine(document.value, DEFAULT_LIMITS)
    problems += map(document.problem, examination.findings)
    unread = any(problem.severity is Severity.ERROR for problem in document.problems)
    machine = None if unread else examination.machine
    return Inspected(document, None, None, machine, tuple(problems), is_manifest=False)


def _kin(value: JsonValue) -> Manifest | None:
    """Return what a manifest with errors says of its place in its family, if that can be read."""
    document: Any = value
    try:
        metadata, spec = document["metadata"], document["spec"]
        place = {key: metadata[key] for key in ("name", "namespace") if key in metadata}
        family = {key: spec[key] for key in ("machine", "parentId") if key in spec}
        return _parsed(place, {**family, "definition": {}})
    except (KeyError, TypeError, ManifestInvalid):
        return None  # why has been said of the manifest itself


def _definition(value: JsonValue) -> JsonObject | None:
    """Return the definition in a manifest with errors elsewhere, read as that of one without."""
    document: Any = value
    try:
        return _parsed({"name": "v"}, {"definition": document["spec"]["definition"]}).definition
    except (KeyError, TypeError, ManifestInvalid):
        return None


def _parsed(metadata: JsonObject, spec: JsonObject) -> Manifest:
    return parse({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec})

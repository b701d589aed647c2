"""The approval of a preview, written into the manifest file as a person would write it.

The file belongs to its author: comments, quotes, indentation, line breaks and the order of things stay as they are.
Whatever edit is tried, the text is read again, and the edit only counts if the annotation, and nothing else, changed.
"""

import json
import re
from collections.abc import Iterable, Iterator

from statekeep.controller.manifest.document import Document, scan
from statekeep.controller.manifest.edit import (
    Edit,
    insert_mapping,
    insert_string,
    replace_value,
    step_below,
)
from statekeep.controller.manifest.errors import ApprovalImpossible, DocumentsInvalid
from statekeep.controller.manifest.findings import quoted
from statekeep.controller.manifest.limits import DEFAULT_LIMITS, Limits
from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION, DEFAULT_NAMESPACE
from statekeep.controller.manifest.node import Mapping
from statekeep.controller.manifest.schema import API_VERSION, KIND
from statekeep.engine.finding import Severity
from statekeep.engine.json import JsonValue

_PREVIEW_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}")


def approve(
    text: str,
    name: str,
    preview_id: str,
    *,
    namespace: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> str:
    """Return the text of a manifest file with a version's ``statekeep.io/approve`` set to ``preview_id``.

    Args:
        text: a YAML or JSON file, as decoded without translation of its line breaks.
        name: the version.
        preview_id: written in double quotes, since some ids would be numbers without.
        namespace: needed if the file holds versions of one name in several namespaces.
        limits: what the text may hold.

    Raises:
        DocumentsInvalid: the text cannot be read as YAML.
        ApprovalImpossible: there is no such version in it, or no edit that changes nothing else.
    """
    if not _PREVIEW_ID.fullmatch(preview_id):
        raise ApprovalImpossible(f"{quoted(preview_id)} is not a preview id")
    before = _read(text, limits)
    index = _find(before, name, namespace)
    document = before[index]
    if _annotation(document.value) == preview_id:
        return text
    complaints = _complaints(before)
    wanted = [other.value for other in before]
    wanted[index] = _approved(document.value, preview_id)
    for edit in _edits(text, document, preview_id):
        edited = edit.applied(text)
        reading = scan(edited, limits=limits)
        values = [after.value for after in reading.documents]
        calm = not reading.problems and _complaints(reading.documents) == complaints
        if calm and _same(values, wanted):
            return edited
    place = document.position("/metadata")
    raise ApprovalImpossible(
        f"{name} in line {place.line} is laid out so that its annotation cannot be set without changing more; "
        f'write {APPROVE_ANNOTATION}: "{preview_id}" into metadata.annotations by hand'
    )


def _read(text: str, limits: Limits) -> tuple[Document, ...]:
    reading = scan(text, limits=limits)
    if reading.problems:
        raise DocumentsInvalid(reading.problems)
    return reading.documents


def _find(documents: tuple[Document, ...], name: str, namespace: str | None) -> int:
    found = [
        index
        for index, document in enumerate(documents)
        if _is_named(document.value, name, namespace)
    ]
    where = f" in namespace {namespace}" if namespace is not None else ""
    if not found:
        raise ApprovalImpossible(f"no {KIND} {name}{where} in this file")
    if len(found) > 1:
        lines = " and ".join(str(documents[index].position("").line) for index in found)
        raise ApprovalImpossible(f"several versions are called {name}{where}, in lines {lines}")
    document = documents[found[0]]
    errors = [problem for problem in document.problems if problem.severity is Severity.ERROR]
    if errors:
        raise DocumentsInvalid(errors)
    return found[0]


def _is_named(value: JsonValue, name: str, namespace: str | None) -> bool:
    match value:
        case {"apiVersion": version, "kind": kind, "metadata": {"name": found, **others}}:
            ours = (version, kind, found) == (API_VERSION, KIND, name)
            return ours and namespace in (None, others.get("namespace", DEFAULT_NAMESPACE))
        case _:
            return False


def _annotation(value: JsonValue) -> JsonValue:
    match value:
        case {"metadata": {"annotations": dict() as annotations}}:
            return annotations.get(APPROVE_ANNOTATION)
        case _:
            return None


def _approved(value: JsonValue, preview_id: str) -> JsonValue:
    """Return the document as it should read afterwards."""
    if not isinstance(value, dict) or not isinstance(metadata := value.get("metadata"), dict):
        return value
    annotations = metadata.get("annotations")
    kept = annotations if isinstance(annotations, dict) else {}
    return {
        **value,
        "metadata": {**metadata, "annotations": {**kept, APPROVE_ANNOTATION: preview_id}},
    }


def _same(found: JsonValue, wanted: JsonValue) -> bool:
    # As text, since to Python 1 equals True and 1.0.
    return json.dumps(found, sort_keys=True) == json.dumps(wanted, sort_keys=True)


def _complaints(documents: Iterable[Document]) -> list[tuple[str, str]]:
    return [
        (problem.code, problem.pointer) for document in documents for problem in document.problems
    ]


def _edits(text: str, document: Document, preview_id: str) -> Iterator[Edit]:
    """Yield the edits worth trying, best first."""
    item = (APPROVE_ANNOTATION, preview_id)
    match document.node:
        case Mapping(entries={"metadata": metadata}) if isinstance(metadata.value, Mapping):
            annotations = metadata.value.entries.get("annotations")
        case _:
            return
    if annotations is None:
        yield from insert_mapping(text, metadata, "annotations", item, after="name")
        return
    present = (
        annotations.value.entries.get(APPROVE_ANNOTATION)
        if isinstance(annotations.value, Mapping)
        else None
    )
    if present is not None and not present.merged:
        yield from replace_value(text, present, preview_id)
    else:
        yield from insert_string(text, annotations, item, step_below(text, metadata))

"""A folder of manifests: what can be used of it, and everything that is wrong in it."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from statekeep.controller.manifest.codes import Code
from statekeep.controller.manifest.document import Document, scan
from statekeep.controller.manifest.errors import ManifestInvalid
from statekeep.controller.manifest.findings import quoted, suggestion
from statekeep.controller.manifest.limits import DEFAULT_LIMITS, Limits
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE, Manifest
from statekeep.controller.manifest.parse import parse
from statekeep.controller.manifest.problem import Problem
from statekeep.controller.manifest.schema import API_VERSION, GROUP, KIND
from statekeep.engine.finding import Finding, Severity

SUFFIXES = frozenset({".yaml", ".yml", ".json"})

MAX_FILES = 10_000
"""Files of one folder; beyond it somebody has named the wrong one."""

# `parse` gives a state node its `on` back, so this one needs no quotes.
_STATE_ON = r"(/states/[^/]+)*/on"


@dataclass(frozen=True, slots=True)
class Source:
    """A manifest and where it was found."""

    path: Path
    index: int
    """Which document of the file, from zero."""

    document: Document
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Folder:
    """What was read; one broken file never hides the others."""

    sources: tuple[Source, ...]
    problems: tuple[Problem, ...]
    """In the order of the files; warnings are among them."""

    ignored: int
    """Documents that are not ours."""

    broken: tuple[Document, ...] = ()
    """Manifests with errors of their own, or whose name another one has too."""

    others: tuple[Document, ...] = ()
    """The ignored documents."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A document that claims to be a ``MachineVersion``."""

    path: Path
    index: int
    document: Document
    manifest: Manifest | None
    problems: tuple[Problem, ...]


def read_folder(path: Path, *, limits: Limits = DEFAULT_LIMITS) -> Folder:
    """Read every manifest below a folder: ``*.yaml``, ``*.yml`` and ``*.json``, in the order of their paths.

    Hidden folders and files (``.statekeep`` among them) are skipped, symbolic links to folders are not followed.
    """
    if not path.is_dir():
        message = (
            "there is no such folder: name one with manifests"
            if not path.exists()
            else "this is not a folder"
        )
        return Folder((), (_unreadable(path, message),), 0)
    paths, blocked = find_files(path)
    folder = read_files(paths, limits=limits)
    return replace(folder, problems=(*blocked, *folder.problems))


def read_files(paths: Iterable[Path], *, limits: Limits = DEFAULT_LIMITS) -> Folder:
    """Read manifests from files, whatever their names."""
    return read_texts(((path, read_text(path, limits)) for path in paths), limits=limits)


def read_texts(
    texts: Iterable[tuple[Path, str | Problem]], *, limits: Limits = DEFAULT_LIMITS
) -> Folder:
    """Read manifests from what files hold, or why they could not be read."""
    candidates: list[_Candidate] = []
    problems: list[Problem] = []
    others: list[Document] = []
    for path, text in texts:
        if isinstance(text, Problem):
            problems.append(text)
            continue
        reading = scan(text, limits=limits, path=str(path))
        for index, document in enumerate(reading.documents):
            if _is_ours(document):
                candidates.append(_candidate(path, index, document))
            else:
                others.append(document)
        problems.extend(reading.problems)
    twice = _twice(candidates)
    sources = [
        Source(candidate.path, candidate.index, candidate.document, candidate.manifest)
        for candidate in candidates
        if candidate.manifest is not None and id(candidate) not in twice
    ]
    problems.extend(problem for candidate in candidates for problem in candidate.problems)
    problems.extend(twice.values())
    problems.sort(key=lambda problem: (problem.path, problem.line, problem.column))
    used = {id(source.document) for source in sources}
    broken = [c.document for c in candidates if id(c.document) not in used]
    return Folder(tuple(sources), tuple(problems), len(others), tuple(broken), tuple(others))


def find_files(root: Path) -> tuple[list[Path], list[Problem]]:
    """Return the files below a folder that look like manifests, sorted, and what kept others from being found."""
    blocked: list[Problem] = []

    def note(error: OSError) -> None:
        blocked.append(
            _unreadable(Path(error.filename), f"the folder cannot be read: {error.strerror}")
        )

    found: list[Path] = []
    for directory, folders, names in os.walk(root, onerror=note):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found.extend(
            Path(directory, name)
            for name in names
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
        )
        if len(found) > MAX_FILES:
            blocked.append(
                _unreadable(
                    root,
                    f"more than {MAX_FILES} files, the rest is not read: name a smaller folder",
                )
            )
            break
    return sorted(found[:MAX_FILES]), blocked


def read_text(path: Path, limits: Limits = DEFAULT_LIMITS) -> str | Problem:
    """Return what a file holds, or why it cannot be read."""
    try:
        if not path.is_file():
            reason = "this is not a regular file" if path.exists() else "there is no such file"
            return _unreadable(path, f"{reason}: name a manifest or a folder of them")
        with path.open("rb") as file:
            return decoded(path, file.read(limits.max_bytes + 1), limits)
    except OSError as error:
        return _unreadable(path, f"the file cannot be read: {error.strerror}")


def decoded(path: Path, data: bytes, limits: Limits = DEFAULT_LIMITS) -> str | Problem:
    """Return the text of a file's bytes; at most one more than ``limits.max_bytes`` of them are needed."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode()) + 1
        if len(data) > limits.max_bytes and error.reason == "unexpected end of data":
            return Problem(
                str(path),
                1,
                1,
                "",
                Code.YAML_TOO_LARGE,
                f"the file is larger than {limits.max_bytes} bytes",
            )
        return Problem(
            str(path),
            line,
            column,
            "",
            Code.FILE_ENCODING,
            "the file is not UTF-8: save it as UTF-8",
        )


def yaml_problems(document: Document, definition: str = "/spec/definition") -> list[Problem]:
    """Return what is wrong with a document as YAML; the ``on`` of a state needs no quotes, so nothing is said of it.

    Args:
        document: a manifest, or something else with a definition.
        definition: the JSON pointer to that.
    """
    state_on = re.compile(re.escape(definition) + _STATE_ON)
    return [
        problem
        for problem in document.problems
        if problem.severity is Severity.ERROR
        or not state_on.fullmatch(problem.pointer.removeprefix(document.origin))
    ]


def _is_ours(document: Document) -> bool:
    """Return whether a document is a ``MachineVersion``, or meant as one."""
    match document.value:
        case {"apiVersion": str() as version}:
            return version == GROUP or version.startswith(f"{GROUP}/")
        case {"kind": str() as kind}:
            return kind == KIND
        case _:
            return False


def _candidate(path: Path, index: int, document: Document) -> _Candidate:
    problems = yaml_problems(document)
    manifest: Manifest | None = None
    refusal = _other_kind(document)
    if refusal is not None:
        problems.append(document.problem(refusal))
    else:
        try:
            manifest = parse(document.value)
        except ManifestInvalid as error:
            problems.extend(map(document.problem, error.findings))
    if any(problem.severity is Severity.ERROR for problem in problems):
        manifest = None
    return _Candidate(path, index, document, manifest, tuple(problems))


def _other_kind(document: Document) -> Finding | None:
    """Return the refusal of a document of our group that is of another version or kind; its fields may be any."""
    match document.value:
        case {"apiVersion": str() as version} if version != API_VERSION:
            message = f"the apiVersion {quoted(version)} is not known to this release: write {API_VERSION}"
            return Finding(Code.API_VERSION, "/apiVersion", message)
        case {"kind": str() as kind} if kind != KIND:
            near = suggestion(kind, [KIND]) or f": write {KIND}"
            message = f"{API_VERSION} has no kind {quoted(kind)}{near}"
            return Finding(Code.API_VERSION, "/kind", message)
        case _:
            return None


def _twice(candidates: Iterable[_Candidate]) -> dict[int, Problem]:
    """Return a problem for each candidate, by its ``id``, whose name another one has too."""
    by_name: defaultdict[tuple[str, str], list[_Candidate]] = defaultdict(list)
    for candidate in candidates:
        match candidate.document.value:
            case {"metadata": {"name": str() as name, "namespace": str() as namespace}}:
                by_name[namespace, name].append(candidate)
            case {"metadata": {"name": str() as name}}:
                by_name[DEFAULT_NAMESPACE, name].append(candidate)
    return {
        id(candidate): _twice_problem(name, candidate, group)
        for (_, name), group in by_name.items()
        if len(group) > 1
        for candidate in group
    }


def _twice_problem(name: str, candidate: _Candidate, group: Iterable[_Candidate]) -> Problem:
    other = next(other for other in group if other is not candidate)
    place = f"{other.path}:{other.document.position('/metadata/name').line}"
    message = (
        f"{quoted(name)} is declared in {place} too, and neither is used: rename or remove one"
    )
    return candidate.document.problem(Finding(Code.NAME_TWICE, "/metadata/name", message))


def _unreadable(path: Path, message: str) -> Problem:
    return Problem(str(path), 0, 0, "", Code.FILE_UNREADABLE, message)

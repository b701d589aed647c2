"""The versions that some files declare, or that they declare otherwise than before."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from statekeep.controller.cli.checked import Checked, check
from statekeep.controller.cli.review.git import Difference, difference
from statekeep.controller.inspection import misread
from statekeep.controller.manifest.folder import SUFFIXES, decoded, read_texts
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE, Manifest
from statekeep.controller.manifest.problem import Problem
from statekeep.engine.finding import Severity
from statekeep.engine.ids import Namespace, VersionName
from statekeep.engine.statechart.machine import Machine

Key = tuple[Namespace, VersionName]


@dataclass(frozen=True, slots=True)
class Change:
    """A version without errors that is new, or declared otherwise than before."""

    manifest: Manifest
    machine: Machine


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """A changed file with errors; the versions in it are not looked at any further."""

    path: str
    problems: tuple[Problem, ...]
    """Errors only, and the words that kubectl reads as booleans."""

    is_misread: bool = False
    """Whether there are such words."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What there is to review."""

    versions: tuple[Change, ...]
    removed: tuple[Manifest, ...]
    broken: tuple[BrokenFile, ...]
    known: frozenset[Key]
    """Every version that the files declare, changed or not."""


def key(manifest: Manifest) -> Key:
    """Return what names a version."""
    return manifest.namespace or DEFAULT_NAMESPACE, manifest.name


def changes(named: Sequence[str], since: str | None, namespace: Namespace | None) -> Changes:
    """Return what some files and folders declare, or what of it changed.

    Args:
        named: the files and folders.
        since: the commit that the branch left, or one that it has come from; ``None``: everything is a change.
        namespace: of manifests that name none.
    """
    if since is None:
        return _changes(check(named), None, (), namespace)
    diff = difference(since, named)
    # A folder whose last file was removed is gone too.
    there = [name for name in named if os.path.lexists(name) or not _was_below(name, diff)]
    texts = [(path, decoded(path, data)) for path, data in diff.before if path.suffix in SUFFIXES]
    before = [_placed(source.manifest, namespace) for source in read_texts(texts).sources]
    return _changes(check(there), diff.touched, before, namespace)


def _changes(
    checked: Checked,
    touched: frozenset[str] | None,
    before: Sequence[Manifest],
    namespace: Namespace | None,
) -> Changes:
    """Return the changes.

    Args:
        checked: the files as they are.
        touched: the real paths of those that changed; ``None``: all of them.
        before: what the changed ones declared.
        namespace: of manifests that name none.
    """

    def is_touched(path: str) -> bool:
        return touched is None or os.path.realpath(path) in touched

    errors: dict[str, list[Problem]] = {}
    for problem in checked.problems:
        if problem.severity is Severity.ERROR and is_touched(problem.path):
            errors.setdefault(problem.path, []).append(problem)
    misread_paths = {problem.path for one in checked.inspected for problem in misread(one)}
    declared = {
        _name(one.document.value, namespace) for one in checked.inspected if one.is_manifest
    }
    old = {key(manifest): _content(manifest) for manifest in before}
    versions = [
        Change(_placed(one.manifest, namespace), one.machine)
        for one in checked.inspected
        if one.manifest is not None
        and one.machine is not None
        and is_touched(one.document.path)
        and one.document.path not in errors
    ]
    return Changes(
        versions=tuple(
            one for one in versions if old.get(key(one.manifest)) != _content(one.manifest)
        ),
        removed=tuple(manifest for manifest in before if key(manifest) not in declared),
        broken=tuple(
            BrokenFile(path, tuple(found), path in misread_paths) for path, found in errors.items()
        ),
        known=frozenset(declared),
    )


def _content(manifest: Manifest) -> tuple[Manifest, str]:
    """Return what two manifests are compared by: definitions as text, since to Python 1 equals True."""
    return replace(manifest, definition={}), json.dumps(manifest.definition, sort_keys=True)


def _placed(manifest: Manifest, namespace: Namespace | None) -> Manifest:
    return replace(manifest, namespace=manifest.namespace or namespace)


def _name(value: object, namespace: Namespace | None) -> Key:
    """Return what names a version, even one whose manifest has errors."""
    match value:
        case {"metadata": {"name": str() as name, **others}}:
            where = others.get("namespace") or namespace or DEFAULT_NAMESPACE
            return Namespace(str(where)), VersionName(name)
        case _:
            return DEFAULT_NAMESPACE, VersionName("")


def _was_below(name: str, diff: Difference) -> bool:
    place = Path(os.path.realpath(name))
    return any(Path(os.path.realpath(path)).is_relative_to(place) for path, _ in diff.before)

"""What becomes of each version in a pull request: the alternatives, and how to find out which one it is."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from statekeep.controller.cli.calls import Caller, CallFailed, NoAnswer
from statekeep.controller.cli.preview import request, within
from statekeep.controller.cli.review.changes import BrokenFile, Change, Key, key
from statekeep.controller.frozen import InForce, differences
from statekeep.controller.manifest.manifest import Manifest
from statekeep.engine.ids import MachineName, VersionName
from statekeep.engine.statechart.machine import Machine


@dataclass(frozen=True, slots=True)
class Previewed:
    """Its deployment would move actors, or leave them."""

    manifest: Manifest
    machine: Machine
    preview: Any
    """As the API gives it."""


@dataclass(frozen=True, slots=True)
class NewRoot:
    """It takes no actors over, and is applied at once."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class AlreadyApplied:
    """It is in force, and the manifest still says so."""

    manifest: Manifest
    actors: int


@dataclass(frozen=True, slots=True)
class Frozen:
    """It is in force, and the manifest wants something else of it."""

    manifest: Manifest
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParentFirst:
    """Its parent is on its way, but not in force."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Removed:
    """Its manifest was deleted."""

    manifest: Manifest
    is_applied: bool | None
    """``None``: the server does not know the version."""

    actors: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing can be said of it."""

    manifest: Manifest
    why: str


@dataclass(frozen=True, slots=True)
class Unasked:
    """The server does not answer, so nothing can be said of these."""

    manifests: tuple[Manifest, ...]
    why: str


Verdict = (
    Previewed
    | NewRoot
    | AlreadyApplied
    | Frozen
    | ParentFirst
    | Removed
    | Failed
    | Unasked
    | BrokenFile
)

FAILURES = (BrokenFile, Failed, Frozen, Unasked)
"""What must not be merged as it is."""


async def judge(caller: Caller, change: Change, known: Collection[Key]) -> Verdict:
    """Return what would become of a version that is new or was changed.

    Args:
        caller: asks the event API.
        change: the version.
        known: every version that is declared beside it.

    Raises:
        NoAnswer: nobody is there to ask.
    """
    manifest = change.manifest
    try:
        stored = await _find(caller, manifest, manifest.name)
        if stored is not None and stored["standing"] == "Applied":
            fields = differences(manifest, _in_force(stored))
            return (
                Frozen(manifest, fields) if fields else AlreadyApplied(manifest, stored["actors"])
            )
        if manifest.parent_id is None:
            return NewRoot(manifest)
        parent = await _find(caller, manifest, manifest.parent_id)
        if parent is None and (key(manifest)[0], manifest.parent_id) not in known:
            return Failed(manifest, f"the parent {manifest.parent_id} is not known: mend parentId")
        if parent is None or parent["standing"] != "Applied":
            return ParentFirst(manifest)
        path = within(manifest.namespace, "/previews")
        # One actor a page, since no actor is shown.
        preview = await caller.post(path, request(manifest), headers=None, limit="1")
        return Previewed(manifest, change.machine, preview)
    except NoAnswer:
        raise
    except CallFailed as error:
        return Failed(manifest, str(error))


async def judge_removal(caller: Caller, manifest: Manifest) -> Verdict:
    """Return what would become of a version whose manifest was deleted.

    Raises:
        NoAnswer: nobody is there to ask.
    """
    try:
        stored = await _find(caller, manifest, manifest.name)
    except NoAnswer:
        raise
    except CallFailed as error:
        return Failed(manifest, str(error))
    if stored is None:
        return Removed(manifest, None)
    return Removed(manifest, stored["standing"] == "Applied", stored["actors"])


async def _find(caller: Caller, beside: Manifest, name: VersionName) -> Any | None:
    return await caller.find(within(beside.namespace, f"/versions/{name}"))


def _in_force(stored: Any) -> InForce:
    parent = stored.get("parentId")
    return InForce(
        machine=MachineName(stored["machine"]),
        parent=None if parent is None else VersionName(parent),
        history_path=tuple(stored.get("historyPath", ())),
        definition=stored["definition"],
    )

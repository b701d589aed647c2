"""The folder ``.statekeep``: the data of one dev server, its keys, and where it can be reached.

A lock that ends with the process keeps two servers apart. ``server.json`` is a hint for other
commands (which URL, which folder of manifests); it may be stale, the lock is not.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from statekeep.engine.errors import KeyRingInvalid, StatekeepError
from statekeep.engine.store.keyring import KeyRing, new_key_ring_text, read_key_ring

DEFAULT = Path(".statekeep")
"""Beside the manifests' project, where the command is run."""


class WorkspaceBusy(StatekeepError):
    """Another dev server uses the folder."""


class WorkspaceUnusable(StatekeepError):
    """The folder cannot be made, or not be written to."""


@dataclass(frozen=True, slots=True)
class Running:
    """A dev server as it announces itself."""

    url: str
    folder: Path
    pid: int


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold the workspace; it is created where it is missing.

    Raises:
        WorkspaceBusy: another process holds it.
        WorkspaceUnusable: nothing can be kept there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "dev.lock").open("w")
    except OSError as error:
        raise WorkspaceUnusable(
            f"cannot keep data in {folder}: {error.strerror or error}; choose another --data"
        ) from error
    with file as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            known = running(folder)
            who = f" (process {known.pid}, {known.url})" if known else ""
            raise WorkspaceBusy(
                f"another statekeep dev{who} uses {folder}: stop it, or choose another --data"
            ) from error
        yield


def keys_path(folder: Path) -> Path:
    """Return the file of the workspace's keys."""
    return folder / "encryption.keys"


def key_ring(folder: Path) -> KeyRing:
    """Return the workspace's keys; the first call makes them, readable by their owner only.

    Raises:
        KeyRingInvalid: they are gone, and there is a database that was sealed with them.
    """
    path = keys_path(folder)
    if not path.exists():
        if (folder / "postgres" / "data" / "PG_VERSION").exists():
            raise KeyRingInvalid(
                f"{path} is missing, and the database beside it is sealed with its keys: put it "
                f"back, or move {folder} away to begin anew"
            )
        draft = path.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(new_key_ring_text())
            file.flush()
            os.fsync(file.fileno())  # without its keys, what the database keeps is lost
        draft.rename(path)
    return read_key_ring(path.read_text())


@contextmanager
def announced(folder: Path, url: str, manifests: Path) -> Iterator[None]:
    """Tell other commands where the server is while the context is open."""
    path = folder / "server.json"
    entry = {"url": url, "folder": str(manifests.resolve()), "pid": os.getpid()}
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(entry))
    draft.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def running(folder: Path = DEFAULT) -> Running | None:
    """Return the dev server that announced itself, if its process is still there."""
    try:
        entry = json.loads((folder / "server.json").read_text())
        found = Running(entry["url"], Path(entry["folder"]), entry["pid"])
        with suppress(PermissionError):  # a process of somebody else is one too
            os.kill(found.pid, 0)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    return found

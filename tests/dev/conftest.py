"""Folders and servers of the tests of dev mode."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.dev.process import Dev, running

from statekeep.engine.json import JsonObject

LOAN_1: JsonObject = {
    "id": "loan",
    "initial": "idle",
    "states": {
        "idle": {"on": {"START": "fee"}},
        "fee": {"on": {"PAY": "documents", "WAIVE": "documents"}},
        "documents": {},
    },
}
LOAN_2: JsonObject = {
    "id": "loan",
    "initial": "idle",
    "states": {
        "idle": {"on": {"START": "fee"}},
        "fee": {"on": {"PAY": "income", "WAIVE": "documents"}},
        "income": {"on": {"VERIFY": "documents"}},
        "documents": {},
    },
}


def manifest(
    name: str,
    definition: JsonObject,
    *,
    parent: str | None = None,
    path: Sequence[str] | None = None,
    annotations: dict[str, str] | None = None,
    namespace: str | None = None,
    **spec: Any,
) -> str:
    """Return a manifest as JSON, a line for each of its parts, which is YAML too."""
    metadata: dict[str, Any] = {"name": name}
    if namespace is not None:
        metadata["namespace"] = namespace
    if annotations is not None:
        metadata["annotations"] = annotations
    if parent is not None:
        spec["parentId"] = parent
    if path is not None:
        spec["historyPath"] = list(path)
    document = {
        "apiVersion": "statekeep.io/v1alpha1",
        "kind": "MachineVersion",
        "metadata": metadata,
        "spec": {**spec, "definition": definition},
    }
    return json.dumps(document, indent=1)


@contextmanager
def ground() -> Iterator[Path]:
    """Make a folder for as long as the context is open.

    Not in pytest's own: that is closed to others whenever another run begins, and Postgres, which
    root has to run as somebody else, could not get through.
    """
    with tempfile.TemporaryDirectory(prefix="statekeep-test-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def workspace() -> Iterator[Path]:
    """A workspace with an empty database, made by a dev server that was stopped in order."""
    with ground() as home:
        dev = Dev(home)
        assert dev.stop() == 0, dev.output
        yield home / ".statekeep"


def furnished(home: Path, workspace: Path) -> Path:
    """Give a folder a workspace of its own; a copy is made faster than a database."""
    subprocess.run(["cp", "-a", str(workspace), str(home / ".statekeep")], check=True)
    return home


@pytest.fixture
def home(workspace: Path) -> Iterator[Path]:
    """A folder with an empty database."""
    with ground() as folder:
        yield furnished(folder, workspace)
        for left in [one for one in running if one.home == folder]:
            left.kill()  # by a test that failed


@pytest.fixture(scope="module")
def dev(workspace: Path) -> Iterator[Dev]:
    """A dev server that the tests of a module share; each has names of its own."""
    with ground() as folder:
        dev = Dev(furnished(folder, workspace))
        yield dev
        assert dev.stop() == 0, dev.output
        assert "Traceback" not in dev.output

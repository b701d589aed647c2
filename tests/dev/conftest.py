"""Folders and servers of the tests of dev mode."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.dev.process import Dev

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


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with an empty database, made by a dev server that was stopped in order."""
    home = tmp_path_factory.mktemp("workspace")
    dev = Dev(home)
    assert dev.stop() == 0, dev.output
    return home / ".statekeep"


def furnished(home: Path, workspace: Path) -> Path:
    """Give a folder a workspace of its own; a copy is made faster than a database."""
    subprocess.run(["cp", "-a", str(workspace), str(home / ".statekeep")], check=True)
    return home


@pytest.fixture
def home(tmp_path: Path, workspace: Path) -> Path:
    """A folder with an empty database."""
    return furnished(tmp_path, workspace)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory, workspace: Path) -> Iterator[Dev]:
    """A dev server that the tests of a module share; each has names of its own."""
    dev = Dev(furnished(tmp_path_factory.mktemp("home"), workspace))
    yield dev
    assert dev.stop() == 0, dev.output
    assert "Traceback" not in dev.output

"""What importing the client takes, and that its page tells all of it."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from statekeep.client import AsyncClient, Client, ClientError, Patience, errors
from statekeep.client.calls import Calls

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "client.md").read_text()

ALONE = """
import sys
from importlib.metadata import distribution
from importlib.abc import MetaPathFinder

SERVER = {"aiohttp", "alembic", "click", "cryptography", "jsonschema", "kopf", "prometheus_client", "psycopg",
          "rich", "sqlalchemy", "uvloop", "yaml"}

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in SERVER:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import statekeep.client
print(sorted(name for name in sys.modules if name.startswith("statekeep.engine.store")))
"""


def test_it_is_imported_without_anything_of_the_server() -> None:
    ran = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_it_is_typed() -> None:
    assert (ROOT / "controller" / "statekeep" / "client" / "py.typed").exists()


def test_both_clients_have_every_call_under_the_same_parameters() -> None:
    calls = [name for name in vars(Calls) if not name.startswith("_")]
    assert len(calls) > 10
    for name in calls:
        theirs = inspect.signature(getattr(Calls, name)).parameters
        assert inspect.signature(getattr(Client, name)).parameters.keys() == theirs.keys(), name
        assert f"`{name}(" in PAGE or f", `{name}(" in PAGE, name
    options = inspect.signature(AsyncClient).parameters
    assert inspect.signature(Client).parameters == options
    for name in options:
        assert f"| `{name}` |" in PAGE, name


@pytest.mark.parametrize("name", Patience.__dataclass_fields__)
def test_every_part_of_patience_is_explained(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_every_error_is_explained() -> None:
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, ClientError):
            assert f"`{name}`" in PAGE, name

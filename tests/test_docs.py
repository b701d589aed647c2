"""What is documented exists: files, commands, targets, names, codes."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest
import yaml
from tests.controller.manifest.documents import read_documents

from statekeep.controller.access.modes import NONE, Mode
from statekeep.controller.access.scopes import SCOPES
from statekeep.controller.api.kinds import KINDS
from statekeep.controller.api.routes import PROBES, ROUTES
from statekeep.controller.cli.keys import keys
from statekeep.controller.cli.main import COMMANDS, statekeep
from statekeep.controller.manifest.codes import Code
from statekeep.controller.manifest.parse import parse
from statekeep.controller.standing import Standing
from statekeep.engine.finding import errors
from statekeep.engine.json import JsonValue
from statekeep.engine.routing.reason import Reason
from statekeep.engine.statechart.validation import validate
from statekeep.engine.store.sql import statements

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = sorted(path for part in ("engine", "controller") for path in (ROOT / part).rglob("*.py"))
STORE = ROOT / "engine" / "statekeep" / "engine" / "store"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def is_ours(value: JsonValue) -> bool:
    """Return whether a document is one of our objects, and not one of Kubernetes' own."""
    version = value.get("apiVersion") if isinstance(value, dict) else None
    return str(version).startswith("statekeep.io/")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_manifest_that_is_shown_is_valid(page: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        for document in read_documents(block):
            if not is_ours(document.value):
                continue
            manifest = parse(document.value)
            assert errors(validate(manifest.definition)) == ()


def test_the_role_that_is_shown_grants_every_route_and_nothing_else() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    granted = set()
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        for rule in yaml.safe_load(block).get("rules", []):
            assert rule["apiGroups"] == ["statekeep.io"]
            granted |= {(verb, one) for verb in rule["verbs"] for one in rule["resources"]}
    assert granted == {(route.verb, route.resource) for route in ROUTES}


def test_every_scope_and_every_way_to_ask_is_explained() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    for word in (*SCOPES, *Mode, NONE):
        assert f"| `{word}` |" in text, word


def test_every_command_about_keys_is_explained() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    for name in keys.commands:
        assert f"keys {name}" in text, name


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for target in re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert target in targets, (page, target)


def test_every_command_that_is_named_exists() -> None:
    for page in PAGES:
        for name in re.findall(r"(?:`|\$ )statekeep ([a-z]+)", page.read_text()):
            assert name in COMMANDS, (page, name)


def test_every_command_has_a_help_text() -> None:
    context = click.Context(statekeep)
    for name in COMMANDS:
        command = statekeep.get_command(context, name)
        assert command is not None
        assert command.help, name


def test_every_standing_and_reason_is_explained() -> None:
    text = (ROOT / "docs" / "manifest.md").read_text()
    for standing in Standing.__args__:
        assert f"`{standing.__name__}`" in text
    for reason in Reason:
        assert f"`{reason.value}`" in text, reason


def test_every_code_of_a_manifest_is_explained() -> None:
    text = (ROOT / "docs" / "manifest.md").read_text()
    assert [code for code in Code if f"| `{code}` |" not in text] == []


def test_every_kind_of_problem_is_documented_with_its_status() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| (\w+) \|", text, re.MULTILINE)
    told = {kind: status for names, status in rows for kind in re.findall(r"`([a-z-]+)`", names)}
    known = {kind: str(meant.status.value) for kind, meant in KINDS.items()}
    assert told == known | {"refused": "4xx"}


def test_every_call_is_in_the_overview() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    for route in ROUTES:
        assert f"`{route.method} /v1{route.path}" in text, route.path
    for probe in PROBES:
        assert f"`GET {probe.path}`" in text


def names() -> Iterator[tuple[Path, str]]:
    """Yield every dotted name of ours in double backquotes, with its page."""
    for path in [*SOURCES, *PAGES]:
        for name in re.findall(r"``?(statekeep\.[a-z_.A-Z]+)``?", path.read_text()):
            if not name.startswith("statekeep.io"):
                yield path, name


@pytest.mark.parametrize(("path", "name"), list(names()))
def test_every_name_in_prose_can_be_found(path: Path, name: str) -> None:
    module, _, attribute = name.rpartition(".")
    try:
        import_module(name)
    except ModuleNotFoundError:
        assert hasattr(import_module(module), attribute), (path, name)


@pytest.mark.parametrize("file", sorted((STORE / "sql").glob("*.sql")), ids=lambda file: file.name)
def test_every_statement_is_used_and_every_use_exists(file: Path) -> None:
    known = set(statements(file.name))
    used = set()
    for path in STORE.glob("*.py"):
        text = path.read_text()
        if f'statements("{file.name}")' in text:  # SQLAlchemy's, or the driver's
            used |= set(re.findall(r'_SQL\["(\w+)"\]', text))
    assert used == known

"""What is documented exists: files, commands, targets, names, codes."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from importlib import import_module
from pathlib import Path

import click
import pytest

from statekeep.controller.cli.main import COMMANDS, statekeep
from statekeep.controller.manifest.codes import Code
from statekeep.controller.manifest.document import read_documents
from statekeep.controller.manifest.parse import parse
from statekeep.controller.standing import Standing
from statekeep.engine.finding import errors
from statekeep.engine.routing.decision import Reason
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_manifest_that_is_shown_is_valid(page: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        for document in read_documents(block):
            manifest = parse(document.value)
            assert errors(validate(manifest.definition)) == ()


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


def test_every_kind_of_problem_is_documented() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    for path in (ROOT / "controller" / "statekeep" / "controller" / "api").glob("*.py"):
        for kind in re.findall(r'Problem\(\s*HTTPStatus\.\w+,\s*"([a-z-]+)"', path.read_text()):
            assert f"`{kind}`" in text, kind
    assert HTTPStatus.NOT_FOUND.phrase.lower().replace(" ", "-") in text


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

"""What the source may not do, however well it is meant: checked on the syntax tree of every module."""

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*ROOT.glob("engine/**/*.py"), *ROOT.glob("controller/**/*.py")])

EXECUTES = {"text", "execute", "exec_driver_sql", "executemany", "literal_column", "_run", "copy"}
"""Calls that take SQL as text."""

FORMATTED = {
    "engine/statekeep/engine/store/partitioning.py": "names of our own tables, and definitions that Postgres gave us; "
    "DDL takes no parameters",
    "engine/statekeep/engine/store/database.py": "the name of the schema, a constant",
    "engine/statekeep/engine/store/sql.py": "our own files, whole",
    "controller/statekeep/controller/dev/postgres.py": "nothing but constants",
}
"""Where SQL is not a literal, and what it is made of instead; values are bound there too."""


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in SOURCES:
        yield str(path.relative_to(ROOT)), ast.parse(path.read_text("utf-8"))


def name_of(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def is_built(node: ast.expr) -> bool:
    """Return whether a text is put together from parts that are no literals."""
    match node:
        case ast.JoinedStr(values=parts):
            return any(isinstance(part, ast.FormattedValue) for part in parts)
        case ast.BinOp(op=ast.Mod() | ast.Add()):
            return True
        case ast.Call(func=ast.Attribute(attr="format" | "join")):
            return True
        case _:
            return False


def test_sql_is_never_built_from_values() -> None:
    found = {
        (path, node.lineno)
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and name_of(node) in EXECUTES and node.args
        if is_built(node.args[0])
    }
    assert {path for path, _ in found} <= FORMATTED.keys(), sorted(found)


def test_named_statements_hold_placeholders_only() -> None:
    """Nothing is put into the files of ``sql/``: what is in them is what Postgres gets."""
    for path in ROOT.glob("engine/**/sql/*.sql"):
        assert not re.search(r"%s|%\(|\{\w*\}|\$\{|\bformat\(", path.read_text("utf-8")), path


def test_yaml_is_only_read_by_safe_loaders() -> None:
    for path, tree in trees():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
                continue
            if node.value.id == "yaml":
                unsafe = {"load", "load_all", "unsafe_load", "full_load", "Loader", "FullLoader"}
                unsafe |= {"UnsafeLoader", "CLoader", "unsafe_load_all", "full_load_all"}
                assert node.attr not in unsafe, (path, node.lineno)


SECRET = re.compile(r"(^|_)(digest|checksum|secret|token|password)$")
"""What is a secret, or made of one."""

COMPARED = {
    "content_digest": "of a definition, which is no secret",
    "body_digest": "of a request, compared with one of the same caller",
    "digest": "of a wish, in ``spawning``: likewise",
}


def test_secrets_are_compared_in_constant_time() -> None:
    """In the modules that let callers in, by ``hmac.compare_digest`` alone."""
    compared = 0
    for path, tree in trees():
        if "/access/" not in path:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and name_of(node) == "compare_digest":
                compared += 1
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
                for side in (node.left, *node.comparators):
                    name = getattr(side, "id", getattr(side, "attr", ""))
                    if isinstance(side, ast.Call):
                        name = name_of(side)
                    assert not SECRET.search(name), (path, node.lineno)
    assert compared >= 2


def test_exceptions_from_the_security_rules_say_why() -> None:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "S" in configured["select"]
    assert [rule for rule in configured["ignore"] if rule.startswith("S") and rule != "S101"] == []
    for path in SOURCES:
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if "noqa: S" in line:
                assert re.search(r"noqa: S[\dS, ]+ +\(\w.+\)$", line), f"{path}:{number}"


@pytest.mark.parametrize("danger", ["eval", "exec", "pickle", "marshal", "shelve", "os.system"])
def test_nothing_is_run_that_was_read(danger: str) -> None:
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called != danger, (path, node.lineno)
                assert not called.startswith(f"{danger}."), (path, node.lineno)


def pins() -> dict[str, str]:
    """Return what ``constraints.txt`` pins, by normal name."""
    found: dict[str, str] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if (text := line.split("#")[0].strip()) and not text.startswith("-"):
            pin = Requirement(text)
            [one] = pin.specifier
            assert one.operator == "==", line
            found[canonicalize_name(pin.name)] = one.version
    return found


def needed() -> set[str]:
    """Return what the project and its groups ask for, and what that asks for, as far as it is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for group in (project["project"]["optional-dependencies"], project["dependency-groups"]):
        asked += [one for some in group.values() for one in some]
    found: set[tuple[str, str]] = set()
    waiting = [Requirement(one) for one in asked]
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        for extra in ("", *one.extras):
            if (name, extra) in found:
                continue
            found.add((name, extra))
            try:
                requires = metadata.requires(name) or ()
            except metadata.PackageNotFoundError:
                continue
            below = map(Requirement, requires)
            waiting += [r for r in below if r.marker is None or r.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def test_every_package_that_is_installed_is_pinned_and_every_pin_is_needed() -> None:
    """What can be told offline. Whether a release has a known hole, or was withdrawn, only an index knows."""
    tools = {"pip", "setuptools", "statekeep"}
    installed = {canonicalize_name(one.name): one for one in metadata.distributions()}
    unneeded = {name for name in pins() if name in installed} - needed()
    assert unneeded == set()
    for name, one in installed.items():
        if name not in tools:
            assert pins().get(name) == one.version, f"{name} {one.version} is installed"
            assert one.read_text("direct_url.json") is None, f"{name} is not from an index"

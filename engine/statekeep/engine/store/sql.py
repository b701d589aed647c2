"""Named statements: the SQL that carries an algorithm lives in ``sql/*.sql``, readable in psql.

A file holds statements, each under a line ``-- :name snake_case``; parameters are ``:name``.
SQLAlchemy runs most of them; those of a round trip go to libpq as they are.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

from sqlalchemy import TextClause, text

_NAME = re.compile(r"^-- :name (\w+)$", re.MULTILINE)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]+)")


def statements(file: str) -> Mapping[str, TextClause]:
    """Return the statements of one file of ``sql/``, by name.

    Raises:
        ValueError: a name stands there twice.
    """
    return MappingProxyType({name: text(body) for name, body in _read(file)})


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement as libpq takes it."""

    text: bytes
    """Its parameters are ``$1``, ``$2``, …"""

    names: tuple[str, ...]
    """Of the parameters, in their order."""


def prepared_statements(file: str) -> Mapping[str, Prepared]:
    """Return the statements of one file as libpq takes them, by name."""
    return MappingProxyType({name: _prepared(body) for name, body in _read(file)})


def _prepared(body: str) -> Prepared:
    names = tuple(dict.fromkeys(_PARAMETER.findall(body)))
    numbered = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", body)
    return Prepared(numbered.encode(), names)


def _read(file: str) -> Iterator[tuple[str, str]]:
    source = resources.files("statekeep.engine.store").joinpath("sql", file).read_text("utf-8")
    _, *parts = _NAME.split(source)
    names = parts[::2]
    if len(names) != len(set(names)):
        raise ValueError(f"a statement of {file} stands there twice")
    return zip(names, (body.strip().rstrip(";") for body in parts[1::2]), strict=True)

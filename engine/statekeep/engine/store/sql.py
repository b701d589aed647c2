"""Named statements: the SQL that carries an algorithm lives in ``sql/*.sql``, readable in psql.

A file holds statements, each under a line ``-- :name snake_case``; parameters are ``:name``.
SQLAlchemy runs most of them. Those of a pipeline go to the driver as they are, which SQLAlchemy has no words for.
"""

import re
from collections.abc import Iterator, Mapping
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


def driver_statements(file: str) -> Mapping[str, bytes]:
    """Return the statements of one file as psycopg takes them, every parameter binary."""
    return MappingProxyType(
        {name: _PARAMETER.sub(r"%(\1)b", body).encode() for name, body in _read(file)}
    )


def _read(file: str) -> Iterator[tuple[str, str]]:
    source = resources.files("statekeep.engine.store").joinpath("sql", file).read_text("utf-8")
    _, *parts = _NAME.split(source)
    names = parts[::2]
    if len(names) != len(set(names)):
        raise ValueError(f"a statement of {file} stands there twice")
    return zip(names, (body.strip().rstrip(";") for body in parts[1::2]), strict=True)

"""Named statements: the SQL that carries an algorithm lives in ``sql/*.sql``, readable in psql.

A file holds statements, each under a line ``-- :name snake_case``; parameters are ``:name``.
"""

import re
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

from sqlalchemy import TextClause, text

_NAME = re.compile(r"^-- :name (\w+)$", re.MULTILINE)


def statements(file: str) -> Mapping[str, TextClause]:
    """Return the statements of one file of ``sql/``, by name.

    Raises:
        ValueError: a name stands there twice.
    """
    source = resources.files("statekeep.engine.store").joinpath("sql", file).read_text("utf-8")
    _, *parts = _NAME.split(source)
    names = parts[::2]
    if len(names) != len(set(names)):
        raise ValueError(f"a statement of {file} stands there twice")
    found = zip(names, parts[1::2], strict=True)
    return MappingProxyType({name: text(body.strip().rstrip(";")) for name, body in found})

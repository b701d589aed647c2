"""One call as a value: what is sent, what is expected, and the key that makes repeating it safe."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote
from uuid import uuid4

import msgspec

T = TypeVar("T")

_KEY = re.compile(r"[ -~]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """What to ask; it may be asked again."""

    answer: type[T]
    path: str
    """Behind ``/v1`` or the namespace."""

    method: str = "GET"
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    key: str | None = None
    takes_long: bool = False
    """Whether an answer may take as long as all tries together."""


def posted(body: Any) -> bytes:
    """Return a body as JSON."""
    return msgspec.json.encode(body)


def new_key() -> str:
    """Return an idempotency key that nobody else has."""
    return str(uuid4())


def key_header(key: str) -> Mapping[str, str]:
    """Return the header that carries a key, in quotes: so it arrives as it is.

    Raises:
        ValueError: a header cannot carry it.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"an idempotency key has 1 to 255 printable ASCII characters: {key!r}")
    return {"Idempotency-Key": f'"{key}"'}


def part(name: str) -> str:
    """Return a name as one part of a path.

    Raises:
        ValueError: in a path it would mean something else.
    """
    if name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no id and no name")
    return quote(name, safe="")


def query(**values: str | int | bool | None) -> Mapping[str, str]:
    """Return the parameters that have a value, by their names on the wire."""
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None
    }

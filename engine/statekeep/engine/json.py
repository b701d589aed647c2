"""JSON as the engine sees it, and its canonical form.

Canonical bytes follow RFC 8785 (JCS): every digest that people compare is taken over them, so that
two copies of one document agree whatever their whitespace, key order or number spelling.
"""

import hashlib

import rfc8785

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]
"""What ``json.loads`` returns."""

JsonObject = dict[str, JsonValue]
"""A JSON object."""


def canonical(value: JsonValue) -> bytes:
    """Return the RFC 8785 form of a JSON value, UTF-8.

    Raises:
        ValueError: an integer beyond 2^53, a NaN or an infinity, or something that is not JSON.

    >>> canonical({"b": 1.0, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
        raise ValueError(str(error)) from error


def digest(value: JsonValue) -> str:
    """Return the SHA-256 of the canonical form, as 64 lowercase hex digits.

    >>> digest({})[:12]
    '44136fa355b3'
    """
    return hashlib.sha256(canonical(value)).hexdigest()

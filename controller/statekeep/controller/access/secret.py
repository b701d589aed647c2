"""The text of an ``sk_`` key: ``sk_<public id>_<secret><checksum>``, all of letters and digits.

The public id stands in lists and finds the stored digest. The checksum (CRC-32 in base 62 over all before it) tells a
typing error from a key that is not known, without asking anybody, and lets scanners find leaked keys.

What is stored is one SHA-256 of the whole text, without salt and without stretching. Both exist for passwords, which
can be guessed; this secret has 238 random bits, so a table of guesses or a fast search is of no use, and a slow hash
would only cost every call time.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ID = 12
_SECRET = 40
_CHECKSUM = 6
_FORM = re.compile(rf"sk_([0-9A-Za-z]{{{_ID}}})_[0-9A-Za-z]{{{_SECRET + _CHECKSUM}}}")

PREFIX = "sk_"
"""How a key is told from any other token."""


def new_key() -> tuple[str, str]:
    """Return (public id, the whole key); nobody can find the key again."""
    key_id = _random(_ID)
    body = f"{PREFIX}{key_id}_{_random(_SECRET)}"
    return key_id, body + _checksum(body)


def public_id(key: str) -> str | None:
    """Return the public id of a key; ``None`` if it cannot be one, or was not copied right.

    >>> public_id("sk_me")
    """
    form = _FORM.fullmatch(key)
    if form is None or not hmac.compare_digest(_checksum(key[:-_CHECKSUM]), key[-_CHECKSUM:]):
        return None
    return form[1]


def digest(key: str) -> bytes:
    """Return what is stored of a key."""
    return hashlib.sha256(key.encode()).digest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CHECKSUM):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits

"""Cursors: where the next page, or a stream, goes on. Opaque, since the numbers within count what everybody does.

A cursor is good for the namespace that it was given to, in every process, for as long as the database lives. The same
place always has the same cursor.
"""

import base64
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from msgspec import UNSET, UnsetType

from statekeep.controller.api.problems import invalid
from statekeep.engine.ids import Namespace

T = TypeVar("T")


class Cursors:
    """Writes and reads cursors (AES-SIV, RFC 5297)."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESSIV(secret)

    def write(self, namespace: Namespace, *position: str | int | None) -> str:
        """Return the cursor of a place."""
        sealed = self._cipher.encrypt(msgspec.json.encode(position), [namespace.encode()])
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def read(self, namespace: Namespace, cursor: str | UnsetType, kind: type[T]) -> T | None:
        """Return the place that a cursor stands for; ``None`` where there is no cursor.

        Raises:
            Problem: it is none of ours, or of another list, or of another namespace.
        """
        if cursor is UNSET:
            return None
        try:
            sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
            return msgspec.json.decode(
                self._cipher.decrypt(sealed, [namespace.encode()]), type=kind
            )
        except (ValueError, InvalidTag, msgspec.MsgspecError) as error:
            raise invalid("the cursor is not one that this API gave out here") from error

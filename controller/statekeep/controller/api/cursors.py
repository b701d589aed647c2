"""Cursors: where the next page, or a stream, goes on. Opaque, since the numbers within count what everybody does.

A cursor is good for the namespace that it was given to, in every process, for as long as the database lives. The same
place always has the same cursor.
"""

import base64
from http import HTTPStatus
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from msgspec import UNSET, UnsetType

from statekeep.controller.api.problems import Problem, invalid
from statekeep.engine.ids import Namespace
from statekeep.engine.store import secret
from statekeep.engine.store.database import Database

_TAG_BYTES = 16

_UNKNOWN = "the cursor is not one that this API gave out"

T = TypeVar("T")


class Foreign(Problem):
    """The cursor was given out by another database, or to another namespace, or by nobody."""


class Cursors:
    """Writes and reads cursors (AES-SIV, RFC 5297)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: AESSIV | None = None

    async def ready(self) -> "Cursors":
        """Return these, once they know their secret: it is asked for when somebody needs it first.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        if self._known is None:
            self._known = AESSIV(await self._database.read(secret.of_cursors))
        return self

    @property
    def _cipher(self) -> AESSIV:
        assert self._known is not None
        return self._known

    def write(self, namespace: Namespace, *position: str | int | None) -> str:
        """Return the cursor of a place."""
        sealed = self._cipher.encrypt(msgspec.json.encode(position), [namespace.encode()])
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def read(self, namespace: Namespace, cursor: str | UnsetType, kind: type[T]) -> T | None:
        """Return the place that a cursor stands for; ``None`` where there is no cursor.

        Raises:
            Foreign: it cannot be opened here.
            Problem: it is no cursor, or one of another list.
        """
        if cursor is UNSET:
            return None
        try:
            sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
            if len(sealed) <= _TAG_BYTES:
                raise invalid(_UNKNOWN)
            opened = self._cipher.decrypt(sealed, [namespace.encode()])
            return msgspec.json.decode(opened, type=kind)
        except InvalidTag as error:
            raise Foreign(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", _UNKNOWN) from error
        except (ValueError, msgspec.MsgspecError) as error:
            raise invalid(_UNKNOWN) from error

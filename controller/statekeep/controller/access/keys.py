"""Callers with an ``sk_`` key: for those who have no account in the cluster."""

import asyncio
import hmac
import time
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.controller.access import secret
from statekeep.controller.access.callers import Objection, Question
from statekeep.controller.access.memory import Clock, Memory
from statekeep.controller.access.scopes import scope_of
from statekeep.engine.ids import Namespace
from statekeep.engine.store import api_keys
from statekeep.engine.store.api_keys import ApiKey
from statekeep.engine.store.database import Database

KNOWN_S = 30.0
"""How long a key is not looked up again; less, where it expires before. One that was revoked stops by then."""

UNKNOWN_S = 10.0

AT_ONCE = 4
"""Keys looked up at once: whoever tries many leaves connections to those who are known."""


class KeyGuard:
    """Lets those in who have a key that is in force."""

    def __init__(self, database: Database, clock: Clock = time.monotonic) -> None:
        self.wanted = "an sk_ key"
        self.refusal = "the key is not accepted: it was not copied whole, is not known, has expired or was revoked"
        self._database = database
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._keys: Memory[bytes, ApiKey | None] = Memory(clock)

    async def identify(self, token: str) -> "KeyCaller | None":
        """Return the key that the token is; what is remembered is its digest."""
        key_id = secret.public_id(token)
        if key_id is None:
            return None
        digest = secret.digest(token)

        async def ask() -> tuple[ApiKey | None, float]:
            async with self._slots:
                return await self._database.transact(
                    lambda connection: _look_up(connection, key_id, digest)
                )

        key = await self._keys.answer(digest, ask)
        return None if key is None else KeyCaller(key)


async def _look_up(
    connection: AsyncConnection, key_id: str, digest: bytes
) -> tuple[ApiKey | None, float]:
    found = await api_keys.find(connection, key_id)
    if found is None or not hmac.compare_digest(found.digest, digest) or not found.is_in_force:
        return None, UNKNOWN_S
    await api_keys.note_use(connection, key_id)
    remaining_s = KNOWN_S if found.remaining is None else found.remaining.total_seconds()
    return found.key, min(KNOWN_S, remaining_s)


@dataclass(frozen=True, slots=True)
class KeyCaller:
    """Whoever has the key."""

    key: ApiKey

    @property
    def namespace(self) -> Namespace:
        """The one that the key is for."""
        return self.key.namespace

    async def objection(self, question: Question) -> Objection | None:
        """Say which scope is missing; of other namespaces only that the key is not for them."""
        if question.namespace != self.key.namespace:
            return Objection(
                f"the key {self.key.id} is for the namespace {self.key.namespace} only, not for "
                f"{question.namespace}: a key for that one is needed"
            )
        scope = scope_of(question.verb, question.resource)
        if scope in self.key.scopes:
            return None
        needed = f"a key with the scope {scope} is needed" if scope else "no key may"
        return Objection(
            f"the key {self.key.id} may not {question.verb} {question.resource} in namespace "
            f"{question.namespace}: {needed}"
        )

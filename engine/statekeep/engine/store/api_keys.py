"""Keys of callers as stored: a digest of each, what it may do, and until when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.ids import Namespace
from statekeep.engine.store import schema

USE_NOTED = timedelta(minutes=1)
"""How exactly it is known when a key was used last: a write for every call would cost more than it tells."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as its owner may see it."""

    id: str
    namespace: Namespace
    scopes: tuple[str, ...]
    note: str
    created_at: datetime
    expires_at: datetime | None
    """``None``: never."""

    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Found:
    """A key that somebody claims to have."""

    key: ApiKey
    digest: bytes
    """SHA-256 of what they must show."""

    is_in_force: bool
    """Whether it is neither revoked nor expired, by the clock of the database."""

    remaining: timedelta | None
    """Until it expires; ``None``: it never does."""


async def create(
    connection: AsyncConnection,
    key_id: str,
    digest: bytes,
    namespace: Namespace,
    scopes: Sequence[str],
    *,
    note: str,
    lifetime: timedelta | None,
) -> ApiKey:
    """Store a new key.

    Args:
        connection: in a transaction.
        key_id: its public part, new.
        digest: SHA-256 of the whole key.
        namespace: the only one that it opens.
        scopes: what it may do there.
        note: for people.
        lifetime: from now; ``None``: it does not expire.
    """
    table = schema.api_key
    now = sa.func.clock_timestamp()
    statement = (
        sa.insert(table)
        .values(
            id=key_id,
            namespace=namespace,
            scopes=list(scopes),
            digest=digest,
            note=note,
            created_at=now,
            expires_at=None if lifetime is None else now + lifetime,
        )
        .returning(table)
    )
    return _key((await connection.execute(statement)).one())


async def find(connection: AsyncConnection, key_id: str) -> Found | None:
    """Return the key of that id, in force or not, or ``None``."""
    table = schema.api_key
    now = sa.func.clock_timestamp()
    is_over = sa.or_(
        table.c.revoked_at.is_not(None), sa.func.coalesce(table.c.expires_at <= now, False)
    )
    query = sa.select(
        table, sa.not_(is_over).label("is_in_force"), (table.c.expires_at - now).label("remaining")
    ).where(table.c.id == key_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    return Found(_key(row), row.digest, row.is_in_force, row.remaining)


async def note_use(connection: AsyncConnection, key_id: str) -> None:
    """Write down that a key is used, unless that was done a moment ago."""
    table = schema.api_key
    now = sa.func.clock_timestamp()
    was_lately = sa.func.coalesce(table.c.last_used_at > now - USE_NOTED, False)
    await connection.execute(
        sa.update(table).where(table.c.id == key_id, ~was_lately).values(last_used_at=now)
    )


async def find_all(
    connection: AsyncConnection, namespace: Namespace | None = None
) -> Sequence[ApiKey]:
    """Return the keys of a namespace, or of all, oldest first."""
    table = schema.api_key
    query = sa.select(table).order_by(table.c.created_at, table.c.id)
    if namespace is not None:
        query = query.where(table.c.namespace == namespace)
    return [_key(row) for row in await connection.execute(query)]


async def revoke(connection: AsyncConnection, key_id: str) -> ApiKey | None:
    """Revoke a key and return it; one that was revoked before stays as it is. ``None``: there is none."""
    table = schema.api_key
    await connection.execute(
        sa.update(table)
        .where(table.c.id == key_id, table.c.revoked_at.is_(None))
        .values(revoked_at=sa.func.clock_timestamp())
    )
    found = await find(connection, key_id)
    return None if found is None else found.key


def _key(row: Any) -> ApiKey:
    return ApiKey(
        id=row.id,
        namespace=Namespace(row.namespace),
        scopes=tuple(row.scopes),
        note=row.note,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )

"""Previews as shown: the kinds of move that an approval of their id approves."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.ids import PreviewId
from statekeep.engine.routing.decision import Move
from statekeep.engine.routing.preview import Preview, summarize
from statekeep.engine.routing.version import Version
from statekeep.engine.statechart import semantics
from statekeep.engine.store import populations, schema
from statekeep.engine.store.versions import StoredVersion


async def compute(connection: AsyncConnection, version: Version, parent: StoredVersion) -> Preview:
    """Return what deploying ``version`` would do now; it need not be stored anywhere."""
    walk = await populations.histories(connection, version, parent)
    return summarize(version, await populations.decided(connection, walk, parent))


async def keep(connection: AsyncConnection, version: StoredVersion, preview: Preview) -> datetime:
    """Store what the preview showed; return when its kinds of move were first shown."""
    table = schema.preview
    moves = [[move.source, move.target, list(move.skipped)] for move, _ in preview.moves]
    await connection.execute(
        insert(table)
        .values(
            version_id=version.id,
            id=preview.id,
            content_digest=version.content_digest,
            moves=moves,
            evaluated_at=sa.func.now(),
            semantics=semantics.SEMANTICS,
        )
        .on_conflict_do_nothing()
    )
    query = sa.select(table.c.evaluated_at).where(
        table.c.version_id == version.id, table.c.id == preview.id
    )
    shown: datetime = (await connection.execute(query)).scalar_one()
    return shown


async def moves_shown(
    connection: AsyncConnection, version: StoredVersion, preview_id: PreviewId
) -> frozenset[Move] | None:
    """Return the kinds of move that a preview of this very content showed, or ``None``.

    A preview of what the version was before an edit shows nothing that could be approved now, nor does one
    that was made under another meaning of definitions.
    """
    table = schema.preview
    query = sa.select(table.c.moves).where(
        table.c.version_id == version.id,
        table.c.id == preview_id,
        table.c.content_digest == version.content_digest,
        table.c.semantics == semantics.SEMANTICS,
    )
    moves = (await connection.execute(query)).scalar_one_or_none()
    if moves is None:
        return None
    return frozenset(Move(source, target, tuple(skipped)) for source, target, skipped in moves)


async def shown_under(
    connection: AsyncConnection, version: StoredVersion, preview_id: PreviewId
) -> int | None:
    """Return under which meaning of definitions a preview was shown for this version, whatever its content."""
    table = schema.preview
    query = sa.select(table.c.semantics).where(
        table.c.version_id == version.id, table.c.id == preview_id
    )
    found: int | None = (await connection.execute(query)).scalar_one_or_none()
    return found

"""Let an actor remember the idempotency key of its spawn.

Older code may go on running: it leaves the column empty.
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column, and the index by which a retry finds the actor that it made."""
    op.execute("ALTER TABLE statekeep.actor ADD COLUMN idempotency_key text")
    op.execute(
        "CREATE UNIQUE INDEX actor_idempotency_idx ON statekeep.actor (namespace, idempotency_key)"
        " WHERE idempotency_key IS NOT NULL"
    )

"""Remember the idempotency keys of spawns. Older code may go on running: it writes none."""

from alembic import op

revision = "0004"
down_revision = "0003"

TABLE = """
CREATE TABLE statekeep.spawn_key (
  namespace       text NOT NULL,
  idempotency_key text NOT NULL,
  actor_key       uuid NOT NULL CONSTRAINT spawn_key_actor_key_fkey
    REFERENCES statekeep.actor (key) DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT spawn_key_pkey PRIMARY KEY (namespace, idempotency_key)
);

COMMENT ON TABLE statekeep.spawn_key IS
  'Idempotency keys of spawns: a retry finds the actor that it made.';
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(TABLE)

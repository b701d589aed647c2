"""Keys of callers of the event API.

Code of the revision before may still run: it knows no such table.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

TABLE = """
CREATE TABLE statekeep.api_key (
  id           text        CONSTRAINT api_key_pkey PRIMARY KEY,
  namespace    text        NOT NULL,
  scopes       text[]      NOT NULL CONSTRAINT api_key_scopes_check CHECK (cardinality(scopes) >= 1),
  digest       bytea       NOT NULL CONSTRAINT api_key_digest_check CHECK (octet_length(digest) = 32),
  note         text        NOT NULL,
  created_at   timestamptz NOT NULL,
  expires_at   timestamptz,
  revoked_at   timestamptz,
  last_used_at timestamptz
);
COMMENT ON TABLE statekeep.api_key IS
  'Who may call under --auth keys: a digest of the key, never the key.';
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(TABLE)

"""Number every change, so that the feed can follow the log.

Processes of the release before must have stopped: the actors that they spawn would be missing from
the feed. What is there already is numbered as it happened: within a machine by epoch, then by time.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

# No cache: a session that kept numbers back would use them too late.
TABLES = """
CREATE SEQUENCE statekeep.change_position AS bigint CACHE 1;

CREATE TABLE statekeep.spawn (
  position  bigint NOT NULL DEFAULT nextval('statekeep.change_position')
    CONSTRAINT spawn_pkey PRIMARY KEY,
  actor_key uuid   NOT NULL CONSTRAINT spawn_actor_key_fkey REFERENCES statekeep.actor (key)
);
COMMENT ON TABLE statekeep.spawn IS 'When, among all changes, each actor came to be.';

ALTER TABLE statekeep.event      ADD COLUMN position bigint;
ALTER TABLE statekeep.deployment ADD COLUMN position bigint;
"""

# A deployment comes before whatever has its epoch, an actor before its events, and these in their order
# even where the clock was set back between them.
NUMBERS = """
CREATE TEMPORARY TABLE numbered ON COMMIT DROP AS
SELECT kind, id, actor_key, seq, row_number() OVER (ORDER BY epoch, kind > 1, at, kind, seq) AS position
  FROM (
    SELECT 1 AS kind, d.epoch, d.id, NULL::uuid AS actor_key, NULL::bigint AS seq, d.at
      FROM statekeep.deployment d
    UNION ALL
    SELECT 2, a.spawn_epoch, NULL, a.key, 0, a.created_at FROM statekeep.actor a
    UNION ALL
    SELECT 3, e.epoch, NULL, e.actor_key, e.seq,
           greatest(a.created_at, max(e.at) OVER (PARTITION BY e.actor_key ORDER BY e.seq))
      FROM statekeep.event e
      JOIN statekeep.actor a ON a.key = e.actor_key
  ) AS change;

ALTER TABLE statekeep.deployment DISABLE TRIGGER append_only;
UPDATE statekeep.deployment d SET position = n.position FROM numbered n WHERE n.kind = 1 AND n.id = d.id;
ALTER TABLE statekeep.deployment ENABLE TRIGGER append_only;
INSERT INTO statekeep.spawn (position, actor_key)
  SELECT position, actor_key FROM numbered WHERE kind = 2 ORDER BY position;
UPDATE statekeep.event e SET position = n.position
  FROM numbered n WHERE n.kind = 3 AND (n.actor_key, n.seq) = (e.actor_key, e.seq);
SELECT setval('statekeep.change_position', max(position)) FROM numbered HAVING max(position) > 0;
"""

RULES = """
ALTER TABLE statekeep.event
  ALTER COLUMN position SET DEFAULT nextval('statekeep.change_position'),
  ALTER COLUMN position SET NOT NULL;
ALTER TABLE statekeep.deployment
  ALTER COLUMN position SET DEFAULT nextval('statekeep.change_position'),
  ALTER COLUMN position SET NOT NULL,
  ADD CONSTRAINT deployment_position_key UNIQUE (position);
CREATE INDEX event_position_idx ON statekeep.event (position);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON statekeep.spawn
  FOR EACH ROW EXECUTE FUNCTION statekeep.refuse_change();
CREATE TRIGGER fixed_position BEFORE UPDATE ON statekeep.event
  FOR EACH ROW WHEN (OLD.position <> NEW.position) EXECUTE FUNCTION statekeep.refuse_change();
"""


def upgrade() -> None:
    """Create what is missing, number what is there, and hold it to that."""
    op.execute(TABLES)
    op.execute(NUMBERS)
    op.execute(RULES)

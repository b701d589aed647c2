"""Drop foreign keys, and a second key, of what new ways and deployments write: statements read what they refer to.

What was a key twice is one once: a fingerprint follows from the parent's and the event. Code of the revision before
looks histories up by their fingerprint, which takes long from now on: stop it first.
"""

from alembic import op

revision = "0010"
down_revision = "0009"

GUARDS = """
CREATE OR REPLACE FUNCTION statekeep.refuse_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of statekeep.% stay: the log refers to them', TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER no_truncate BEFORE TRUNCATE ON statekeep.deployment
  FOR EACH STATEMENT EXECUTE FUNCTION statekeep.refuse_removal();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON statekeep.decision
  FOR EACH STATEMENT EXECUTE FUNCTION statekeep.refuse_removal();
"""

KEYS = """
CREATE UNIQUE INDEX history_root_idx ON statekeep.history (depth) WHERE parent_id IS NULL;
ALTER TABLE statekeep.history
  DROP CONSTRAINT history_fingerprint_key,
  DROP CONSTRAINT history_parent_id_fkey;
ALTER TABLE statekeep.cohort
  DROP CONSTRAINT cohort_history_id_fkey,
  DROP CONSTRAINT cohort_version_id_configuration_id_fkey;
ALTER TABLE statekeep.configuration DROP CONSTRAINT configuration_version_id_id_key;
ALTER TABLE statekeep.decision
  DROP CONSTRAINT decision_deployment_id_fkey,
  DROP CONSTRAINT decision_landing_id_fkey;
"""


def upgrade() -> None:
    """Guard first, then drop what the guards replace."""
    op.execute(GUARDS)
    op.execute(KEYS)

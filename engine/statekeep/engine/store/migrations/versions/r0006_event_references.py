"""Guard what events refer to by forbidding its deletion, and drop the foreign keys that cost a query an event.

A cohort may go once it is retired, which is when nobody can arrive there any more. Code of the release before may run
on: it writes the same rows, and only its pruning of versions is refused. Room is left in the pages of actors, so that
their updates can stay there and need no index.
"""

from alembic import op

revision = "0006"
down_revision = "0005"

GUARDS = """
CREATE FUNCTION statekeep.refuse_removal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'rows of statekeep.% stay: events refer to them', TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER no_delete BEFORE DELETE ON statekeep.actor
  FOR EACH ROW EXECUTE FUNCTION statekeep.refuse_removal();
CREATE TRIGGER no_delete BEFORE DELETE ON statekeep.cohort
  FOR EACH ROW WHEN (OLD.canonical) EXECUTE FUNCTION statekeep.refuse_removal();

CREATE TRIGGER no_truncate BEFORE TRUNCATE ON statekeep.actor
  FOR EACH STATEMENT EXECUTE FUNCTION statekeep.refuse_removal();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON statekeep.cohort
  FOR EACH STATEMENT EXECUTE FUNCTION statekeep.refuse_removal();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON statekeep.history
  FOR EACH STATEMENT EXECUTE FUNCTION statekeep.refuse_removal();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON statekeep.configuration
  FOR EACH STATEMENT EXECUTE FUNCTION statekeep.refuse_removal();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON statekeep.event
  FOR EACH STATEMENT EXECUTE FUNCTION statekeep.refuse_removal();
"""

KEYS = """
ALTER TABLE statekeep.event
  DROP CONSTRAINT event_actor_key_fkey,
  DROP CONSTRAINT event_history_id_fkey,
  DROP CONSTRAINT event_configuration_id_fkey;
ALTER TABLE statekeep.actor DROP CONSTRAINT actor_cohort_id_fkey;
"""


def upgrade() -> None:
    """Guard first, then drop what the guards replace."""
    op.execute(GUARDS)
    op.execute(KEYS)
    op.execute("ALTER TABLE statekeep.actor SET (fillfactor = 80)")

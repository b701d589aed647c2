"""Count actors after a deployment, and let cohorts be collected and tables be partitioned.

Code of the release before cannot run any more: it writes ``decision.actors``.
"""

from alembic import op

revision = "0007"
down_revision = "0006"

TALLY = """
CREATE TABLE statekeep.tally (
  deployment_id    integer NOT NULL,
  history_id       bigint  NOT NULL,
  configuration_id bigint  NOT NULL,
  actors           bigint  NOT NULL CONSTRAINT tally_actors_check CHECK (actors >= 1),
  CONSTRAINT tally_pkey PRIMARY KEY (deployment_id, history_id, configuration_id)
);
INSERT INTO statekeep.tally (deployment_id, history_id, configuration_id, actors)
  SELECT deployment_id, history_id, configuration_id, actors FROM statekeep.decision WHERE actors > 0;
ALTER TABLE statekeep.decision DROP COLUMN actors;
ALTER TABLE statekeep.decision DROP CONSTRAINT decision_history_id_fkey;
ALTER TABLE statekeep.decision DROP CONSTRAINT decision_configuration_id_fkey;
COMMENT ON TABLE statekeep.tally IS
  'How many actors a decision concerned; written once the deployment has happened.';

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON statekeep.tally
  FOR EACH ROW EXECUTE FUNCTION statekeep.refuse_change();
"""

DEPLOYMENT = """
ALTER TABLE statekeep.deployment
  ALTER COLUMN migrated DROP NOT NULL,
  ALTER COLUMN stayed DROP NOT NULL,
  ALTER COLUMN needs_rescue DROP NOT NULL,
  ADD CONSTRAINT deployment_counted_check CHECK (num_nulls(migrated, stayed, needs_rescue) IN (0, 3));

-- Until its actors have been counted, a deployment may be told its numbers and its time.
DROP TRIGGER append_only ON statekeep.deployment;
CREATE TRIGGER append_only BEFORE UPDATE ON statekeep.deployment
  FOR EACH ROW WHEN (
    OLD.migrated IS NOT NULL
    OR (OLD.id, OLD.machine_id, OLD.version_id, OLD.epoch, OLD.preview_id, OLD.approval, OLD.approved_by,
        OLD.started_at)
    IS DISTINCT FROM
    (NEW.id, NEW.machine_id, NEW.version_id, NEW.epoch, NEW.preview_id, NEW.approval, NEW.approved_by,
     NEW.started_at))
  EXECUTE FUNCTION statekeep.refuse_change();
"""

# Pruning names the deployment of the version that it removes: its decisions concerned nobody.
DECISION = """
DROP TRIGGER append_only ON statekeep.decision;
CREATE TRIGGER append_only BEFORE UPDATE ON statekeep.decision
  FOR EACH ROW EXECUTE FUNCTION statekeep.refuse_change();
CREATE TRIGGER no_delete BEFORE DELETE ON statekeep.decision
  FOR EACH ROW WHEN (OLD.deployment_id::text IS DISTINCT FROM current_setting('statekeep.pruned_deployment', true))
  EXECUTE FUNCTION statekeep.refuse_change();
"""

# A cohort is an index of the present: one that nobody is in is collected, and to look for its actors
# would be a scan for each. Actors are unique by their key, which follows from namespace and id: a
# second unique index could not be partitioned by the key.
COHORT = """
ALTER TABLE statekeep.actor DROP CONSTRAINT actor_namespace_id_key;
CREATE INDEX actor_namespace_id_idx ON statekeep.actor (namespace, id);
CREATE INDEX cohort_retired_idx ON statekeep.cohort (version_id) WHERE NOT canonical;
"""


def upgrade() -> None:
    """Move the counts first: the guards forbid it later."""
    op.execute(TALLY)
    op.execute(DEPLOYMENT)
    op.execute(DECISION)
    op.execute(COHORT)

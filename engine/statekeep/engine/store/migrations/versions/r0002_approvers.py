"""Remember who approved a deployment, and let a version go that nobody was ever on.

Code of the revision before may still run: the column may be empty, and the guards refuse no less of what it does.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

APPROVERS = """
ALTER TABLE statekeep.deployment ADD COLUMN approved_by text;
"""

# Pruning names the one version that it removes, for its own transaction; everything else stays append-only.
GUARDS = """
DROP TRIGGER append_only ON statekeep.configuration;
DROP TRIGGER append_only ON statekeep.deployment;
CREATE TRIGGER append_only BEFORE UPDATE ON statekeep.configuration
  FOR EACH ROW EXECUTE FUNCTION statekeep.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE ON statekeep.deployment
  FOR EACH ROW EXECUTE FUNCTION statekeep.refuse_change();
CREATE TRIGGER no_delete BEFORE DELETE ON statekeep.configuration
  FOR EACH ROW WHEN (OLD.version_id::text IS DISTINCT FROM current_setting('statekeep.pruned_version', true))
  EXECUTE FUNCTION statekeep.refuse_change();
CREATE TRIGGER no_delete BEFORE DELETE ON statekeep.deployment
  FOR EACH ROW WHEN (OLD.version_id::text IS DISTINCT FROM current_setting('statekeep.pruned_version', true))
  EXECUTE FUNCTION statekeep.refuse_change();
"""


def upgrade() -> None:
    """Add the column, narrow the guards."""
    op.execute(APPROVERS)
    op.execute(GUARDS)

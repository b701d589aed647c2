"""Write down with which meaning of definitions a version is kept and a preview was made.

Code of the release before may run on: it gives definitions the first meaning, which is the default.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

COLUMNS = """
ALTER TABLE statekeep.version ADD COLUMN semantics integer NOT NULL DEFAULT 1;
ALTER TABLE statekeep.preview ADD COLUMN semantics integer NOT NULL DEFAULT 1;
"""

# Of an applied version nothing changes but the meaning under which all that is stored of it has been checked.
FROZEN = """
DROP TRIGGER frozen ON statekeep.version;
CREATE TRIGGER frozen BEFORE UPDATE ON statekeep.version
  FOR EACH ROW WHEN (
    OLD.applied_at IS NOT NULL
    AND (to_jsonb(OLD) - 'semantics' IS DISTINCT FROM to_jsonb(NEW) - 'semantics'
         OR OLD.definition::text <> NEW.definition::text))
  EXECUTE FUNCTION statekeep.refuse_thaw();
"""


def upgrade() -> None:
    """Add the columns, then let them change."""
    op.execute(COLUMNS)
    op.execute(FROZEN)

"""Number deployments within their namespace, and keep a secret that cursors are sealed with.

So neither tells one namespace what others do. A trigger gives the numbers: code of the release before may run on.
"""

import secrets

from alembic import op
from sqlalchemy import text

revision = "0009"
down_revision = "0008"

NAMESPACE = """
CREATE TABLE statekeep.namespace (
  name        text    NOT NULL CONSTRAINT namespace_pkey PRIMARY KEY,
  deployments integer NOT NULL CONSTRAINT namespace_deployments_check CHECK (deployments >= 1)
);
COMMENT ON TABLE statekeep.namespace IS 'How many deployments a namespace has had.';

ALTER TABLE statekeep.deployment ADD COLUMN number integer;
ALTER TABLE statekeep.deployment DISABLE TRIGGER append_only;
UPDATE statekeep.deployment d SET number = n.number
  FROM (SELECT d.id, row_number() OVER (PARTITION BY m.namespace ORDER BY d.id) AS number
          FROM statekeep.deployment d JOIN statekeep.machine m ON m.id = d.machine_id) AS n
 WHERE d.id = n.id;
ALTER TABLE statekeep.deployment ENABLE TRIGGER append_only;
INSERT INTO statekeep.namespace (name, deployments)
  SELECT m.namespace, max(d.number)
    FROM statekeep.deployment d JOIN statekeep.machine m ON m.id = d.machine_id
   GROUP BY m.namespace;
"""

# Last of all before the commit, when a deployment is given its place in the feed: others of the namespace wait for
# this row.
NUMBERS = """
CREATE FUNCTION statekeep.number_deployment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO statekeep.namespace AS n (name, deployments)
    SELECT m.namespace, 1 FROM statekeep.machine m WHERE m.id = NEW.machine_id
    ON CONFLICT (name) DO UPDATE SET deployments = n.deployments + 1
    RETURNING n.deployments INTO NEW.number;
  RETURN NEW;
END $$;
CREATE TRIGGER numbered BEFORE UPDATE OF position ON statekeep.deployment
  FOR EACH ROW WHEN (NEW.number IS NULL) EXECUTE FUNCTION statekeep.number_deployment();
"""

TABLE = """
CREATE TABLE statekeep.secret (
  name  text  NOT NULL CONSTRAINT secret_pkey PRIMARY KEY,
  value bytea NOT NULL CONSTRAINT secret_value_check CHECK (octet_length(value) = 32)
);
COMMENT ON TABLE statekeep.secret IS
  'What every process of the API must know alike; it protects nothing from who reads the database.';
"""


def upgrade() -> None:
    """Number what is there, then what comes."""
    op.execute(NAMESPACE)
    op.execute(NUMBERS)
    op.execute(TABLE)
    keep = text("INSERT INTO statekeep.secret (name, value) VALUES ('cursors', :value)")
    op.execute(keep.bindparams(value=secrets.token_bytes(32)))

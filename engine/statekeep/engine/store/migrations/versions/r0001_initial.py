"""Create every table, the root of the histories, and the guards that keep the log append-only.

Nothing ran before this revision.
"""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE statekeep.machine (
  id        integer GENERATED ALWAYS AS IDENTITY CONSTRAINT machine_pkey PRIMARY KEY,
  namespace text    NOT NULL,
  name      text    NOT NULL,
  epoch     integer NOT NULL DEFAULT 0 CONSTRAINT machine_epoch_check CHECK (epoch >= 0),
  CONSTRAINT machine_namespace_name_key UNIQUE (namespace, name)
);

CREATE TABLE statekeep.version (
  id               integer     GENERATED ALWAYS AS IDENTITY CONSTRAINT version_pkey PRIMARY KEY,
  machine_id       integer     NOT NULL CONSTRAINT version_machine_id_fkey REFERENCES statekeep.machine (id),
  namespace        text        NOT NULL,
  name             text        NOT NULL,
  parent_id        integer     CONSTRAINT version_parent_check CHECK (parent_id <> id),
  path             jsonb       NOT NULL,
  unhandled_events text        NOT NULL
    CONSTRAINT version_unhandled_events_check CHECK (unhandled_events IN ('Stay', 'Skip')),
  completed_actors text        NOT NULL
    CONSTRAINT version_completed_actors_check CHECK (completed_actors IN ('Stay', 'Migrate')),
  unseen_moves     text        NOT NULL
    CONSTRAINT version_unseen_moves_check CHECK (unseen_moves IN ('Hold', 'Stay')),
  definition       json        NOT NULL,
  content_digest   bytea       NOT NULL,
  created_at       timestamptz NOT NULL,
  applied_at       timestamptz,
  CONSTRAINT version_namespace_name_key UNIQUE (namespace, name),
  CONSTRAINT version_machine_id_id_key UNIQUE (machine_id, id),
  CONSTRAINT version_machine_id_parent_id_fkey
    FOREIGN KEY (machine_id, parent_id) REFERENCES statekeep.version (machine_id, id)
);
CREATE UNIQUE INDEX version_root_idx ON statekeep.version (machine_id) WHERE parent_id IS NULL;

CREATE TABLE statekeep.preview (
  version_id     integer     NOT NULL
    CONSTRAINT preview_version_id_fkey REFERENCES statekeep.version (id) ON DELETE CASCADE,
  id             text        NOT NULL,
  content_digest bytea       NOT NULL,
  moves          jsonb       NOT NULL,
  evaluated_at   timestamptz NOT NULL,
  CONSTRAINT preview_pkey PRIMARY KEY (version_id, id)
);

CREATE TABLE statekeep.history (
  id          bigint  GENERATED ALWAYS AS IDENTITY CONSTRAINT history_pkey PRIMARY KEY,
  parent_id   bigint  CONSTRAINT history_parent_id_fkey REFERENCES statekeep.history (id),
  event_type  text    NOT NULL,
  depth       integer NOT NULL,
  fingerprint bytea   NOT NULL
    CONSTRAINT history_fingerprint_check CHECK (octet_length(fingerprint) = 32),
  CONSTRAINT history_parent_id_event_type_key UNIQUE (parent_id, event_type),
  CONSTRAINT history_fingerprint_key UNIQUE (fingerprint),
  CONSTRAINT history_root_check CHECK ((depth = 0) = (parent_id IS NULL))
);
INSERT INTO statekeep.history (parent_id, event_type, depth, fingerprint)
  VALUES (NULL, '', 0, sha256('statekeep/history/v1'));

CREATE TABLE statekeep.configuration (
  id         bigint  GENERATED ALWAYS AS IDENTITY CONSTRAINT configuration_pkey PRIMARY KEY,
  version_id integer NOT NULL CONSTRAINT configuration_version_id_fkey REFERENCES statekeep.version (id),
  digest     bytea   NOT NULL,
  document   json    NOT NULL,
  value      text    NOT NULL,
  label      text    NOT NULL,
  done       boolean NOT NULL,
  CONSTRAINT configuration_version_id_digest_key UNIQUE (version_id, digest),
  CONSTRAINT configuration_version_id_id_key UNIQUE (version_id, id)
);

CREATE TABLE statekeep.cohort (
  id               bigint  GENERATED ALWAYS AS IDENTITY CONSTRAINT cohort_pkey PRIMARY KEY,
  version_id       integer NOT NULL,
  history_id       bigint  NOT NULL CONSTRAINT cohort_history_id_fkey REFERENCES statekeep.history (id),
  configuration_id bigint  NOT NULL,
  canonical        boolean NOT NULL,
  CONSTRAINT cohort_version_id_configuration_id_fkey
    FOREIGN KEY (version_id, configuration_id) REFERENCES statekeep.configuration (version_id, id)
);
CREATE UNIQUE INDEX cohort_canonical_idx ON statekeep.cohort (version_id, history_id) WHERE canonical;

CREATE TABLE statekeep.edge (
  cohort_id  bigint NOT NULL CONSTRAINT edge_cohort_id_fkey REFERENCES statekeep.cohort (id) ON DELETE CASCADE,
  event_type text   NOT NULL,
  target_id  bigint CONSTRAINT edge_target_id_fkey REFERENCES statekeep.cohort (id) ON DELETE CASCADE,
  CONSTRAINT edge_pkey PRIMARY KEY (cohort_id, event_type)
);
CREATE INDEX edge_target_id_idx ON statekeep.edge (target_id);

CREATE TABLE statekeep.actor (
  key                    uuid        NOT NULL CONSTRAINT actor_pkey PRIMARY KEY,
  namespace              text        NOT NULL,
  id                     text        COLLATE "C" NOT NULL,
  machine_id             integer     NOT NULL CONSTRAINT actor_machine_id_fkey REFERENCES statekeep.machine (id),
  cohort_id              bigint      NOT NULL CONSTRAINT actor_cohort_id_fkey REFERENCES statekeep.cohort (id),
  seq                    bigint      NOT NULL CONSTRAINT actor_seq_check CHECK (seq >= 0),
  context                bytea,
  body_digest            bytea       NOT NULL,
  spawn_epoch            integer     NOT NULL,
  spawn_configuration_id bigint      NOT NULL
    CONSTRAINT actor_spawn_configuration_id_fkey REFERENCES statekeep.configuration (id),
  created_at             timestamptz NOT NULL,
  updated_at             timestamptz NOT NULL,
  CONSTRAINT actor_namespace_id_key UNIQUE (namespace, id),
  CONSTRAINT actor_key_check CHECK (
    key = encode(substring(sha256(convert_to(namespace || '/' || id, 'UTF8')) FROM 1 FOR 16), 'hex')::uuid)
);
CREATE INDEX actor_machine_id_id_idx ON statekeep.actor (machine_id, id);

CREATE TABLE statekeep.event (
  actor_key        uuid        NOT NULL CONSTRAINT event_actor_key_fkey REFERENCES statekeep.actor (key),
  seq              bigint      NOT NULL CONSTRAINT event_seq_check CHECK (seq >= 1),
  history_id       bigint      NOT NULL CONSTRAINT event_history_id_fkey REFERENCES statekeep.history (id),
  configuration_id bigint      NOT NULL
    CONSTRAINT event_configuration_id_fkey REFERENCES statekeep.configuration (id),
  epoch            integer     NOT NULL,
  data             bytea,
  idempotency_key  text,
  body_digest      bytea,
  at               timestamptz NOT NULL,
  CONSTRAINT event_pkey PRIMARY KEY (actor_key, seq),
  CONSTRAINT event_idempotency_check CHECK ((idempotency_key IS NULL) = (body_digest IS NULL))
);
CREATE UNIQUE INDEX event_idempotency_idx ON statekeep.event (actor_key, idempotency_key)
  WHERE idempotency_key IS NOT NULL;

CREATE TABLE statekeep.ignored_event (
  actor_key        uuid        NOT NULL
    CONSTRAINT ignored_event_actor_key_fkey REFERENCES statekeep.actor (key),
  idempotency_key  text        NOT NULL,
  body_digest      bytea       NOT NULL,
  seq              bigint      NOT NULL,
  history_id       bigint      NOT NULL
    CONSTRAINT ignored_event_history_id_fkey REFERENCES statekeep.history (id),
  configuration_id bigint      NOT NULL
    CONSTRAINT ignored_event_configuration_id_fkey REFERENCES statekeep.configuration (id),
  at               timestamptz NOT NULL,
  CONSTRAINT ignored_event_pkey PRIMARY KEY (actor_key, idempotency_key)
);

CREATE TABLE statekeep.deployment (
  id           integer     GENERATED ALWAYS AS IDENTITY CONSTRAINT deployment_pkey PRIMARY KEY,
  machine_id   integer     NOT NULL
    CONSTRAINT deployment_machine_id_fkey REFERENCES statekeep.machine (id),
  version_id   integer     NOT NULL
    CONSTRAINT deployment_version_id_fkey REFERENCES statekeep.version (id),
  epoch        integer     NOT NULL CONSTRAINT deployment_epoch_check CHECK (epoch >= 1),
  preview_id   text        NOT NULL,
  approval     text        NOT NULL
    CONSTRAINT deployment_approval_check CHECK (approval IN ('Manual', 'Automatic')),
  migrated     bigint      NOT NULL,
  stayed       bigint      NOT NULL,
  needs_rescue bigint      NOT NULL,
  started_at   timestamptz NOT NULL,
  at           timestamptz NOT NULL,
  CONSTRAINT deployment_version_id_key UNIQUE (version_id),
  CONSTRAINT deployment_machine_id_epoch_key UNIQUE (machine_id, epoch)
);

CREATE TABLE statekeep.decision (
  deployment_id    integer NOT NULL
    CONSTRAINT decision_deployment_id_fkey REFERENCES statekeep.deployment (id),
  history_id       bigint  NOT NULL CONSTRAINT decision_history_id_fkey REFERENCES statekeep.history (id),
  configuration_id bigint  NOT NULL
    CONSTRAINT decision_configuration_id_fkey REFERENCES statekeep.configuration (id),
  landing_id       bigint  CONSTRAINT decision_landing_id_fkey REFERENCES statekeep.configuration (id),
  reason           text    CONSTRAINT decision_reason_check
    CHECK (reason IN ('Completed', 'PathNotInHistory', 'NeedsRescue', 'NotInPreview')),
  detail           text,
  skipped          jsonb   NOT NULL,
  actors           bigint  NOT NULL,
  CONSTRAINT decision_pkey PRIMARY KEY (deployment_id, history_id, configuration_id),
  CONSTRAINT decision_outcome_check CHECK ((landing_id IS NULL) = (reason IS NOT NULL))
);
"""

# An event may be sealed again under a new key; nothing else of the log ever changes.
GUARDS = """
CREATE FUNCTION statekeep.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'statekeep.% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON statekeep.history
  FOR EACH ROW EXECUTE FUNCTION statekeep.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON statekeep.configuration
  FOR EACH ROW EXECUTE FUNCTION statekeep.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON statekeep.ignored_event
  FOR EACH ROW EXECUTE FUNCTION statekeep.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON statekeep.deployment
  FOR EACH ROW EXECUTE FUNCTION statekeep.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON statekeep.decision
  FOR EACH ROW EXECUTE FUNCTION statekeep.refuse_change();
CREATE TRIGGER no_delete BEFORE DELETE ON statekeep.event
  FOR EACH ROW EXECUTE FUNCTION statekeep.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE ON statekeep.event
  FOR EACH ROW WHEN (
    (OLD.actor_key, OLD.seq, OLD.history_id, OLD.configuration_id, OLD.epoch, OLD.idempotency_key,
     OLD.body_digest, OLD.at, OLD.data IS NULL)
    IS DISTINCT FROM
    (NEW.actor_key, NEW.seq, NEW.history_id, NEW.configuration_id, NEW.epoch, NEW.idempotency_key,
     NEW.body_digest, NEW.at, NEW.data IS NULL))
  EXECUTE FUNCTION statekeep.refuse_change();

CREATE FUNCTION statekeep.refuse_thaw() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'version % is applied and frozen', OLD.name USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER frozen BEFORE UPDATE ON statekeep.version
  FOR EACH ROW WHEN (OLD.applied_at IS NOT NULL) EXECUTE FUNCTION statekeep.refuse_thaw();
"""


COMMENTS = """
COMMENT ON TABLE statekeep.machine IS
  'A family of versions; epoch counts its deployments.';
COMMENT ON TABLE statekeep.version IS
  'One definition. Until applied_at is set it may be edited; from then on it is frozen.';
COMMENT ON TABLE statekeep.preview IS
  'The kinds of move that a preview showed: what an approval of its id approves.';
COMMENT ON TABLE statekeep.history IS
  'The tree of histories; an actor''s history is a node.';
COMMENT ON TABLE statekeep.configuration IS
  'State value, history-state memory and status, interned per version.';
COMMENT ON TABLE statekeep.cohort IS
  'All actors on one version with one history, hence with one configuration.';
COMMENT ON TABLE statekeep.edge IS
  'The automaton, filled in lazily; no target: the event is not handled there.';
COMMENT ON TABLE statekeep.actor IS
  'One running instance; it points to its cohort.';
COMMENT ON TABLE statekeep.event IS
  'What every actor has processed; history and configuration as they were then.';
COMMENT ON TABLE statekeep.ignored_event IS
  'Events with a key that no transition took: kept so that a retry is told the same.';
COMMENT ON TABLE statekeep.deployment IS
  'One application of one version to the actors of its parent.';
COMMENT ON TABLE statekeep.decision IS
  'What one deployment said of one cohort; configuration_id is the one before.';
"""


def upgrade() -> None:
    """Create the tables, then the guards."""
    op.execute(TABLES)
    op.execute(GUARDS)
    op.execute(COMMENTS)

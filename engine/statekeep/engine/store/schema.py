"""The tables of schema ``statekeep``; what each row means, and what Postgres itself guarantees.

The log (``spawn``, ``event``, ``deployment``, ``decision``) is the truth and append-only; ``cohort`` and
``edge`` are an index of the present. Alembic revisions create all of this; a test compares the two.

What events and deployments write by the million has no foreign keys: each would cost a query and a row lock a row.
Instead, no row that is referred to can be deleted (triggers ``no_delete``, ``append_only`` and ``no_truncate``), and
the statement that writes references takes them from rows that it has locked or read.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "statekeep"

metadata = sa.MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    },
)


def _identity(kind: type[sa.Integer]) -> sa.Column[int]:
    return sa.Column("id", kind, sa.Identity(always=True), primary_key=True)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _bytes(name: str, *, nullable: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=nullable)


def _time(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.TIMESTAMP(timezone=True), nullable=nullable)


def _to(
    name: str, target: str, kind: type[sa.Integer] = sa.Integer, *, nullable: bool = False
) -> sa.Column[int]:
    return sa.Column(name, kind, sa.ForeignKey(f"{SCHEMA}.{target}"), nullable=nullable)


CHANGE_POSITION = sa.Sequence("change_position", data_type=sa.BigInteger(), metadata=metadata)
"""Where the next change stands in the feed. Drawn under the machine's lock and the actor's; never cached:
a session that kept numbers back would use them too late."""


def _position(*, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column(
        "position",
        sa.BigInteger,
        primary_key=primary_key,
        nullable=False,
        server_default=CHANGE_POSITION.next_value(),
    )


machine = sa.Table(
    "machine",
    metadata,
    _identity(sa.Integer),
    _text("namespace"),
    _text("name"),
    sa.Column("epoch", sa.Integer, nullable=False, server_default="0"),
    sa.UniqueConstraint("namespace", "name"),
    sa.CheckConstraint("epoch >= 0", name="epoch"),
    comment="A family of versions; epoch counts its deployments.",
)

version = sa.Table(
    "version",
    metadata,
    _identity(sa.Integer),
    _to("machine_id", "machine.id"),
    _text("namespace"),
    _text("name"),
    sa.Column("parent_id", sa.Integer),
    sa.Column("path", JSONB, nullable=False),
    _text("unhandled_events"),
    _text("completed_actors"),
    _text("unseen_moves"),
    sa.Column("definition", sa.JSON, nullable=False),
    _bytes("content_digest"),
    _time("created_at"),
    _time("applied_at", nullable=True),
    # Under which meaning of definitions all was stored that is stored of it; see takeover.
    sa.Column("semantics", sa.Integer, nullable=False, server_default="1"),
    sa.UniqueConstraint("namespace", "name"),
    # What the next constraint refers to: a parent is of the same family.
    sa.UniqueConstraint("machine_id", "id"),
    sa.ForeignKeyConstraint(
        ["machine_id", "parent_id"], [f"{SCHEMA}.version.machine_id", f"{SCHEMA}.version.id"]
    ),
    # A family has one root.
    sa.Index("version_root_idx", "machine_id", unique=True, postgresql_where="parent_id IS NULL"),
    sa.CheckConstraint("parent_id <> id", name="parent"),
    sa.CheckConstraint("unhandled_events IN ('Stay', 'Skip')", name="unhandled_events"),
    sa.CheckConstraint("completed_actors IN ('Stay', 'Migrate')", name="completed_actors"),
    sa.CheckConstraint("unseen_moves IN ('Hold', 'Stay')", name="unseen_moves"),
    comment="One definition. Until applied_at is set it may be edited; from then on it is frozen.",
)

preview = sa.Table(
    "preview",
    metadata,
    sa.Column(
        "version_id",
        sa.Integer,
        sa.ForeignKey(f"{SCHEMA}.version.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("id", sa.Text, primary_key=True),
    _bytes("content_digest"),
    sa.Column("moves", JSONB, nullable=False),
    _time("evaluated_at"),
    # Under which meaning of definitions it was computed.
    sa.Column("semantics", sa.Integer, nullable=False, server_default="1"),
    comment="The kinds of move that a preview showed: what an approval of its id approves.",
)

history = sa.Table(
    "history",
    metadata,
    _identity(sa.BigInteger),
    sa.Column("parent_id", sa.BigInteger),
    _text("event_type"),
    sa.Column("depth", sa.Integer, nullable=False),
    # Unique, since it follows from the parent's and the event.
    _bytes("fingerprint"),
    sa.UniqueConstraint("parent_id", "event_type"),
    # There is one root.
    sa.Index("history_root_idx", "depth", unique=True, postgresql_where="parent_id IS NULL"),
    sa.CheckConstraint("(depth = 0) = (parent_id IS NULL)", name="root"),
    sa.CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint"),
    comment="The tree of histories; an actor's history is a node.",
)

configuration = sa.Table(
    "configuration",
    metadata,
    _identity(sa.BigInteger),
    _to("version_id", "version.id"),
    _bytes("digest"),
    sa.Column("document", sa.JSON, nullable=False),
    _text("value"),
    _text("label"),
    sa.Column("done", sa.Boolean, nullable=False),
    sa.UniqueConstraint("version_id", "digest"),
    comment="State value, history-state memory and status, interned per version.",
)

cohort = sa.Table(
    "cohort",
    metadata,
    _identity(sa.BigInteger),
    sa.Column("version_id", sa.Integer, nullable=False),
    sa.Column("history_id", sa.BigInteger, nullable=False),
    # One of its version's.
    sa.Column("configuration_id", sa.BigInteger, nullable=False),
    sa.Column("canonical", sa.Boolean, nullable=False),
    # New arrivals join exactly one cohort.
    sa.Index(
        "cohort_canonical_idx",
        "version_id",
        "history_id",
        unique=True,
        postgresql_where="canonical",
    ),
    sa.Index("cohort_retired_idx", "version_id", postgresql_where="NOT canonical"),
    comment="All actors on one version with one history, hence with one configuration.",
)

edge = sa.Table(
    "edge",
    metadata,
    sa.Column(
        "cohort_id",
        sa.BigInteger,
        sa.ForeignKey(f"{SCHEMA}.cohort.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("event_type", sa.Text, primary_key=True),
    sa.Column("target_id", sa.BigInteger, sa.ForeignKey(f"{SCHEMA}.cohort.id", ondelete="CASCADE")),
    sa.Index(None, "target_id"),
    comment="The automaton, filled in lazily; no target: the event is not handled there.",
)

ACTOR_KEY = (
    "key = encode(substring(sha256(convert_to(namespace || '/' || id, 'UTF8')) FROM 1 FOR 16), "
    "'hex')::uuid"
)

actor = sa.Table(
    "actor",
    metadata,
    sa.Column("key", sa.Uuid, primary_key=True),
    _text("namespace"),
    # Listed in the order of code points, whatever the database's collation.
    sa.Column("id", sa.Text(collation="C"), nullable=False),
    _to("machine_id", "machine.id"),
    # No foreign key: a cohort that nobody is in is collected, and asking every actor takes too long.
    sa.Column("cohort_id", sa.BigInteger, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    _bytes("context", nullable=True),
    _bytes("body_digest"),
    sa.Column("spawn_epoch", sa.Integer, nullable=False),
    _to("spawn_configuration_id", "configuration.id", sa.BigInteger),
    _time("created_at"),
    _time("updated_at"),
    # Not unique by itself: the key is, which follows from both, and tables are spread by it.
    sa.Index(None, "namespace", "id"),
    # Pages of a machine's actors, in order.
    sa.Index(None, "machine_id", "id"),
    # The key follows from the name, so that every table can be spread over nodes by it alone.
    sa.CheckConstraint(ACTOR_KEY, name="key"),
    sa.CheckConstraint("seq >= 0", name="seq"),
    comment="One running instance; it points to its cohort.",
)

spawn_key = sa.Table(
    "spawn_key",
    metadata,
    sa.Column("namespace", sa.Text, primary_key=True),
    sa.Column("idempotency_key", sa.Text, primary_key=True),
    # Deferred: a key is claimed before the actor is there, so that of two spawns one waits for the other.
    sa.Column(
        "actor_key",
        sa.Uuid,
        sa.ForeignKey(f"{SCHEMA}.actor.key", deferrable=True, initially="DEFERRED"),
        nullable=False,
    ),
    comment="Idempotency keys of spawns: a retry finds the actor that it made.",
)

spawn = sa.Table(
    "spawn",
    metadata,
    _position(primary_key=True),
    sa.Column("actor_key", sa.Uuid, sa.ForeignKey(f"{SCHEMA}.actor.key"), nullable=False),
    comment="When, among all changes, each actor came to be.",
)

event = sa.Table(
    "event",
    metadata,
    # An actor that this transaction has locked; history and configuration of a cohort that it has
    # read. None of them is ever deleted.
    sa.Column("actor_key", sa.Uuid, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("history_id", sa.BigInteger, nullable=False),
    sa.Column("configuration_id", sa.BigInteger, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    _bytes("data", nullable=True),
    _text("idempotency_key", nullable=True),
    _bytes("body_digest", nullable=True),
    _time("at"),
    _position(),
    # The feed reads events in this order. Not unique: that would bar spreading events by actor.
    sa.Index(None, "position"),
    # A retry finds the event that it made.
    sa.Index(
        "event_idempotency_idx",
        "actor_key",
        "idempotency_key",
        unique=True,
        postgresql_where="idempotency_key IS NOT NULL",
    ),
    sa.CheckConstraint("seq >= 1", name="seq"),
    sa.CheckConstraint("(idempotency_key IS NULL) = (body_digest IS NULL)", name="idempotency"),
    comment="What every actor has processed; history and configuration as they were then.",
)

ignored_event = sa.Table(
    "ignored_event",
    metadata,
    sa.Column("actor_key", sa.Uuid, sa.ForeignKey(f"{SCHEMA}.actor.key"), primary_key=True),
    sa.Column("idempotency_key", sa.Text, primary_key=True),
    _bytes("body_digest"),
    sa.Column("seq", sa.BigInteger, nullable=False),
    _to("history_id", "history.id", sa.BigInteger),
    _to("configuration_id", "configuration.id", sa.BigInteger),
    _time("at"),
    comment="Events with a key that no transition took: kept so that a retry is told the same.",
)

deployment = sa.Table(
    "deployment",
    metadata,
    _identity(sa.Integer),
    _to("machine_id", "machine.id"),
    _to("version_id", "version.id"),
    sa.Column("epoch", sa.Integer, nullable=False),
    _text("preview_id"),
    _text("approval"),
    _text("approved_by", nullable=True),
    # Counted once it has happened; events do not wait for that.
    sa.Column("migrated", sa.BigInteger),
    sa.Column("stayed", sa.BigInteger),
    sa.Column("needs_rescue", sa.BigInteger),
    _time("started_at"),
    _time("at"),
    _position(),
    # In its namespace, from 1; given together with the position.
    sa.Column("number", sa.Integer),
    # A version is applied once.
    sa.UniqueConstraint("version_id"),
    sa.UniqueConstraint("position"),
    sa.UniqueConstraint("machine_id", "epoch"),
    sa.CheckConstraint("epoch >= 1", name="epoch"),
    sa.CheckConstraint("approval IN ('Manual', 'Automatic')", name="approval"),
    sa.CheckConstraint("num_nulls(migrated, stayed, needs_rescue) IN (0, 3)", name="counted"),
    comment="One application of one version to the actors of its parent.",
)

namespace = sa.Table(
    "namespace",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("deployments", sa.Integer, nullable=False),
    sa.CheckConstraint("deployments >= 1", name="deployments"),
    comment="How many deployments a namespace has had.",
)

decision = sa.Table(
    "decision",
    metadata,
    sa.Column("deployment_id", sa.Integer, primary_key=True, autoincrement=False),
    # Both are those of a cohort.
    sa.Column("history_id", sa.BigInteger, primary_key=True),
    sa.Column("configuration_id", sa.BigInteger, primary_key=True),
    # One of the deployment's version.
    sa.Column("landing_id", sa.BigInteger),
    _text("reason", nullable=True),
    _text("detail", nullable=True),
    sa.Column("skipped", JSONB, nullable=False),
    # A cohort migrates to a configuration, or stays for a reason.
    sa.CheckConstraint("(landing_id IS NULL) = (reason IS NOT NULL)", name="outcome"),
    sa.CheckConstraint(
        "reason IN ('Completed', 'PathNotInHistory', 'NeedsRescue', 'NotInPreview')", name="reason"
    ),
    comment="What one deployment said of one cohort; configuration_id is the one before.",
)

tally = sa.Table(
    "tally",
    metadata,
    # Those of a decision. It is counted on a snapshot that is older than the decision, which a
    # foreign key would not find.
    sa.Column("deployment_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("history_id", sa.BigInteger, primary_key=True),
    sa.Column("configuration_id", sa.BigInteger, primary_key=True),
    sa.Column("actors", sa.BigInteger, nullable=False),
    sa.CheckConstraint("actors >= 1", name="actors"),
    comment="How many actors a decision concerned; written once the deployment has happened.",
)

api_key = sa.Table(
    "api_key",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _text("namespace"),
    sa.Column("scopes", sa.ARRAY(sa.Text), nullable=False),
    _bytes("digest"),
    _text("note"),
    _time("created_at"),
    _time("expires_at", nullable=True),
    _time("revoked_at", nullable=True),
    _time("last_used_at", nullable=True),
    sa.CheckConstraint("octet_length(digest) = 32", name="digest"),
    sa.CheckConstraint("cardinality(scopes) >= 1", name="scopes"),
    comment="Who may call under --auth keys: a digest of the key, never the key.",
)

secret = sa.Table(
    "secret",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    _bytes("value"),
    sa.CheckConstraint("octet_length(value) = 32", name="value"),
    comment="What every process of the API must know alike; it protects nothing from who reads the database.",
)

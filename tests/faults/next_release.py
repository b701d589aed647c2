"""A schema change as a later release may bring it, made and taken back by Alembic while everything goes on.

It only adds, as a change must that old processes are to live through; but it locks the tables that every event
writes to, and fills what is there already.
"""

import time
from collections.abc import Callable

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from psycopg.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy.engine import make_url

PATIENCE_S = 120.0

_GATE = sa.text("lock table statekeep.actor in access exclusive mode")
"""Whoever writes events begins with this table, so that all of them wait here, holding nothing. Without it, changes
and events wait for each other in circles, and under a steady stream the change may never get through (tried)."""

_LOST_RACE = (DeadlockDetected, LockNotAvailable)


def apply(database_url: str) -> int:
    """Make the change; return how often it lost a race before."""
    return _until_done(database_url, _upgrade)


def take_back(database_url: str) -> int:
    """Undo it, for the next time."""
    return _until_done(database_url, _downgrade)


def _until_done(database_url: str, change: Callable[[Operations], None]) -> int:
    engine = sa.create_engine(make_url(database_url).set(drivername="postgresql+psycopg"))
    deadline, lost = time.monotonic() + PATIENCE_S, 0
    try:
        while True:
            try:
                with engine.begin() as connection:
                    connection.execute(_GATE)
                    change(Operations(MigrationContext.configure(connection)))
                return lost
            except sa.exc.OperationalError as error:
                if not isinstance(error.orig, _LOST_RACE) or time.monotonic() > deadline:
                    raise
                lost += 1
    finally:
        engine.dispose()


def _upgrade(op: Operations) -> None:
    """Add a column to busy tables, fill one, index another."""
    for table in ("decision", "event", "cohort", "actor"):
        op.add_column(table, sa.Column("note", sa.Text, server_default=""), schema="statekeep")
    op.execute("update statekeep.cohort set note = 'old' where id % 7 = 0")
    op.create_index("event_at_idx", "event", ["at"], schema="statekeep")
    op.create_table("remark", sa.Column("id", sa.Integer, primary_key=True), schema="statekeep")


def _downgrade(op: Operations) -> None:
    op.drop_table("remark", schema="statekeep")
    op.drop_index("event_at_idx", "event", schema="statekeep")
    for table in ("actor", "cohort", "event", "decision"):
        op.drop_column(table, "note", schema="statekeep")

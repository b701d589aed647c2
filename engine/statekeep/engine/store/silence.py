"""Why Postgres could not be asked: which database, and what it said, or what the network did; never a password."""

import re

import psycopg
import sqlalchemy as sa

from statekeep.engine.errors import StoreUnavailable

MAX_REASON = 300
"""Characters of what Postgres, or the system, says."""

_ATTEMPT = re.compile(r"connection to server (?:at|on socket) .*? failed: ")
_SEVERITY = re.compile(r"(?:FATAL|ERROR|PANIC):\s+")


def unavailable(error: Exception, url: sa.URL) -> StoreUnavailable:
    """Return the error that says why a database does not serve us.

    >>> refused = psycopg.OperationalError('connection to server at "db", port 5432 failed: FATAL:  no such role')
    >>> print(unavailable(refused, sa.make_url("postgresql://ann:secret@db/loans")))
    Postgres refused (database loans at db:5432): no such role
    """
    said = _said(error)
    spoke = bool(_SEVERITY.match(said)) or sqlstate(error) is not None
    reason = _SEVERITY.sub("", said, count=1)
    verb = "refused" if spoke else "did not answer"
    return StoreUnavailable(
        f"Postgres {verb} ({place(url)}){f': {reason[:MAX_REASON]}' if reason else ''}"
    )


def place(url: sa.URL) -> str:
    """Return the database that a URL names, as people call it.

    >>> place(sa.make_url("postgresql:///loans?host=/run/postgresql"))
    'database loans at /run/postgresql'
    """
    hosts = url.query.get("host", ())
    host = url.host or (hosts if isinstance(hosts, str) else ",".join(hosts)) or "localhost"
    name = url.database or url.username or "of the user's name"
    port = "" if host.startswith("/") else f":{url.port or 5432}"
    return f"database {name} at {host}{port}"


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of an error, of the driver or as SQLAlchemy wraps it."""
    return getattr(_cause(error), "sqlstate", None)


def _cause(error: BaseException) -> BaseException | None:
    return error.orig if isinstance(error, sa.exc.DBAPIError) else error


def _said(error: Exception) -> str:
    """Return the words of Postgres, libpq or the system, on one line; details of statements are left out."""
    match cause := _cause(error):
        case psycopg.Error() if cause.diag.message_primary:
            return cause.diag.message_primary
        case psycopg.Error():
            # Of several attempts, such as by IPv6 and IPv4, the last one speaks for all.
            text = str(cause).strip()
            last = _ATTEMPT.split(text)[-1]
            return last.partition("\n")[0].strip()
        case sa.exc.TimeoutError():
            return "no connection of the pool came free in time"
        case OSError():
            return cause.strerror or type(cause).__name__
        case _:
            return type(cause).__name__

"""Several statements in one round trip to Postgres.

psycopg's own pipeline waits for the socket at every statement, which costs more than a statement
itself. Here libpq is handed all of them, each prepared once a connection (unless the connection is not to
prepare any), and waited for once::

    prepare? execute  prepare? execute … sync ─▶
                                             ◀─ results … sync

The first statement that fails ends the round trip: Postgres skips the rest, and its error is raised.
Values are adapted by psycopg, binary in both directions. psycopg has Postgres forget all prepared
statements when a transaction is rolled back: then the next one that counts on them is run again.
"""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.engine.store.sql import Prepared

Call = tuple[Prepared, Mapping[str, object]]
"""A statement and its parameters, by name."""

Rows = list[tuple[Any, ...]]

COMMIT: Call = (Prepared(b"commit", ()), {})
_BEGIN: Call = (Prepared(b"begin", ()), {})

_KNOWN = "statekeep/prepared"
"""Under which a connection keeps the names of its prepared statements."""

_Key = tuple[bytes, tuple[int, ...]]
"""A statement's text and the types of its parameters: both make a prepared statement."""

_numbers = count()
"""Of prepared statements; none comes twice, since Postgres may know one that we have forgotten."""

_SUCCESS = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


async def exchange(connection: AsyncConnection, *calls: Call) -> list[Rows]:
    """Run the statements in order, in a transaction; return the rows of each that has columns.

    Raises:
        psycopg.Error: what the first statement that failed said; the transaction is to be rolled back.
    """
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    assert isinstance(driver, psycopg.AsyncConnection)
    if driver.info.transaction_status == pq.TransactionStatus.IDLE:
        calls = (_BEGIN, *calls)
    known: dict[_Key, bytes] = raw.info.setdefault(_KNOWN, {})
    try:
        results = await driver.wait(_exchanged(driver, known, calls))
    except psycopg.errors.InvalidSqlStatementName:
        known.clear()
        raise
    adapter = Transformer(driver)
    found: list[Rows] = []
    for result in results:
        if result.status == pq.ExecStatus.TUPLES_OK:
            adapter.set_pgresult(result)
            found.append(adapter.load_rows(0, result.ntuples, tuple))
    return found


def _exchanged(
    driver: psycopg.AsyncConnection[Any], known: dict[_Key, bytes], calls: Sequence[Call]
) -> PQGen[list[PGresult]]:
    """Send everything, then read everything; yield what has to be waited for."""
    libpq = driver.pgconn
    libpq.enter_pipeline_mode()
    try:
        preparing: dict[_Key, bytes] = {}
        expected = [key for call in calls for key in _send(driver, known, preparing, call)]
        libpq.pipeline_sync()
        while libpq.flush():
            if (yield Wait.RW) & Ready.R:
                libpq.consume_input()
        results: list[PGresult] = []
        failure: psycopg.Error | None = None
        for key in expected:
            result = yield from _next_result(libpq)
            if result.status not in _SUCCESS:
                failure = failure or psycopg.errors.error_from_result(result, driver.info.encoding)
            elif key is None:
                results.append(result)
            else:
                known[key] = preparing[key]
        yield from _next_result(libpq)  # that of the sync
    finally:
        _leave_pipeline(libpq)
    if failure is not None:
        raise failure
    return results


def _leave_pipeline(libpq: PGconn) -> None:
    """Leave the connection as others know it; one that still owes us results is of no use to anybody."""
    if libpq.status != pq.ConnStatus.OK:
        return
    try:
        libpq.exit_pipeline_mode()
    except psycopg.OperationalError:
        libpq.finish()


def _send(
    driver: psycopg.AsyncConnection[Any],
    known: Mapping[_Key, bytes],
    preparing: dict[_Key, bytes],
    call: Call,
) -> list[_Key | None]:
    """Queue a statement; return what the results will be of: a preparation, or ``None`` for the statement."""
    statement, parameters = call
    adapter = Transformer(driver)
    values = adapter.dump_sequence(
        [parameters[name] for name in statement.names], [PyFormat.BINARY] * len(statement.names)
    )
    key = (statement.text, tuple(adapter.types or ()))
    if driver.prepare_threshold is None:
        driver.pgconn.send_query_params(
            statement.text, values, key[1], adapter.formats, pq.Format.BINARY
        )
        return [None]
    name = known.get(key) or preparing.get(key)
    expected: list[_Key | None] = [None]
    if name is None:
        name = preparing[key] = b"statekeep_%d" % next(_numbers)
        driver.pgconn.send_prepare(name, *key)
        expected = [key, None]
    driver.pgconn.send_query_prepared(name, values, adapter.formats, pq.Format.BINARY)
    return expected


def _next_result(libpq: PGconn) -> PQGen[PGresult]:
    """Wait for the next result; between those of two statements libpq says that there is none."""
    for _ in range(2):
        while libpq.is_busy():
            yield Wait.R
            libpq.consume_input()
        if (result := libpq.get_result()) is not None:
            return result
    raise psycopg.OperationalError("the connection ended in the middle of a round trip")

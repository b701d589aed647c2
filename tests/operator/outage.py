"""A way to Postgres that can be blocked, as a network or a failing server would."""

from pathlib import Path
from random import Random

from sqlalchemy.engine import make_url
from tests.faults.proxy import Proxy


class Way:
    """A TCP port on loopback that leads to the Unix socket of a database URL."""

    def __init__(self, database_url: str) -> None:
        self.database_url = database_url
        address = make_url(database_url)
        self._proxy = Proxy(Random(0), Path(str(address.query["host"]), ".s.PGSQL.5432"))
        there = address.difference_update_query(["host"]).set(
            host="127.0.0.1", port=self._proxy.port
        )
        self.url = there.render_as_string(hide_password=False)

    def block(self) -> None:
        """Cut every connection, and let none through."""
        self._proxy.refuses = True
        self._proxy.cut_off()

    def unblock(self) -> None:
        self._proxy.refuses = False

    def close(self) -> None:
        self._proxy.close()

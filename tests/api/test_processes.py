"""``statekeep api`` as it is run: several workers on one port, probes of their own, behind a pooler."""

import asyncio
import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psutil
import psycopg
import pytest
from sqlalchemy.engine import make_url
from tests.api.definitions import LOAN_1
from tests.api.process import Api, ask
from tests.conftest import KEYS
from tests.dev.process import gone, statekeep, until
from tests.faults.proxy import Proxy
from tests.store.conftest import World

from statekeep.controller.api.workers import MAX_FAILURES
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE
from statekeep.engine.store.database import connect
from statekeep.engine.store.keyring import new_key_ring_text


@pytest.fixture
def loan(database_url: str) -> str:
    """The URL of a database in which the first loan version is in force."""

    async def propose() -> None:
        database = connect(database_url, KEYS)
        world = World(database)
        world.namespace = DEFAULT_NAMESPACE
        await world.propose("v1", LOAN_1)
        await database.close()

    asyncio.run(propose())
    return database_url


@contextlib.contextmanager
def running(*arguments: str, home: Path, url: str) -> Iterator[Api]:
    api = Api(home, url, *arguments)
    try:
        yield api
    except BaseException:
        api.kill()
        raise
    if api.process.poll() is None:
        api.send(signal.SIGTERM)
    assert api.end() == 0, api.output


def workers(api: Api) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(api.process.pid).children()
        if any("spawn_main" in part for part in child.cmdline())
    ]


def metric(text: str, series: str) -> float:
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(series))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def test_workers_share_a_port_and_what_they_count_is_summed(tmp_path: Path, loan: str) -> None:
    health = free_port()
    options = ("--workers", "2", "--health-host", "127.0.0.1", "--health-port", str(health))
    with running(*options, home=tmp_path, url=loan) as api:
        first, second = workers(api)
        assert ask(api.url + "/v1/actors", {"id": "a", "version": "v1"})[0] == 201
        for number in range(20):
            assert ask(f"{api.url}/v1/actors/a/events", {"type": "START"})[0] == 200, number
        assert ask(f"http://127.0.0.1:{health}/readyz") == (200, "ok\n")
        text = ask(f"http://127.0.0.1:{health}/metrics")[1]
        route = 'statekeep_api_requests_total{method="POST",route="/v1/actors/{id}/events"'
        assert metric(text, route) == 20
        assert metric(text, 'statekeep_api_events_total{outcome="Handled"}') == 1
        assert metric(text, 'statekeep_api_events_total{outcome="Ignored"}') == 19
        assert ask(api.url + "/metrics")[0] == 404
        port = int(api.url.rpartition(":")[2])
        for process in (first, second):
            assert port in {one.laddr.port for one in process.net_connections() if one.laddr}


def test_a_worker_that_dies_is_replaced_and_what_it_counted_is_kept(
    tmp_path: Path, loan: str
) -> None:
    health = free_port()
    options = ("--workers", "2", "--health-host", "127.0.0.1", "--health-port", str(health))
    with running(*options, home=tmp_path, url=loan) as api:
        for _ in range(10):
            ask(api.url + "/v1/versions")
        victim, _ = workers(api)
        victim.kill()
        api.line("a worker ended", "status=-9")
        until(lambda: len(workers(api)) == 2 and victim not in workers(api), "another worker")
        text = ask(f"http://127.0.0.1:{health}/metrics")[1]
        assert metric(text, 'statekeep_api_requests_total{method="GET",route="/v1/versions"') == 10


def test_workers_end_with_their_supervisor_however_that_ends(tmp_path: Path, loan: str) -> None:
    api = Api(tmp_path, loan, "--workers", "2")
    both = workers(api)
    assert len(both) == 2
    api.kill()
    gone(both)


def test_workers_that_cannot_start_end_everything(tmp_path: Path, loan: str) -> None:
    api = Api(tmp_path, loan, "--workers", "2")
    (tmp_path / "keys").write_text("broken")
    for worker in workers(api):
        worker.kill()
    assert api.end() == 1
    assert "a worker cannot serve: " in api.output
    assert api.output.splitlines()[-1] == "statekeep: a worker cannot start; the log says why"


def ends_of_workers(api: Api) -> int:
    return sum("a worker ended" in line for line in api.lines)


def test_a_worker_that_dies_while_the_database_is_away_ends_nobody(
    tmp_path: Path, loan: str
) -> None:
    target = make_url(loan)
    proxy = Proxy(Random(1), target=Path(f"{target.query['host']}/.s.PGSQL.{target.port or 5432}"))
    try:
        url = f"postgresql://{target.username}@127.0.0.1:{proxy.port}/{target.database}"
        with running("--workers", "2", home=tmp_path, url=url) as api:
            first, second = workers(api)
            with proxy.closed():
                first.kill()
                until(lambda: ends_of_workers(api) > MAX_FAILURES, "it has tried often")
                assert second in workers(api)
                assert ask(api.url + "/v1/versions")[0] == 503
            until(lambda: len(workers(api)) == 2, "another worker")
            until(lambda: ask(api.url + "/v1/versions")[0] == 200, "it serves again")
    finally:
        proxy.close()


def test_a_worker_that_cannot_start_ends_none_that_serves(tmp_path: Path, loan: str) -> None:
    with running("--workers", "2", home=tmp_path, url=loan) as api:
        first, second = workers(api)
        whole = (tmp_path / "keys").read_text()
        (tmp_path / "keys").write_text("broken")
        first.kill()
        until(lambda: ends_of_workers(api) > MAX_FAILURES, "it has tried often")
        assert second in workers(api)
        assert ask(api.url + "/v1/versions")[0] == 200
        (tmp_path / "keys").write_text(whole)
        since = len(api.lines)
        second.kill()
        api.line("a worker ended", "status=-9", since=since)
        until(lambda: len(workers(api)) == 2, "other workers")
        until(lambda: _answers(int(api.url.rpartition(":")[2])), "it serves again")
        assert ask(api.url + "/v1/versions")[0] == 200


@pytest.mark.parametrize("count", ["1", "2"])
def test_it_starts_again_on_its_port_while_a_client_still_has_a_connection(
    tmp_path: Path, loan: str, count: str
) -> None:
    with running("--workers", count, home=tmp_path, url=loan) as api:
        url = api.url
        client = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
        client.request("GET", "/healthz")
        assert client.getresponse().read()
    port = url.rpartition(":")[2]
    with (
        contextlib.closing(client),
        running("--workers", count, "--port", port, home=tmp_path, url=loan) as again,
    ):
        assert again.url == url
        assert ask(f"{url}/healthz")[0] == 200


def test_two_supervisors_never_share_a_port(tmp_path: Path, loan: str) -> None:
    with running("--workers", "2", home=tmp_path, url=loan) as api:
        status, output = statekeep(
            tmp_path,
            *("api", "--keys", str(tmp_path / "keys"), "--database-url", loan, "--workers", "2"),
            *("--port", api.url.rpartition(":")[2]),
        )
    assert status == 1
    assert "choose another --port" in output


def test_a_taken_port_is_refused_by_workers_too(tmp_path: Path, loan: str) -> None:
    keys = tmp_path / "keys"
    keys.write_text(new_key_ring_text())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, output = statekeep(
            tmp_path,
            *("api", "--keys", str(keys), "--database-url", loan, "--port", port),
            *("--workers", "2"),
        )
    assert status == 1
    assert "choose another --port" in output


@pytest.mark.parametrize("count", ["1", "2"])
def test_requests_in_flight_are_answered_when_it_is_told_to_stop(
    tmp_path: Path, loan: str, count: str
) -> None:
    with running("--workers", count, home=tmp_path, url=loan) as api:
        assert ask(api.url + "/v1/actors", {"id": "a", "version": "v1"})[0] == 201
        answers: list[tuple[int, object]] = []

        def send() -> None:
            answers.append(ask(f"{api.url}/v1/actors/a/events", {"type": "START"}))

        with psycopg.connect(loan) as blocker:
            blocker.execute("select from statekeep.actor for update")
            sender = threading.Thread(target=send)
            sender.start()
            waits = "select count(*) from pg_stat_activity where pg_backend_pid() = any(pg_blocking_pids(pid))"
            until(lambda: blocker.execute(waits).fetchone() == (1,), "the event waits")
            api.send(signal.SIGTERM)
            blocker.rollback()
        sender.join()
        [(status, body)] = answers
        assert status == 200
        assert body["seq"] == 1  # type: ignore[index]
        until(lambda: api.process.poll() is not None, "it has stopped, told once")


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="pgbouncer is not installed")
@pytest.mark.parametrize("count", ["1", "2"])
def test_it_works_through_a_pooler_that_changes_connections(
    tmp_path: Path, loan: str, count: str
) -> None:
    with (
        pooled(tmp_path, loan) as url,
        running(*("--workers", count, "--no-prepare"), home=tmp_path, url=url) as api,
    ):
        for number in range(30):
            path = f"{api.url}/v1/actors"
            assert ask(path, {"id": f"a{number}", "version": "v1"})[0] == 201
            status, body = ask(f"{path}/a{number}/events", {"type": "START", "data": {}})
            assert (status, body["seq"]) == (200, 1)
            assert ask(f"{path}/a{number}/events")[1]["events"][0]["data"] == {}


@contextlib.contextmanager
def pooled(home: Path, url: str) -> Iterator[str]:
    """Run PgBouncer in transaction mode before a database; yield the URL that leads through it."""
    target = make_url(url)
    port = free_port()
    host = target.query.get("host", target.host)
    (home / "pgbouncer.ini").write_text(
        f"""
[databases]
pooled = host={host} dbname={target.database} user={target.username} pool_size=3
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
"""
    )
    home.chmod(0o755)
    user = (
        ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        if not os.getuid()
        else []
    )
    process = subprocess.Popen(
        [*user, "pgbouncer", "-q", "pgbouncer.ini"],
        cwd=home,
        stderr=subprocess.PIPE,
        text=True,
    )
    through = f"postgresql://{target.username}@127.0.0.1:{port}/pooled"
    try:
        until(lambda: _answers(port) or process.poll() is not None, "pgbouncer")
        assert process.poll() is None, process.stderr and process.stderr.read()
        yield through
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True

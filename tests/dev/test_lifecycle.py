"""Starting and stopping: in order, by force, twice at once, and with nothing left behind."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console
from tests.dev.calls import call, get, place, spawn
from tests.dev.conftest import LOAN_1, ground, manifest
from tests.dev.process import ENVIRONMENT, PATIENCE_S, Dev, gone, statekeep, until

from statekeep.controller.api import server as api_server
from statekeep.controller.api.app import create
from statekeep.controller.api.server import SHUTDOWN_S
from statekeep.controller.dev import postgres, server, workspace
from statekeep.controller.manifest.manifest import DEFAULT_NAMESPACE
from statekeep.engine.store.database import Database
from statekeep.engine.store.keyring import new_key_ring_text

ENDLESS = (
    b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: application/x-ndjson\r\n\r\n"
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_in_order_and_all_is_there_afterwards(
    home: Path, number: signal.Signals
) -> None:
    (home / "manifests").mkdir()
    (home / "manifests" / "loan.yaml").write_text(manifest("loan-v1", LOAN_1))
    dev = Dev(home)
    dev.line("loan-v1: Applied")
    spawn(dev.url, "alice", "loan-v1", "START")
    children = dev.children()
    assert len(children) > 2
    dev.send(number)
    assert dev.end() == 0, dev.output
    assert "Stopped. Everything is kept in .statekeep" in dev.output
    assert "Traceback" not in dev.output
    gone(children)
    assert not (home / ".statekeep" / "server.json").exists()

    again = Dev(home)
    assert place(again.url, "alice") == ("loan-v1", "fee")
    assert again.stop() == 0


def test_killed_it_leaves_no_postgres_behind_and_the_next_one_starts(home: Path) -> None:
    dev = Dev(home)
    children = dev.children()
    dev.kill()
    again = Dev(home)
    gone(children)
    assert get(f"{again.url}/readyz") == {"status": "ok"}
    assert again.stop() == 0


def test_a_postgres_whose_keeper_was_killed_is_stopped_by_the_next_one(home: Path) -> None:
    dev = Dev(home)
    keeper, *rest = dev.children()
    keeper.kill()
    dev.kill()
    assert any(process.is_running() for process in rest)
    again = Dev(home)
    gone(rest)
    assert get(f"{again.url}/readyz") == {"status": "ok"}
    assert again.stop() == 0


def test_a_postgres_that_is_killed_is_started_again_and_all_is_there(home: Path) -> None:
    (home / "manifests").mkdir()
    (home / "manifests" / "loan.yaml").write_text(manifest("loan-v1", LOAN_1))
    dev = Dev(home)
    dev.line("loan-v1: Applied")
    spawn(dev.url, "alice", "loan-v1", "START")
    keeper = psutil.Process(dev.process.pid).children()[0]
    for turn in range(2):  # the second one is another process
        [postmaster] = keeper.children()
        postmaster.kill()
        until(lambda old=postmaster: keeper.children() not in ([], [old]), "another Postgres")  # type: ignore[misc]
        until(lambda: call(f"{dev.url}/readyz")[0] == 200, "the API to be ready again")
        spawn(dev.url, f"bob-{turn}", "loan-v1", "START")
    for name in ("alice", "bob-0", "bob-1"):
        assert place(dev.url, name) == ("loan-v1", "fee")
    assert dev.stop() == 0


def test_it_ends_when_its_postgres_cannot_be_started_again_and_says_where_to_look(
    home: Path,
) -> None:
    dev = Dev(home)
    keeper = psutil.Process(dev.process.pid).children()[0]
    [postmaster] = keeper.children()
    folder = home.resolve() / ".statekeep" / "postgres"
    (folder / "data" / "PG_VERSION").write_text("1\n")
    postmaster.kill()
    assert dev.end() == 1
    why = f"Postgres ended again after 6 starts in a row; see {folder / 'postgres.log'}"
    assert dev.lines[-1] == f"statekeep: {why}"
    assert "Traceback" not in dev.output


def test_it_ends_when_the_keeper_of_its_postgres_was_killed(home: Path) -> None:
    dev = Dev(home)
    keeper, *rest = dev.children()
    keeper.kill()
    assert dev.end() == 1
    assert dev.lines[-1] == "statekeep: the keeper of Postgres died"
    again = Dev(home)
    gone(rest)
    assert again.stop() == 0


def test_a_keeper_that_is_told_to_end_takes_its_postgres_along(home: Path) -> None:
    server = postgres.start(home / ".statekeep" / "postgres")
    children = psutil.Process(server.keeper.pid).children(recursive=True)
    server.keeper.terminate()
    gone(children)
    server.close()


def test_a_database_that_was_half_made_when_the_power_went_is_made_again() -> None:
    with ground() as home:
        draft = home / "postgres" / "data.new"
        draft.mkdir(parents=True)
        (draft / "PG_VERSION").write_text("16\n")
        server = postgres.start(home / "postgres", durable=False)
        assert (home / "postgres" / "data" / "PG_VERSION").exists()
        assert not draft.exists()
        server.close()


async def test_a_key_that_is_put_first_seals_without_a_restart(home: Path) -> None:
    data = home / ".statekeep"
    with workspace.claimed(data):
        async with server._database(data, Console(quiet=True)) as (_, database):
            path = workspace.keys_path(data)
            first = new_key_ring_text()
            path.write_text(first + path.read_text())
            async with asyncio.timeout(PATIENCE_S):
                while database.keys.sealing != first.partition(":")[0]:  # noqa: ASYNC110  (a file announces nothing)
                    await asyncio.sleep(0.05)


def test_a_second_one_on_the_same_data_is_refused_in_one_line(dev: Dev) -> None:
    status, output = statekeep(dev.home, "dev", "manifests", "--port", "0")
    assert status == 1
    [line] = output.splitlines()
    assert str(dev.process.pid) in line
    assert dev.url in line
    assert "choose another --data" in line
    assert get(f"{dev.url}/readyz") == {"status": "ok"}


def test_a_port_that_is_taken_is_one_clear_line(home: Path) -> None:
    (home / "manifests").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, output = statekeep(home, "dev", "manifests", "--port", str(port))
    assert status == 1
    [line] = [line for line in output.splitlines() if line.startswith("statekeep: ")]
    assert f"127.0.0.1:{port}" in line
    assert "--port" in line
    assert "Traceback" not in output


def test_without_a_folder_there_is_a_usage_line_and_no_workspace(tmp_path: Path) -> None:
    status, output = statekeep(tmp_path, "dev", "nowhere", "--port", "0")
    assert status == 2
    assert "'nowhere' does not exist" in output
    assert not (tmp_path / ".statekeep").exists()


def test_commands_say_in_one_line_that_no_server_is_running(tmp_path: Path) -> None:
    nobody = ("--server", "http://127.0.0.1:1")  # another test's, or the user's, may have 8080
    for arguments in (("demo",), ("actors", "list", *nobody), ("approve", "loan-v2", *nobody)):
        status, output = statekeep(tmp_path, *arguments)
        assert status == 1, arguments
        assert "make run" in output or "statekeep dev" in output
        assert output.startswith("statekeep: ")
        assert "Traceback" not in output


def test_all_of_it_ends_with_the_process_that_wanted_it_even_if_that_is_killed(
    home: Path,
) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.dev.process import Dev;"
        "dev = Dev(Path(sys.argv[1])); print(dev.process.pid, flush=True); sys.stdin.read()"
    )
    tester = subprocess.Popen(
        [sys.executable, "-c", script, str(home)],
        cwd=Path(__file__).parent.parent.parent,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert tester.stdout is not None
    dev = psutil.Process(int(tester.stdout.readline()))
    processes = [dev, *dev.children(recursive=True)]
    assert any("postgres" in process.name() for process in processes)
    tester.kill()
    tester.communicate()
    gone(processes)


def test_a_request_in_flight_is_answered_before_it_stops(home: Path) -> None:
    """Half a thousand events are on their way when the signal comes; all are answered, and kept."""
    (home / "manifests").mkdir()
    (home / "manifests" / "loan.yaml").write_text(manifest("loan-v1", LOAN_1))
    dev = Dev(home)
    dev.line("loan-v1: Applied")
    names = [f"n{number}" for number in range(40)]
    for name in names:
        spawn(dev.url, name, "loan-v1")
    host, port = dev.url.removeprefix("http://").split(":")
    events = [{"actor": name, "type": kind} for kind in ("START", "PAY") for name in names]
    body = json.dumps(events).encode()
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        until(lambda: place(dev.url, "n0")[1] != "idle", "the first event")
        dev.send(signal.SIGINT)
        with connection.makefile("rb") as answer:
            assert b"200" in answer.readline()
            while answer.readline().strip():
                pass
            results = json.loads(answer.readline() or b"[]")
    assert dev.end() == 0, dev.output
    assert all(result["handled"] for result in results)
    again = Dev(home)
    assert {place(again.url, name)[1] for name in names} == {"documents"}
    assert call(f"{again.url}/v1/actors/n0")[1]["seq"] == 2
    assert again.stop() == 0


def test_told_to_stop_again_it_breaks_off_what_is_in_flight(home: Path) -> None:
    dev = Dev(home)
    children = dev.children()
    host, port = dev.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(ENDLESS + b'14\r\n{"actor":"a"}       \r\n')
        assert b"200" in connection.recv(1024)
        started = time.monotonic()
        dev.send(signal.SIGINT)
        until(lambda: not (home / ".statekeep" / "server.json").exists(), "the first signal")
        dev.send(signal.SIGINT)
        assert dev.end() == 0, dev.output
        assert time.monotonic() - started < SHUTDOWN_S / 2
    assert "Stopped. Everything is kept in .statekeep" in dev.output
    gone(children)


async def test_a_client_that_never_reads_delays_the_end_no_longer_than_is_promised(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_server, "SHUTDOWN_S", 1.0)
    line = b"[]\n" * 5000
    much = ENDLESS + (b"%x\r\n%s\r\n" % (len(line), line)) * 4000
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        async with api_server.listening(create(database, DEFAULT_NAMESPACE), "127.0.0.1", 0) as url:
            host, port = url.removeprefix("http://").split(":")
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, (host, int(port)))
            with pytest.raises(TimeoutError):  # the server takes no more: its answers are not read
                await asyncio.wait_for(loop.sock_sendall(client, much), 5)
            started = time.monotonic()
    assert time.monotonic() - started < 1.5

"""What cannot be used is refused in one line, never with a traceback."""

import json
import os
import sys
from pathlib import Path

import pytest

from statekeep.controller.cli.main import main
from statekeep.controller.dev import workspace
from statekeep.controller.dev.workspace import Running
from statekeep.engine.store.keyring import new_key_ring_text

NOBODY = ("--server", "http://127.0.0.1:1")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Run":
    return Run(monkeypatch, capsys)


class Run:
    """Calls the command line as the console script does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[object, str]:
        """Return the exit status and the errors."""
        self._monkeypatch.setattr(sys, "argv", ["statekeep", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, self._capsys.readouterr().err

    def line(self, *arguments: str) -> str:
        """Return the one line of a refusal."""
        status, errors = self(*arguments)
        assert status == 1, errors
        [line] = errors.splitlines()
        assert line.startswith("statekeep: ")
        return line


@pytest.mark.parametrize(
    "url",
    ["", "foo", "mysql://someone:secret@h/x", "postgresql://h:secret/x", "postgresql://h/x?port=a"],
)
def test_a_url_of_no_postgres_is_refused(run: Run, url: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(new_key_ring_text())
    for command in (("db", "upgrade"), ("api", "--keys", str(keys))):
        line = run.line(*command, "--database-url", url)
        assert "a postgresql:// URL is needed" in line
        assert "secret" not in line


@pytest.mark.parametrize("content", [bytes(range(156, 256)), "k1: ü".encode()])
def test_a_file_that_is_no_key_ring_is_refused(run: Run, content: bytes, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_bytes(content)
    line = run.line("api", "--database-url", "postgresql://h/x", "--keys", str(keys))
    assert str(keys) in line
    assert "base64" in line


def test_data_below_a_file_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = run.line("dev", str(tmp_path), "--data", str(tmp_path / "file" / "data"))
    assert "Not a directory; choose another --data" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("spawn", "x\udcff", "--machine", "loan"),
        ("spawn", "x", "--machine", "loan", "--context", r'{"a": "\ud800"}'),
        ("send", "x\udcff", "PAY"),
    ],
)
def test_half_a_character_is_refused(run: Run, arguments: tuple[str, ...]) -> None:
    assert "is not valid Unicode" in run.line("actors", *arguments, *NOBODY)


def test_a_key_of_two_lines_is_refused(run: Run) -> None:
    status, errors = run("actors", "send", "z1", "A", "--key", "a\nb", *NOBODY)
    assert status == 2
    assert "a key has no line breaks" in errors


@pytest.mark.parametrize("pid", [10**30, 2**40, "1", None])
def test_a_process_that_cannot_be_does_not_run(tmp_path: Path, pid: object) -> None:
    entry = {"url": "http://127.0.0.1:1", "folder": "/", "pid": pid}
    (tmp_path / "server.json").write_text(json.dumps(entry))
    assert workspace.running(tmp_path) is None


def test_a_process_of_somebody_else_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    entry = {"url": "http://127.0.0.1:1", "folder": "/", "pid": 7}
    (tmp_path / "server.json").write_text(json.dumps(entry))
    assert workspace.running(tmp_path) == Running("http://127.0.0.1:1", Path("/"), 7)

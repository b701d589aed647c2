"""``statekeep simulate``: the path of states, for people and for other programs."""

import gzip
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from statekeep.controller.cli import coprocess
from statekeep.controller.cli.coprocess import answer
from statekeep.controller.cli.main import statekeep

LIGHT = {
    "id": "light",
    "initial": "red",
    "states": {"red": {"on": {"GO": "green"}}, "green": {"type": "final"}},
}


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(statekeep, ["simulate", *arguments], input=stdin)


def told(line: object) -> Any:
    raw = line if isinstance(line, bytes) else json.dumps(line).encode()
    return json.loads(answer(raw))


def test_the_table_shows_the_path_of_states(examples: Path) -> None:
    result = run(str(examples / "loan/loan-v2.yaml"), "START_APPLICATION", "NOPE", "SUBMIT_INFO")
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0] == ["#", "EVENT", "HANDLED", "STATE", "STATUS", "FINGERPRINT"]
    assert rows[1][:3] == ["0", "idle", "active"]
    assert rows[2][:5] == ["1", "START_APPLICATION", "yes", "applying", "active"]
    assert rows[3][:5] == ["2", "NOPE", "no", "applying", "active"]
    assert rows[4][:5] == ["3", "SUBMIT_INFO", "yes", "awaiting_fee", "active"]


def test_columns_are_aligned_whatever_the_width_of_a_character() -> None:
    machine = {
        "id": "m",
        "initial": "状態",
        "states": {"状態": {"on": {"A": "b"}}, "b": {"on": {"A": "状態"}}},
    }
    lines = run("-", "A", stdin=json.dumps(machine)).stdout.splitlines()
    columns = [
        len(line[: line.index("sha256")]) + line.count("状") + line.count("態")
        for line in lines[1:]
    ]
    assert len(set(columns)) == 1


def test_only_handled_events_enter_the_fingerprint() -> None:
    steps = json.loads(
        run("--format", "json", "-", "NO", "GO", "GO", stdin=json.dumps(LIGHT)).stdout
    )
    start = hashlib.sha256(b"statekeep/history/v1").digest()
    after = hashlib.sha256(start + b"GO").hexdigest()
    assert steps["initial"]["fingerprint"] == f"sha256:{start.hex()}"
    assert [step["fingerprint"] for step in steps["steps"]] == [
        f"sha256:{start.hex()}",
        f"sha256:{after}",
        f"sha256:{after}",
    ]
    assert [step["handled"] for step in steps["steps"]] == [False, True, False]
    assert steps["steps"][-1] == {
        "number": 3,
        "event": "GO",
        "handled": False,
        "stateValue": "green",
        "state": "green",
        "status": "done",
        "seq": 1,
        "fingerprint": f"sha256:{after}",
    }


def test_a_reserved_event_is_refused_with_the_reason() -> None:
    result = run("-", "xstate.init", stdin=json.dumps(LIGHT))
    assert result.exit_code == 2
    assert 'Event types that begin with "xstate." are raised by the machine itself' in result.stderr


def test_one_of_several_documents_is_chosen_by_name(tmp_path: Path) -> None:
    file = tmp_path / "both.yaml"
    file.write_text("id: a\ninitial: x\nstates: {x: {}}\n---\nid: b\ninitial: z\nstates: {z: {}}\n")
    assert run(str(file)).exit_code == 2
    assert "a, b" in run(str(file)).stderr
    assert " z " in run(str(file), "--name", "b").stdout
    assert run(str(file), "--name", "c").exit_code == 2


def test_an_invalid_definition_is_told_as_validate_tells_it(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    file.write_text('{"id": "m", "initial": "a", "states": {"a": {"on": {"GO": "nope"}}}}')
    result = run(str(file), "GO")
    assert result.exit_code == 1
    assert f"{file}:1:53: error[unknown-target] /states/a/on/GO" in result.stdout
    assert result.stdout == CliRunner().invoke(statekeep, ["validate", str(file)]).stdout


@pytest.mark.parametrize(
    "text", ["", "apiVersion: v1\nkind: Pod\n"], ids=["nothing", "somebody else's"]
)
def test_a_file_without_a_machine_is_refused(text: str) -> None:
    result = run("-", stdin=text)
    assert result.exit_code == 1
    assert "neither a manifest nor a machine" in result.stderr


def test_an_event_that_never_comes_to_rest_is_named() -> None:
    loop = {"always": [{"target": "b"}]}, {"always": [{"target": "a"}]}
    machine = {
        "id": "m",
        "initial": "i",
        "states": {"i": {"on": {"GO": "a"}}, "a": loop[0], "b": loop[1]},
    }
    result = run("-", "NO", "GO", stdin=json.dumps(machine))
    assert result.exit_code == 1
    assert "event 2: more than" in result.stderr
    assert "microsteps" in told({"id": 1, "definition": machine, "events": ["GO"]})["error"]


def test_a_line_is_answered_with_start_and_steps() -> None:
    assert told({"id": "x", "definition": LIGHT, "events": ["NO", "GO", "GO"]}) == {
        "id": "x",
        "initial": {"value": "red", "status": "active"},
        "steps": [
            {"value": "red", "status": "active", "handled": False},
            {"value": "green", "status": "done", "handled": True},
            {"value": "green", "status": "done", "handled": False},
        ],
    }


def test_the_order_of_keys_is_the_documents() -> None:
    regions = {
        "b": {"initial": "x", "states": {"x": {"on": {"E": "#m.out.b"}}}},
        "a": {"initial": "x", "states": {"x": {"on": {"E": "#m.out.a"}}}},
    }
    out = {"initial": "a", "states": {"a": {}, "b": {}}}
    machine = {
        "id": "m",
        "initial": "p",
        "states": {"p": {"type": "parallel", "states": regions}, "out": out},
    }
    assert told({"id": 1, "definition": machine, "events": ["E"]})["steps"][0]["value"] == {
        "out": "b"
    }


BAD_LINES = {
    "no JSON": b"{",
    "a constant that JSON lacks": b'{"id": NaN}',
    "no object": b"[]",
    "not UTF-8": b'"\xff"',
    "a huge number": b'{"id": ' + b"9" * 5000 + b"}",
    "deep nesting": b'{"definition": ' + b"[" * 200_000,
    "an id of the wrong type": b'{"id": {}}',
    "no definition": b'{"id": 7, "events": []}',
    "no events": json.dumps({"id": 7, "definition": LIGHT}).encode(),
    "an event that is no text": json.dumps({"id": 7, "definition": LIGHT, "events": [1]}).encode(),
    "an invalid definition": b'{"id": 7, "definition": {"initial": 3}, "events": []}',
    "half a character in a key": b'{"id": 7, "definition": {"states": {"\\ud800": {}}}, "events": []}',
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_answered_with_an_error(line: bytes) -> None:
    answered = told(line)
    assert answered["id"] == (7 if b'"id": 7' in line else None)
    assert list(answered) == ["id", "error"]
    assert answered["error"]


def test_half_a_character_is_an_event_like_any_other() -> None:
    line = json.dumps(
        {"id": "\ud800", "definition": LIGHT, "events": ["\ud800", "*", "xstate.init", ""]}
    )
    answered = told(line.encode())
    assert answered["id"] == "\ud800"
    assert [step["handled"] for step in answered["steps"]] == [False] * 4


def test_a_definition_beyond_a_limit_is_an_error() -> None:
    machine = {"id": "m", "states": {}, "description": "x" * 2_000_000}
    assert "bytes" in told({"id": 1, "definition": machine, "events": []})["error"]
    events = ["A"] * (coprocess.MAX_EVENTS + 1)
    assert (
        "more than 100,000 events"
        in told({"id": 1, "definition": LIGHT, "events": events})["error"]
    )


def test_an_answer_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coprocess, "MAX_ANSWER_CHARACTERS", 100)
    assert "characters" in told({"id": 1, "definition": LIGHT, "events": ["A"] * 9})["error"]


def test_a_line_that_is_too_long_is_skipped_and_the_next_one_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coprocess, "MAX_LINE_BYTES", 300)
    good = json.dumps({"id": 2, "definition": LIGHT, "events": []}).encode()
    written: list[str] = []
    coprocess.serve(io.BytesIO(b'{"id": 1' + b" " * 1000 + b"}\n\n  \n" + good), written.append)
    first, second = map(json.loads, written)
    assert first == {"id": None, "error": "the line has more than 300 bytes"}
    assert second["id"] == 2


def test_each_line_is_answered_before_the_next_one_is_sent() -> None:
    command = [sys.executable, "-m", "statekeep.controller.cli.main", "simulate", "--jsonl"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number, line in enumerate(
            [{"id": 0}, {"id": 1, "definition": LIGHT, "events": ["GO"]}, {"id": 2}]
        ):
            process.stdin.write(json.dumps(line).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == number
        process.stdin.close()
        assert process.wait() == 0


def test_a_coprocess_takes_no_file() -> None:
    assert run("--jsonl", "m.yaml").exit_code == 2
    assert run().exit_code == 2


def corpus() -> list[Any]:
    """Every thirtieth machine of the recorded corpus, where it has been copied into the tests."""
    found = sorted((Path(__file__).parents[1] / "conformance/data").glob("*.jsonl*"))
    rows = []
    for path in found:
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows += [json.loads(line) for line in text.splitlines()]
    return [row for row in rows if "expected" in row][::30]


def test_answers_agree_with_what_was_recorded_of_xstate() -> None:
    rows = corpus()
    assert rows
    for row in rows:
        answered = told({name: row[name] for name in ("id", "definition", "events")})
        wanted = [
            {k: step[k] for k in ("value", "status", "handled")}
            for step in row["expected"]["steps"]
        ]
        assert answered["steps"] == wanted, row["id"]

"""``statekeep validate``: every problem at once, each with its place."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from statekeep.controller.cli.main import statekeep

MACHINE = '{"id": "m", "initial": "a", "states": {"a": {"on": {"GO": "nope"}}}}'


def run(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(statekeep, ["validate", *map(str, arguments)], input=stdin)


def version(name: str, *, event: str = "GO", **spec: str) -> str:
    """Return a manifest whose machine handles one event."""
    lines = "".join(f"  {key}: {value}\n" for key, value in spec.items())
    return (
        f"apiVersion: statekeep.io/v1alpha1\nkind: MachineVersion\nmetadata: {{name: {name}}}\nspec:\n{lines}"
        f"  definition: {{id: m, initial: a, states: {{a: {{on: {{{event}: a}}}}}}}}\n---\n"
    )


def codes(result: Result) -> list[tuple[int, str]]:
    """Return (line, code) of each finding in JSON."""
    return [(found["line"], found["code"]) for found in json.loads(result.stdout)["findings"]]


def test_the_examples_are_valid(examples: Path) -> None:
    result = run("--strict", examples)
    assert result.exit_code == 0
    assert result.stdout.startswith("8 manifests, 0 machines in ")
    assert result.stdout.endswith(" files: 0 errors, 0 warnings\n")


def test_words_that_kubectl_reads_as_booleans_are_errors_of_a_manifest_as_preview_and_review_have_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "words.yaml"
    file.write_text(
        "apiVersion: statekeep.io/v1alpha1\nkind: MachineVersion\nmetadata: {name: v1}\n"
        "spec:\n  definition:\n    initial: a\n    states:\n"
        "      a:\n        on:\n          yes: off\n      off: {on: {GO: a}, meta: {mode: No}}\n"
    )
    result = run(file)
    assert result.exit_code == 1
    *found, summary = result.stdout.splitlines()
    place = "error[yaml-ambiguous] /spec/definition/states"
    assert [line.partition(": ")[2].partition(" without")[0] for line in found] == [
        f"{place}/a/on/yes: kubectl reads yes",
        f"{place}/a/on/yes: kubectl reads off",
        f"{place}/off: kubectl reads off",
        f"{place}/off/meta/mode: kubectl reads No",
    ]
    assert summary == "1 manifest, 0 machines in 1 file: 4 errors, 0 warnings"


def test_such_words_are_warnings_of_a_machine_which_kubectl_does_not_read(tmp_path: Path) -> None:
    file = tmp_path / "machine.yaml"
    file.write_text("{id: m, initial: a, states: {a: {on: {yes: a}}}}\n")
    result = run(file)
    assert result.exit_code == 0
    assert "warning[yaml-ambiguous] /states/a/on/yes: kubectl reads yes" in result.stdout


def test_yaml_manifest_and_statechart_problems_come_at_once(tmp_path: Path) -> None:
    file = tmp_path / "loan.yaml"
    file.write_text(
        "apiVersion: statekeep.io/v1alpha1\nkind: MachineVersion\nmetadata: {name: loan}\nspec:\n"
        "  aproval: Manual\n  definition:\n    id: m\n    initial: a\n    states:\n      a:\n        on:\n"
        "          GO: nope\n          GO: b\n      b: {on: {GO: a}}\n"
    )
    result = run(file)
    assert result.exit_code == 1
    *found, summary = result.stdout.splitlines()
    beginnings = (
        f'{file}:5:3: error[field-unknown] /spec/aproval: spec has no field "aproval"; did you mean approval?',
        f'{file}:12:11: error[unknown-target] /spec/definition/states/a/on/GO: "nope"',
        f"{file}:13:11: error[yaml-duplicate-key] /spec/definition/states/a/on/GO: the key GO is already in line 12",
    )
    assert len(found) == len(beginnings)
    assert all(line.startswith(start) for line, start in zip(found, beginnings, strict=True))
    assert summary == "1 manifest, 0 machines in 1 file: 3 errors, 0 warnings"


def test_warnings_alone_exit_with_zero_unless_strict() -> None:
    machine = '{"id": "m", "initial": "a", "states": {"a": {}}}'
    assert run("-", stdin=machine).exit_code == 0
    assert "<stdin>:1:40: warning[dead-end] /states/a" in run("-", stdin=machine).stdout
    assert run("--strict", "-", stdin=machine).exit_code == 1


def test_no_file_and_an_unknown_format_are_usage_errors() -> None:
    assert run().exit_code == 2
    assert run("--format", "xml", "-").exit_code == 2


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    result = run(tmp_path / "none.yaml")
    assert result.exit_code == 1
    assert "error[file-unreadable]" in result.stdout


def test_json_is_one_document_with_findings_and_counts(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    file.write_text(MACHINE)
    document = json.loads(run("--format", "json", file).stdout)
    assert document["counts"] == {
        "files": 1,
        "manifests": 0,
        "machines": 1,
        "ignored": 0,
        "errors": 1,
        "warnings": 0,
    }
    error = next(found for found in document["findings"] if found["severity"] == "error")
    assert error.pop("message")
    assert error == {
        "path": str(file),
        "line": 1,
        "column": 53,
        "pointer": "/states/a/on/GO",
        "code": "unknown-target",
        "severity": "error",
    }


def test_github_gets_workflow_commands_with_its_escapes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    file = tmp_path / "a,b%.json"
    file.write_text('{"id": "m", "initial": "100%", "states": {"a": {"on": {"GO": "a"}}}}')
    first = run("--format", "github", file).stdout.splitlines()[0]
    assert first.startswith(
        '::error file=a%2Cb%25.json,line=1,col=13,title=unknown-initial::"100%25" is'
    )


def test_a_circle_of_parents_is_an_error_in_each_of_them(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(version("a", parentId="b"))
    (tmp_path / "b.yaml").write_text(version("b", parentId="a"))
    result = run("--format", "json", tmp_path)
    assert codes(result) == [(5, "parent-circle")] * 2
    assert "(a → b → a)" in json.loads(result.stdout)["findings"][0]["message"]


def test_a_circle_is_found_even_if_a_manifest_in_it_is_wrong_elsewhere() -> None:
    text = version("a", parentId="b", approval="Perhaps") + version("b", parentId="a")
    found = codes(run("--format", "json", "-", stdin=text))
    assert found == [(5, "parent-circle"), (6, "field-value"), (13, "parent-circle")]


def test_two_roots_of_one_machine_are_an_error_and_a_missing_parent_is_none() -> None:
    text = (
        version("r", machine="m") + version("s", machine="m") + version("t", parentId="elsewhere")
    )
    assert [code for _, code in codes(run("--format", "json", "-", stdin=text))] == [
        "second-root"
    ] * 2


def test_roots_in_different_namespaces_are_no_rivals() -> None:
    other = version("m").replace("{name: m}", "{name: m, namespace: other}")
    assert run("--strict", "-", stdin=version("m") + other).exit_code == 0


def test_a_machine_that_is_not_the_parents_is_an_error() -> None:
    text = version("a") + version("b", parentId="a") + version("c", parentId="b", machine="z")
    assert [code for _, code in codes(run("--format", "json", "-", stdin=text))] == [
        "machine-differs"
    ]


def test_an_event_that_an_ancestor_handled_is_missed() -> None:
    text = version("a", event="OLD") + version("b", parentId="a") + version("c", parentId="b")
    result = run("--format", "json", "-", stdin=text)
    assert result.exit_code == 0
    assert [code for _, code in codes(result)] == ["lost-event"] * 2
    assert json.loads(result.stdout)["findings"][0]["pointer"] == "/spec/definition"


def test_a_file_named_twice_is_read_once(examples: Path) -> None:
    file = examples / "loan/loan-v1.yaml"
    assert run(file, file, examples / "loan").stdout.startswith(
        "4 manifests, 0 machines in 4 files: 0 errors"
    )


def test_gitlab_gets_a_report_whose_fingerprints_outlive_an_edit_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI_PROJECT_DIR", str(tmp_path))
    file = tmp_path / "m.json"
    reports = []
    for text in (MACHINE, f"\n\n{MACHINE}"):
        file.write_text(text)
        result = run("--format", "gitlab", file)
        assert result.exit_code == 1
        reports.append(json.loads(result.stdout))
    [first, later] = [report[0] for report in reports]
    assert (first["check_name"], first["severity"]) == ("unknown-target", "major")
    assert first["location"] == {"path": "m.json", "lines": {"begin": 1}}
    assert later["location"]["lines"] == {"begin": 3}
    assert first["fingerprint"] == later["fingerprint"]
    assert len({issue["fingerprint"] for issue in reports[0]}) == len(reports[0])
    monkeypatch.chdir(tmp_path)
    [relative, *_] = json.loads(run("--format", "gitlab", "./m.json").stdout)
    assert relative["location"]["path"] == "m.json"


def test_what_is_said_twice_of_one_place_is_said_once() -> None:
    text = version("a").replace("states:", 'description: "\\0", states:')
    assert [code for _, code in codes(run("--format", "json", "-", stdin=text))] == [
        "text-character"
    ]


def test_other_resources_are_passed_over_and_strange_documents_warned_of(tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text("apiVersion: v1\nkind: Pod\n")
    (tmp_path / "package.json").write_text('{"name": "x"}')
    assert run("--strict", tmp_path).exit_code == 0
    assert run("--strict", tmp_path / "pod.yaml").exit_code == 0
    assert codes(run("--format", "json", tmp_path / "package.json")) == [(1, "not-a-machine")]


def test_nothing_in_a_file_can_steer_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "m\n.json"
    file.write_text('{"id": "m", "initial": "a", "states": {"a": {"on": {"GO": "\\u001b[2Jx"}}}}')
    result = run(file)
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert "m\\n.json:1:" in result.stdout


def test_a_process_validates_without_a_server(examples: Path) -> None:
    command = [sys.executable, "-m", "statekeep.controller.cli.main", "validate", str(examples)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

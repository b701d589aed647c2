"""What is read of a folder, whatever else lies in it."""

import os
from pathlib import Path

import pytest

from statekeep.controller.manifest.folder import Folder, read_files, read_folder
from statekeep.controller.manifest.limits import DEFAULT_LIMITS
from statekeep.engine.finding import Severity

HEAD = "apiVersion: statekeep.io/v1alpha1\nkind: MachineVersion\n"


def version(name: str, *, namespace: str | None = None, spec: str = "definition: {}") -> str:
    place = f", namespace: {namespace}" if namespace else ""
    return f"{HEAD}metadata: {{name: {name}{place}}}\nspec: {{{spec}}}\n"


def names(folder: Folder) -> list[str]:
    return [source.manifest.name for source in folder.sources]


def codes(folder: Folder) -> list[tuple[str, str, int]]:
    return [(Path(problem.path).name, problem.code, problem.line) for problem in folder.problems]


def test_manifests_are_read_in_the_order_of_their_paths(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.yaml").write_text(version("two") + "---\n" + version("three"))
    (tmp_path / "sub" / "c.yml").write_text(version("four"))
    (tmp_path / "a.json").write_text(
        '{"apiVersion": "statekeep.io/v1alpha1", "kind": "MachineVersion", "metadata": {"name": "one"}, '
        '"spec": {"definition": {}}}'
    )
    folder = read_folder(tmp_path)
    assert names(folder) == ["one", "two", "three", "four"]
    assert [(source.path.name, source.index) for source in folder.sources] == [
        ("a.json", 0),
        ("b.yaml", 0),
        ("b.yaml", 1),
        ("c.yml", 0),
    ]
    assert folder.problems == ()


def test_other_files_and_hidden_folders_are_not_read(tmp_path: Path) -> None:
    for place in (".statekeep", ".git", "docs"):
        (tmp_path / place).mkdir()
    (tmp_path / ".statekeep" / "a.yaml").write_text(version("hidden"))
    (tmp_path / ".git" / "a.yaml").write_text("'")
    (tmp_path / ".hidden.yaml").write_text("'")
    (tmp_path / "docs" / "a.md").write_text("'")
    (tmp_path / "a.yaml~").write_text("'")
    assert read_folder(tmp_path) == Folder((), (), 0)


def test_documents_of_others_are_counted_whatever_is_in_them(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("kind: Kustomization\nresources: [a.yaml]\n")
    (tmp_path / "stack.yaml").write_text("Resources:\n  a: !Ref b\n  a: 010\n")
    (tmp_path / "values.yaml").write_text(
        "- 1\n---\nfoo\n---\nkind: MachineVersion\napiVersion: example.com/v1\n"
    )
    folder = read_folder(tmp_path)
    assert (folder.sources, folder.problems, folder.ignored) == ((), (), 5)


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        (version("a").replace("v1alpha1", "v1beta1"), "/apiVersion"),
        (version("a").replace("statekeep.io/v1alpha1", "statekeep.io"), "/apiVersion"),
        (version("a").replace("MachineVersion", "MachineVersoin"), "/kind"),
        (version("a").replace("apiVersion: statekeep.io/v1alpha1", "a: b"), ""),
        (version("a").replace("kind: MachineVersion", "a: b"), ""),
    ],
)
def test_what_is_nearly_ours_is_a_problem(tmp_path: Path, text: str, pointer: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    folder = read_folder(tmp_path)
    assert pointer in [problem.pointer for problem in folder.problems]
    assert (folder.sources, folder.ignored) == ((), 0)


def test_one_broken_file_hides_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: '")
    (tmp_path / "b.yaml").write_bytes(b"a: b\nc: \xc3\xa9\xff")
    (tmp_path / "c.yaml").write_text(
        version("good") + "---\n" + version("bad", spec="definition: []") + "---\n'"
    )
    (tmp_path / "d.yaml").write_text(version("worse") + "spec: 010\n")
    (tmp_path / "e.yaml").write_bytes(b"\xff\xfea\0")
    folder = read_folder(tmp_path)
    assert names(folder) == ["good"]
    assert codes(folder) == [
        ("a.yaml", "yaml-syntax", 1),
        ("b.yaml", "file-encoding", 2),
        ("c.yaml", "field-type", 9),
        ("c.yaml", "yaml-syntax", 11),
        ("d.yaml", "yaml-duplicate-key", 5),
        ("d.yaml", "yaml-ambiguous", 5),
        ("e.yaml", "file-encoding", 1),
    ]


def test_a_problem_is_printed_as_compilers_do(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        HEAD + "metadata:\n  name: a\nspec:\n  approval: Manuel\n  definition: {}\n"
    )
    (problem,) = read_folder(tmp_path).problems
    assert str(problem) == (
        f'{tmp_path}/a.yaml:6:3: error[field-value] /spec/approval: approval is "Manuel": write Manual or Automatic; '
        "did you mean Manual?"
    )


def test_of_two_documents_with_one_name_neither_is_used(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(version("one") + "---\n" + version("two"))
    (tmp_path / "b.yaml").write_text(version("two", spec="definition: 1"))
    (tmp_path / "c.yaml").write_text(version("one", namespace="bank"))
    folder = read_folder(tmp_path)
    assert [(s.manifest.namespace, s.manifest.name) for s in folder.sources] == [
        (None, "one"),
        ("bank", "one"),
    ]
    twice = [problem for problem in folder.problems if problem.code == "name-twice"]
    assert [(Path(p.path).name, p.line) for p in twice] == [("a.yaml", 8), ("b.yaml", 3)]
    assert f"{tmp_path}/b.yaml:3" in twice[0].message
    assert f"{tmp_path}/a.yaml:8" in twice[1].message


def test_a_state_may_say_on_without_quotes_but_not_be_called_so(tmp_path: Path) -> None:
    definition = "definition: {on: {A: b}, initial: off, states: {off: {on: {B: c}}, c: {}}}"
    (tmp_path / "a.yaml").write_text(version("a", spec=definition))
    folder = read_folder(tmp_path)
    assert names(folder) == ["a"]
    assert {problem.severity for problem in folder.problems} == {Severity.WARNING}
    assert [problem.pointer for problem in folder.problems] == [
        "/spec/definition/initial",
        "/spec/definition/states/off",
    ]


def test_a_byte_order_mark_and_crlf_are_accepted(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + version("a").replace("\n", "\r\n").encode())
    assert names(read_folder(tmp_path)) == ["a"]


def test_symbolic_links_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.yaml").write_text(version("a"))
    (tmp_path / "real" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "self.yaml").symlink_to("self.yaml")
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    (tmp_path / "real" / "b.txt").write_text(version("b"))
    (tmp_path / "linked.yaml").symlink_to("real/b.txt")
    folder = read_folder(tmp_path)
    assert sorted(names(folder)) == ["a", "b"]
    assert codes(folder) == [
        ("gone.yaml", "file-unreadable", 0),
        ("self.yaml", "file-unreadable", 0),
    ]


def test_what_is_no_file_is_a_problem(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "a.yaml").write_text(version("a"))
    folder = read_folder(tmp_path)
    assert (names(folder), codes(folder)) == (["a"], [("pipe.yaml", "file-unreadable", 0)])


def test_what_is_no_folder_is_a_problem(tmp_path: Path) -> None:
    assert codes(read_folder(tmp_path / "nowhere")) == [("nowhere", "file-unreadable", 0)]
    (tmp_path / "a.yaml").write_text(version("a"))
    assert codes(read_folder(tmp_path / "a.yaml")) == [("a.yaml", "file-unreadable", 0)]


def test_files_are_read_whatever_their_names(tmp_path: Path) -> None:
    (tmp_path / "manifest").write_text(version("a"))
    folder = read_files([tmp_path / "manifest", tmp_path / "nowhere"])
    assert (names(folder), codes(folder)) == (["a"], [("nowhere", "file-unreadable", 0)])


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.yaml").open("wb") as file:
        file.truncate(DEFAULT_LIMITS.max_bytes + 1)
    (tmp_path / "b.yaml").write_text("é" * (DEFAULT_LIMITS.max_bytes // 2) + "é")
    assert codes(read_folder(tmp_path)) == [
        ("a.yaml", "yaml-too-large", 1),
        ("b.yaml", "yaml-too-large", 1),
    ]

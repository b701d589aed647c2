"""What is wrong in the folder is named with its place, harms nothing else, and heals when it is mended."""

from pathlib import Path

import pytest
from tests.dev.calls import call, get, place, spawn
from tests.dev.conftest import LOAN_1, LOAN_2, manifest
from tests.dev.process import Dev, statekeep, until


def _write(dev: Dev, name: str, text: str) -> Path:
    path = dev.home / "manifests" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def _root(dev: Dev, name: str) -> Path:
    """Put a root in force that is a machine of its own."""
    path = _write(dev, name, manifest(name, LOAN_1))
    dev.line(f"{name}: Applied")
    return path


def _preview(dev: Dev, name: str) -> str:
    """Return the id of the preview that the output asks to approve, the last time it did."""
    asked = [line for line in dev.lines if line.startswith(f"{name}: ") and 'approve: "' in line]
    return asked[-1].rpartition('approve: "')[2].rstrip('"')


BROKEN = {
    "broken-yaml": ("a: [1\nb: }\n", ":2:"),
    "unknown-field": (manifest("unknown-field", LOAN_1, approvall="Manual"), "approvall"),
    "bad-definition": (
        manifest("bad-definition", {"id": "m", "initial": "nowhere", "states": {"a": {}}}),
        "nowhere",
    ),
    "no-target": (
        manifest("no-target", {"id": "m", "initial": "a", "states": {"a": {"on": {"X": "b"}}}}),
        "/spec/definition/states/a/on/X",
    ),
    "self-parent": (manifest("self-parent", LOAN_1, parent="self-parent"), "its own parent"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_is_named_with_its_place_and_heals_when_it_is_mended(
    dev: Dev, name: str
) -> None:
    text, part = BROKEN[name]
    root = f"beside-{name}"
    _root(dev, root)
    since = len(dev.lines)
    path = _write(dev, name, text)
    line = dev.line(f"manifests/{name}.yaml:", "error[", part, since=since)
    assert int(line.split(":")[1]) >= 1
    assert call(f"{dev.url}/v1/versions/{name}")[0] == 404
    spawn(dev.url, f"actor-{name}", root, "START")
    since = len(dev.lines)
    path.write_text(manifest(name, LOAN_1))
    dev.line(f"{name}: Applied", since=since)
    assert get(f"{dev.url}/v1/versions/{name}")["standing"] == "Applied"


def test_two_documents_of_one_name_are_both_named_and_neither_is_used(dev: Dev) -> None:
    since = len(dev.lines)
    first = _write(dev, "twice-1", manifest("twice", LOAN_1))
    second = _write(dev, "twice-2", manifest("twice", LOAN_2))
    for path in (first, second):
        dev.line(f"manifests/{path.name}:", "declared in", "twice", since=since)
    second.unlink()
    dev.line("twice: Applied", since=since)


def test_a_parent_that_nobody_knows_is_waited_for(dev: Dev) -> None:
    _write(dev, "orphan", manifest("orphan", LOAN_2, parent="not-yet"))
    line = dev.line("orphan: AwaitingParent")
    assert "not-yet is not known" in line
    _root(dev, "not-yet")
    dev.line("orphan: AwaitingApproval")


def test_parents_in_a_circle_are_each_named(dev: Dev) -> None:
    names = ("ring-a", "ring-b", "ring-c")
    for name, parent in zip(names, ("ring-b", "ring-c", "ring-a"), strict=True):
        _write(dev, name, manifest(name, LOAN_2, parent=parent))
    for name in names:
        dev.line(f"manifests/{name}.yaml:", "error[parent-circle]")
    _write(dev, "ring-a", manifest("ring-a", LOAN_1))
    dev.line("ring-a: Applied")
    dev.line("ring-c: AwaitingApproval")


def test_an_edit_of_what_is_in_force_is_refused_and_changes_nothing(dev: Dev) -> None:
    path = _root(dev, "frozen")
    spawn(dev.url, "frozen-1", "frozen", "START", "PAY")
    path.write_text(manifest("frozen", LOAN_2))
    assert "definition" in dev.line("frozen: Immutable")
    assert get(f"{dev.url}/v1/versions/frozen")["definition"] == LOAN_1
    assert place(dev.url, "frozen-1") == ("frozen", "documents")
    since = len(dev.lines)
    path.write_text(manifest("frozen", LOAN_1))
    dev.line("frozen: Applied", since=since)


@pytest.mark.parametrize("namespace", [None, "elsewhere"])
def test_a_proposal_whose_manifest_goes_is_withdrawn(dev: Dev, namespace: str | None) -> None:
    name = f"goes-{namespace or 'default'}"
    root = manifest(name, LOAN_1, namespace=namespace)
    proposal = manifest(f"{name}-2", LOAN_2, parent=name, namespace=namespace)
    kept, path = _write(dev, name, root), _write(dev, f"{name}-2", proposal)
    dev.line(f"{name}-2: AwaitingApproval")
    url = f"{dev.url}/v1/namespaces/{namespace or 'default'}/versions"
    assert get(f"{url}/{name}-2")["standing"] == "Proposed"
    path.unlink()
    kept.unlink()
    dev.line(f"{name}-2 was withdrawn")
    assert call(f"{url}/{name}-2")[0] == 404
    assert get(f"{url}/{name}")["standing"] == "Applied"


def test_a_preview_is_approved_by_the_command(dev: Dev) -> None:
    _root(dev, "command")
    spawn(dev.url, "command-1", "command", "START", "PAY")
    path = _write(dev, "command-2", manifest("command-2", LOAN_2, parent="command"))
    dev.line("command-2: AwaitingApproval")
    status, output = statekeep(dev.home, "approve", "command-2")
    assert status == 0, output
    assert "applied; 1 migrated, 0 stayed, 0 need a rescue" in output
    assert place(dev.url, "command-1") == ("command-2", "income")
    annotated = path.read_text()
    assert annotated.count("statekeep.io/approve") == 1
    status, output = statekeep(dev.home, "approve", "command-2")
    assert (status, "applied already" in output) == (0, True)
    assert path.read_text() == annotated


def test_what_waits_for_its_parent_cannot_be_approved_yet_and_is_told_so(dev: Dev) -> None:
    _root(dev, "early")
    _write(dev, "early-2", manifest("early-2", LOAN_2, parent="early"))
    path = _write(dev, "early-3", manifest("early-3", LOAN_2, parent="early-2"))
    dev.line("early-3: AwaitingParent")
    before = path.read_text()
    status, output = statekeep(dev.home, "approve", "early-3")
    assert status == 1
    assert "the server has no preview of early-3 yet" in output
    assert "its parent is applied" in output
    assert path.read_text() == before


def test_a_preview_is_approved_in_the_file_and_an_unknown_one_is_not(dev: Dev) -> None:
    _root(dev, "file")
    spawn(dev.url, "file-1", "file", "START", "PAY")
    _write(dev, "file-2", manifest("file-2", LOAN_2, parent="file"))
    dev.line("file-2: AwaitingApproval", "1 of 1 actor")
    preview = _preview(dev, "file-2")
    wrong = {"statekeep.io/approve": "0" * 32}
    _write(dev, "file-2", manifest("file-2", LOAN_2, parent="file", annotations=wrong))
    dev.line("file-2: AwaitingApproval", "0" * 32, "is no preview of this version")
    assert place(dev.url, "file-1") == ("file", "documents")
    spaced = {"statekeep.io/approve": f"{preview} "}
    _write(dev, "file-2", manifest("file-2", LOAN_2, parent="file", annotations=spaced))
    dev.line("file-2: AwaitingApproval", "has spaces around it")
    assert place(dev.url, "file-1") == ("file", "documents")
    right = {"statekeep.io/approve": preview}
    _write(dev, "file-2", manifest("file-2", LOAN_2, parent="file", annotations=right))
    dev.line("file-2: Applied", "1 actor migrated")
    assert place(dev.url, "file-1") == ("file-2", "income")


def test_a_stale_approval_moves_nobody_and_says_what_to_approve_instead(dev: Dev) -> None:
    _root(dev, "stale")
    spawn(dev.url, "stale-1", "stale", "START")
    _write(dev, "stale-2", manifest("stale-2", LOAN_2, parent="stale"))
    dev.line("stale-2: AwaitingApproval", "1 of 1 actor")
    preview = _preview(dev, "stale-2")
    spawn(dev.url, "stale-2", "stale", "START", "PAY")
    old = {"statekeep.io/approve": preview}
    _write(dev, "stale-2", manifest("stale-2", LOAN_2, parent="stale", annotations=old))
    line = dev.line(
        "stale-2: PreviewChanged", "documents → income", "nothing was applied", "remove it"
    )
    assert place(dev.url, "stale-1") == ("stale", "fee")
    assert place(dev.url, "stale-2") == ("stale", "documents")
    assert get(f"{dev.url}/v1/versions/stale-2")["standing"] == "Proposed"
    new = {"statekeep.io/approve": line.rpartition('approve: "')[2].rstrip('"')}
    _write(dev, "stale-2", manifest("stale-2", LOAN_2, parent="stale", annotations=new))
    dev.line("stale-2: Applied", "2 actors migrated")
    assert place(dev.url, "stale-2") == ("stale-2", "income")


def test_an_approval_of_what_was_edited_since_moves_nobody(dev: Dev) -> None:
    _root(dev, "edited")
    spawn(dev.url, "edited-1", "edited", "START", "PAY")
    _write(dev, "edited-2", manifest("edited-2", LOAN_2, parent="edited"))
    dev.line("edited-2: AwaitingApproval", "1 of 1 actor")
    old = {"statekeep.io/approve": _preview(dev, "edited-2")}
    text = manifest("edited-2", LOAN_2, parent="edited", path=["START"], annotations=old)
    _write(dev, "edited-2", text)
    dev.line("edited-2: PreviewChanged", "was edited after")
    assert place(dev.url, "edited-1") == ("edited", "documents")


def test_a_folder_that_goes_and_comes_back_withdraws_nothing(dev: Dev) -> None:
    _root(dev, "moved")
    _write(dev, "moved-2", manifest("moved-2", LOAN_2, parent="moved"))
    dev.line("moved-2: AwaitingApproval")
    since = len(dev.lines)
    folder = dev.home / "manifests"
    aside = folder.rename(dev.home / "aside")
    dev.line("error[file-unreadable]", "manifests", since=since)
    assert get(f"{dev.url}/v1/versions/moved-2")["standing"] == "Proposed"
    aside.rename(folder)
    since = len(dev.lines)
    until(lambda: get(f"{dev.url}/readyz"), "readiness")
    _root(dev, "moved-too")
    assert get(f"{dev.url}/v1/versions/moved-2")["standing"] == "Proposed"

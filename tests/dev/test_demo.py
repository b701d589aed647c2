"""The whole demonstration, once in one go and once killed again and again."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.dev.calls import get
from tests.dev.process import ENVIRONMENT, Dev, Watched, statekeep

from statekeep.controller.cli.calls import CallFailed
from statekeep.controller.cli.demo import demo
from statekeep.controller.demo.approvals import refuse_early
from statekeep.controller.manifest.approval import approve
from statekeep.controller.manifest.folder import read_folder
from statekeep.engine.ids import PreviewId

ALICE = [
    ("loan-v2", "Migrate", "income_verify"),
    ("loan-v2-buggy", "Migrate", "awaiting_documents"),
    ("loan-v2-rescue", "Migrate", "manual_check"),
]
BOB = [("loan-v2", "Stay", "PathNotInHistory")]


@pytest.fixture
def stage(home: Path, examples: Path) -> Path:
    """The loan manifests where the dev server looks for its own."""
    shutil.copytree(examples / "loan", home / "manifests")
    return home


def _files(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (home / "manifests").iterdir()}


def _story(url: str) -> dict[str, Any]:
    """Return what the story is to lead to: counts, places, decisions, and that nothing is doubled."""
    counts = {
        name: tuple(
            get(f"{url}/v1/versions/{name}")["migration"][key]
            for key in ("migrated", "stayed", "needsRescue")
        )
        for name in ("loan-v2", "loan-v2-buggy", "loan-v2-rescue")
    }
    actors = {name: get(f"{url}/v1/actors/{name}") for name in ("alice", "bob")}
    decisions = {
        name: [
            (one["version"], one["outcome"], one.get("after", {}).get("state") or one["reason"])
            for one in get(f"{url}/v1/actors/{name}/decisions")["decisions"]
        ]
        for name in actors
    }
    return {
        "counts": counts,
        "places": {name: (one["version"], one["state"]) for name, one in actors.items()},
        "seqs": {name: one["seq"] for name, one in actors.items()},
        "decisions": decisions,
        "population": sum(one["actors"] for one in get(f"{url}/v1/versions")["versions"]),
    }


@pytest.fixture
def approved(examples: Path, tmp_path: Path) -> Path:
    """A checkout in which loan-v2 has been approved."""
    shutil.copytree(examples / "loan", tmp_path / "examples" / "loan")
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds" / "machineversions.yaml").touch()
    file = tmp_path / "examples" / "loan" / "loan-v2.yaml"
    file.write_text(approve(file.read_text(), "loan-v2", PreviewId("0" * 32)))
    return tmp_path


EARLY = "an approval is there already, for loan-v2 ("


def test_an_approval_that_is_not_applied_yet_is_named_with_its_file(approved: Path) -> None:
    sources = read_folder(approved / "examples" / "loan").sources
    with pytest.raises(CallFailed, match=re.escape(EARLY)) as refused:
        refuse_early(sources, applied={"loan-v1"})
    assert "loan-v2.yaml): remove the annotation statekeep.io/approve first" in str(refused.value)
    refuse_early(sources, applied={"loan-v2"})


def test_no_story_is_told_on_a_cluster_where_an_approval_is_there_already(
    approved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl = approved / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.touch(mode=0o755)  # it is looked for, and not run
    monkeypatch.setenv("PATH", str(kubectl.parent))
    monkeypatch.chdir(approved)
    done = CliRunner().invoke(demo, ["--cluster"])
    assert str(done.exception).startswith(EARLY)
    assert done.output == ""


EXPECTED = {
    "counts": {
        "loan-v2": (1_203, 847, 0),
        "loan-v2-buggy": (1_203, 0, 0),
        "loan-v2-rescue": (17, 1_186, 0),
    },
    "places": {"alice": ("loan-v2-rescue", "manual_check"), "bob": ("loan-v1", "under_review")},
    "seqs": {"alice": 6, "bob": 4},
    "decisions": {"alice": ALICE, "bob": BOB},
    "population": 2_050,
}


def test_the_story_ends_as_it_is_told_and_is_told_only_once(
    stage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "COLUMNS", "80")  # of nobody's terminal: it goes to a pipe
    before = _files(stage)
    dev = Dev(stage)
    status, output = statekeep(stage, "demo")
    assert status == 0, output
    assert "1,203 paid the fee, 847 had it waived." in output
    assert "Applied: 1,203 migrated, 847 stayed, 0 need a rescue." in output
    assert "17 checks timed out:" in output
    assert "Applied: 17 migrated, 1,186 stayed, 0 need a rescue." in output
    assert "(The story has" not in output
    # In a pipe no line is broken, nor the cell of a table.
    assert "its history matches [START_APPLICATION, SUBMIT_INFO, PAY_FEE]\n" in output
    assert "PathNotInHistory: event 3 is WAIVE_FEE, the path has PAY_FEE\n" in output
    assert _story(dev.url) == EXPECTED
    assert _files(stage) == before

    status, output = statekeep(stage, "demo")
    assert status == 1
    assert output.startswith("statekeep: the story has been played on this database")
    assert _story(dev.url) == EXPECTED
    assert _files(stage) == before
    assert dev.stop() == 0
    assert "Traceback" not in dev.output


def test_an_interrupted_story_goes_on_where_it_stopped(stage: Path) -> None:
    before = _files(stage)
    dev = Dev(stage)
    for moment in ("Approving it in loan-v2.yaml", "17 checks timed out"):
        demo = Watched(stage, "demo")
        demo.line(moment)
        demo.kill()
    own = stage / "manifests" / "loan-v2.yaml"
    own.write_text(own.read_text() + "# written meanwhile\n")
    before[own.name] = own.read_bytes()
    status, output = statekeep(stage, "demo")
    assert status == 0, output
    assert "An earlier demonstration was interrupted; this one goes on with it." in output
    assert _story(dev.url) == EXPECTED
    assert _files(stage) == before
    status, output = statekeep(stage, "demo")
    assert (status, "has been played" in output) == (1, True)
    assert dev.stop() == 0

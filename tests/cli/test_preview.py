"""``statekeep preview`` against the real API: what would happen, for people, pull requests and programs."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.store.conftest import NAMESPACE, World
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.controller.api.app import create
from statekeep.controller.api.server import listening
from statekeep.controller.cli import preview
from statekeep.controller.cli.calls import Server, calling
from statekeep.controller.manifest.manifest import Manifest
from statekeep.engine.ids import VersionName
from statekeep.engine.json import JsonObject
from statekeep.engine.store import passengers
from statekeep.engine.store.database import Database

Done = tuple[int, str, str]
"""Exit status, standard output, standard error."""


@pytest.fixture
async def world(database: Database) -> World:
    """Four actors on loan-1: two paid, one had the fee waived, one was sent back."""
    world = World(database)
    await world.propose("loan-1", LOAN_1, machine="loan")
    await world.spawn("ann", "loan-1", "START", "PAY")
    await world.spawn("bea", "loan-1", "START", "PAY")
    await world.spawn("cem", "loan-1", "START", "WAIVE")
    await world.spawn("dan", "loan-1", "START", "PAY", "UPLOAD", "BACK")
    return world


@pytest.fixture
async def server(world: World) -> AsyncIterator[str]:
    async with listening(create(world.database, NAMESPACE), "127.0.0.1", 0) as url:
        yield url


def manifest(name: str = "loan-2", definition: JsonObject = LOAN_2, **spec: Any) -> JsonObject:
    """Return a manifest that takes over those who paid."""
    wanted = {
        "parentId": "loan-1",
        "historyPath": ["START", "PAY"],
        **spec,
        "definition": definition,
    }
    return {
        "apiVersion": "statekeep.io/v1alpha1",
        "kind": "MachineVersion",
        "metadata": {"name": name},
        "spec": {key: value for key, value in wanted.items() if value is not None},
    }


async def run(server: str, document: JsonObject, *arguments: str) -> Done:
    """Run the real command on a manifest given to its standard input."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "statekeep.controller.cli.main", "preview", "-"),
        *("--server", server, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(json.dumps(document).encode())
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_table_has_counts_moves_stays_and_the_annotation(server: str) -> None:
    code, out, err = await run(server, manifest())
    assert (code, err) == (0, "")
    assert "2 of 4 actors on loan-1 would migrate, 1 would stay, 1 need a rescue" in out
    assert "warning[lost-event] /definition" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["2", "documents", "income"] in rows
    assert "PathNotInHistory" in out
    assert 'commit the annotation statekeep.io/approve: "' in out


async def test_the_comment_can_be_decided_by(server: str) -> None:
    code, out, _ = await run(server, manifest(), "--format", "markdown")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "<!-- statekeep-preview: default/loan-2 -->"
    assert lines[3] == "> [!WARNING]"
    assert "| 2 | <code>documents</code> | <code>income</code> |" in lines
    assert any(line.startswith("| 1 | <code>documents</code> | NeedsRescue |") for line in lines)
    assert (
        out.index("[!WARNING]")
        < out.index("would migrate")
        < out.index("```yaml")
        < out.index("```mermaid")
    )
    assert any(line.startswith('    state "income (+2)" as s') for line in lines)
    assert '        state "documents (2)" as b0' in lines


async def test_json_is_what_the_api_answered(server: str) -> None:
    _, out, _ = await run(server, manifest(), "--format", "json")
    answer = json.loads(out)
    assert answer["actors"] == {"evaluated": 4, "wouldMigrate": 2, "wouldStay": 1, "needsRescue": 1}
    assert [actor["id"] for actor in answer["migration"]["wouldMigrate"]["actors"]] == [
        "ann",
        "bea",
    ]


@pytest.mark.parametrize("looked_at", [1, 3, 10_000])
async def test_all_actors_are_paged_through_though_pages_may_be_empty(
    server: str, monkeypatch: pytest.MonkeyPatch, looked_at: int
) -> None:
    monkeypatch.setattr(preview, "PAGE", 1)
    monkeypatch.setattr(passengers, "ACTORS", looked_at)
    body = preview.request(
        Manifest(
            name=VersionName("loan-2"),
            definition=LOAN_2,
            parent_id=VersionName("loan-1"),
            history_path=("START", "PAY"),
        )
    )
    async with calling(Server(server)) as caller:
        answer = await preview.everybody_of(caller, "/v1/previews", body)
    listed = answer["migration"]
    assert [actor["id"] for actor in listed["wouldMigrate"]["actors"]] == ["ann", "bea"]
    assert [actor["id"] for actor in listed["wouldStay"]["actors"]] == ["cem", "dan"]
    assert "nextCursor" not in listed["wouldMigrate"]


async def test_all_gives_every_actor_to_a_program(server: str) -> None:
    code, out, err = await run(server, manifest(historyPath=None), "--format", "json", "--all")
    assert (code, err) == (0, "")
    assert len(json.loads(out)["migration"]["wouldMigrate"]["actors"]) == 3


async def test_a_rescue_fails_only_if_that_is_asked_for(server: str) -> None:
    assert (await run(server, manifest(), "--fail-on-rescue"))[0] == 3
    skipping = manifest(migration={"unhandledEvents": "Skip"})
    assert (await run(server, skipping, "--fail-on-rescue"))[0] == 0


async def test_errors_of_the_manifest_are_told_before_anything_is_sent() -> None:
    broken = manifest(
        definition={"id": "m", "initial": "nowhere", "states": {"a": {}}}, approval="No"
    )
    code, out, _ = await run("http://127.0.0.1:9", broken)
    assert code == 1
    assert "error[unknown-initial] /spec/definition/initial" in out
    assert "error[field-value] /spec/approval" in out


async def test_a_parent_that_is_not_applied_and_a_server_that_is_not_there_are_one_line(
    server: str,
) -> None:
    code, out, err = await run(server, manifest(parentId="loan-9"))
    assert (code, out) == (1, "")
    assert err.startswith("statekeep: parentId: version loan-9 is not applied")
    code, out, err = await run("http://127.0.0.1:9", manifest())
    assert (code, out) == (1, "")
    assert "does not answer" in err


async def test_a_root_has_nothing_to_preview() -> None:
    root = manifest("loan-1", LOAN_1, parentId=None, historyPath=None)
    for form in ("table", "markdown"):
        code, out, _ = await run("http://127.0.0.1:9", root, "--format", form)
        assert code == 0
        assert "loan-1 is a root" in out


async def test_usage_errors_exit_with_two(server: str) -> None:
    assert (await run(server, LOAN_1))[0] == 2
    assert (await run(server, manifest(), "--all"))[0] == 2
    assert (await run(server, manifest(), "-f", "other.yaml"))[0] == 2


async def test_the_file_may_be_given_as_an_option_and_hold_several(
    server: str, tmp_path: Path
) -> None:
    file = tmp_path / "both.yaml"
    file.write_text("\n---\n".join(json.dumps(manifest(name)) for name in ("loan-2", "loan-3")))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "statekeep.controller.cli.main", "preview", "-f", str(file)),
        *("--name", "loan-3", "--server", server),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert b"To approve loan-3" in out


@pytest.mark.parametrize("form", ["table", "markdown", "json"])
@pytest.mark.parametrize("parent", ["", "parentId: loan-1, "], ids=["a root", "a child"])
def test_words_that_kubectl_reads_as_booleans_are_pointed_at_and_nothing_is_offered_to_approve(
    form: str, parent: str, tmp_path: Path
) -> None:
    file = tmp_path / "quotes.yaml"
    file.write_text(
        "apiVersion: statekeep.io/v1alpha1\nkind: MachineVersion\nmetadata: {name: loan-2}\n"
        f"spec: {{{parent}definition: {{initial: a, states: {{a: {{on: {{YES: b, on: b}}}}, b: {{}}}}}}}}\n"
    )
    done = CliRunner().invoke(
        preview.preview, [str(file), "--format", form, "--server", "http://127.0.0.1:9"]
    )
    assert done.exit_code == 1
    assert (
        "error[yaml-ambiguous] /spec/definition/states/a/on/YES: kubectl reads YES" in done.output
    )
    assert "/spec/definition/states/a/on/on: kubectl reads on" in done.output
    assert (
        "states/a/on: " not in done.output
    )  # the key of a state's events is understood either way
    assert "there is no preview of loan-2" in done.output
    assert "approve:" not in done.output

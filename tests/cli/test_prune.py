"""``statekeep versions prune`` shows what it would remove, asks, and keeps whatever is declared."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.conftest import KEYS
from tests.store.conftest import World
from tests.store.definitions import LOAN_1

from statekeep.controller.cli.main import statekeep
from statekeep.engine.store.database import connect

DECLARED = """
apiVersion: statekeep.io/v1alpha1
kind: MachineVersion
metadata: {name: declared, namespace: default}
spec: {definition: {initial: a, states: {a: {}}}}
"""


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> "Run":
    (tmp_path / "declared.yaml").write_text(DECLARED)
    return Run(database_url, tmp_path)


class Run:
    """A database with three applied versions, and the command."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        asyncio.run(self._fill())

    async def _fill(self) -> None:
        database = connect(self.url, KEYS)
        world = World(database)
        for name in ("declared", "inhabited", "forgotten"):
            await world.propose(name, LOAN_1, machine=name)
        await world.spawn("alice", "inhabited", "START")
        await database.close()

    def __call__(self, *arguments: str, answer: str = "") -> Result:
        command = ["versions", "prune", "--database-url", self.url, *arguments]
        return CliRunner().invoke(statekeep, command, input=answer)

    @property
    def manifests(self) -> tuple[str, str]:
        return "--manifests", str(self.folder)


def test_only_what_nothing_needs_is_removed_and_only_after_a_yes(run: Run) -> None:
    refused = run(*run.manifests, answer="n\n")
    assert refused.exit_code == 1
    rows = [line.split(maxsplit=3)[1:] for line in refused.output.splitlines()[1:4]]
    assert [[name, why.strip()] for name, _, why in rows] == [
        ["declared", "its manifest is there"],
        ["forgotten", "– nothing needs it"],
        ["inhabited", "actors are on it"],
    ]
    removed = run(*run.manifests, answer="y\n")
    assert removed.exit_code == 0, removed.output
    assert "Remove 1 version for good?" in removed.output
    assert "default/forgotten: removed" in removed.output
    again = run(*run.manifests)
    assert again.exit_code == 0
    assert "Everything is needed" in again.output
    assert "forgotten" not in again.output


def test_a_broken_manifest_may_declare_anything_so_nothing_is_removed(run: Run) -> None:
    (run.folder / "broken.yaml").write_text("a: [1\n")
    refused = run(*run.manifests, "--yes")
    assert refused.exit_code == 1
    assert "a broken file may declare anything" in str(refused.exception)


def test_a_namespace_without_applied_versions_is_said_to_be_so(run: Run) -> None:
    nothing = run(*run.manifests, "-n", "elsewhere")
    assert nothing.exit_code == 0
    assert "no applied version" in nothing.output


def test_the_question_says_by_what_it_goes(run: Run) -> None:
    asked = run(*run.manifests, answer="n\n")
    assert f"for good? the folder {run.folder} declares 1 version" in asked.output


def test_where_nothing_is_declared_nothing_is_removed_unless_that_is_meant(
    run: Run, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    refused = run("--manifests", str(empty), "--yes")
    assert refused.exit_code == 1
    assert "declares 0 versions, none of the 3 versions that the database has applied" in str(
        refused.exception
    )
    meant = run("--manifests", str(empty), "--yes", "--none-declared")
    assert meant.exit_code == 0, meant.output
    assert "default/declared: removed" in meant.output
    assert "default/forgotten: removed" in meant.output
    assert "inhabited: removed" not in meant.output


def test_what_is_declared_while_the_question_is_open_is_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def declare(text: str, **_: object) -> bool:
        assert "Remove 1 version" in text
        manifest = DECLARED.replace("name: declared", "name: forgotten")
        (run.folder / "forgotten.yaml").write_text(manifest)
        return True

    monkeypatch.setattr("click.confirm", declare)
    kept = run(*run.manifests)
    assert kept.exit_code == 0, kept.output
    assert "default/forgotten: kept: its manifest is there by now" in kept.output

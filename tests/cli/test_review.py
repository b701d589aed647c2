"""``statekeep review`` in a git repository, against the real API and the forges' own: one comment that says it all."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.cli.forges import GITHUB_BOT, GITLAB_BOT, Forge, github, gitlab
from tests.store.conftest import NAMESPACE, World
from tests.store.definitions import LOAN_1, LOAN_2

from statekeep.controller.api.app import create
from statekeep.controller.api.server import listening
from statekeep.engine.json import JsonObject
from statekeep.engine.store.database import Database

NOBODY = "http://127.0.0.1:9"
GIT_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{
        f"GIT_{who}_{what}": "ann@example.com"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    },
}


def manifest(name: str, definition: JsonObject = LOAN_2, *, approve: str = "", **spec: Any) -> Any:
    """Return a manifest; those who paid come over, unless ``spec`` says otherwise."""
    annotations = {"annotations": {"statekeep.io/approve": approve}} if approve else {}
    wanted = {"parentId": "loan-1", "historyPath": ["START", "PAY"], **spec}
    return {
        "apiVersion": "statekeep.io/v1alpha1",
        "kind": "MachineVersion",
        "metadata": {"name": name, **annotations},
        "spec": {key: value for key, value in wanted.items() if value is not None}
        | {"definition": definition},
    }


def root(name: str) -> Any:
    machine = name.partition("-")[0]
    return manifest(name, LOAN_1, machine=machine, parentId=None, historyPath=None)


@dataclass
class Done:
    """What a run came to."""

    status: int
    out: str
    err: str

    def section(self, name: str) -> str:
        """Return what the comment says of one version, or of one file."""
        _, _, rest = self.out.partition(f"### <code>{name}</code>")
        assert rest, self.out
        return rest.partition("\n### ")[0]


@dataclass
class Repository:
    """A branch that left ``main``, with a server to ask."""

    root: Path
    server: str

    def git(self, *arguments: str) -> str:
        environment = {**os.environ, **GIT_ENVIRONMENT}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.root,
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def write(self, name: str, *documents: Any) -> None:
        """Write a file of manifests."""
        path = self.root / "machines" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n---\n".join(map(json.dumps, documents)))

    def remove(self, name: str) -> None:
        self.git("rm", "-q", f"machines/{name}")

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "x")

    async def review(self, *arguments: str, server: str | None = None, **environment: str) -> Done:
        """Commit everything, and run the command as a job does."""
        self.commit()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "statekeep.controller.cli.main", "review"),
            *("--since", "main", "machines", "--server", server or self.server, *arguments),
            cwd=self.root,
            env={**os.environ, **GIT_ENVIRONMENT, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        assert b"Traceback" not in err, err.decode()
        return Done(process.returncode, out.decode(), err.decode())


@pytest.fixture
async def world(database: Database) -> World:
    """Three actors on loan-1, two of whom paid; loan-1b is in force too."""
    world = World(database)
    await world.propose("loan-1", LOAN_1, machine="loan")
    await world.spawn("ann", "loan-1", "START", "PAY")
    await world.spawn("bea", "loan-1", "START", "PAY")
    await world.spawn("cem", "loan-1", "START", "WAIVE")
    return world


@pytest.fixture
async def repository(world: World, tmp_path: Path) -> AsyncIterator[Repository]:
    async with listening(create(world.database, NAMESPACE), "127.0.0.1", 0) as url:
        repository = Repository(tmp_path / "repository", url)
        repository.root.mkdir()
        repository.git("init", "-q", "-b", "main")
        repository.write("loan-1.yaml", root("loan-1"))
        repository.commit()
        repository.git("checkout", "-q", "-b", "branch")
        yield repository


@dataclass
class Site:
    """A forge, and the job that it runs for pull request 7."""

    forge: Forge
    kind: str
    bot: str
    job: dict[str, str]

    async def review(self, repository: Repository, *arguments: str, **environment: str) -> Done:
        return await repository.review(
            "--post", self.kind, *arguments, **{**self.job, **environment}
        )

    @property
    def comments(self) -> list[str]:
        """What we have said."""
        return self.forge.bodies(self.bot)


Application = Callable[[Forge], web.Application]


@pytest.fixture(params=["github", "gitlab"])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """Each forge in turn."""
    forge = Forge()
    application: Application = {"github": github, "gitlab": gitlab}[request.param]
    async with TestServer(application(forge)) as server:
        url = str(server.make_url("/")).rstrip("/")
        if request.param == "github":
            event = tmp_path / "event.json"
            event.write_text(json.dumps({"action": "opened", "pull_request": {"number": 7}}))
            job = {
                "GITHUB_API_URL": url,
                "GITHUB_TOKEN": "job",
                "GITHUB_REPOSITORY": "acme/loans",
                "GITHUB_EVENT_PATH": str(event),
            }
            yield Site(forge, "github", GITHUB_BOT, job)
        else:
            job = {
                "CI_API_V4_URL": f"{url}/api/v4",
                "GITLAB_TOKEN": "project",
                "CI_PROJECT_ID": "9",
                "CI_MERGE_REQUEST_IID": "7",
            }
            yield Site(forge, "gitlab", GITLAB_BOT, job)


async def test_the_comment_can_be_decided_by(repository: Repository) -> None:
    repository.write("loan-2.yaml", manifest("loan-2"))
    done = await repository.review()
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[:4] == [
        "<!-- statekeep-review -->",
        "## StateKeep review",
        "",
        "1 change.",
    ]
    section = done.section("loan-2")
    assert (
        "**2** of 3 actors on `loan-1` would migrate, **1** would stay, 0 need a rescue. Preview `"
        in section
    )
    assert "| 2 | <code>documents</code> | <code>income</code> |" in section
    assert "| 1 | <code>documents</code> | PathNotInHistory |" in section
    assert "> [!WARNING]" in section
    assert 'metadata:\n  annotations:\n    statekeep.io/approve: "' in section
    assert 'state "income (+2)" as' in section.partition("```mermaid")[2]
    assert "loan-1</code>" not in done.out


async def test_the_commit_of_the_annotation_is_told_as_an_approval(repository: Repository) -> None:
    repository.write("loan-2.yaml", manifest("loan-2"))
    preview = (await repository.review()).out.partition('approve: "')[2].partition('"')[0]
    repository.write("loan-2.yaml", manifest("loan-2", approve=preview))
    assert (
        f'**Approved** by the annotation in the manifest: `statekeep.io/approve: "{preview}"`'
        in (await repository.review()).section("loan-2")
    )
    repository.write("loan-2.yaml", manifest("loan-2", approve="0" * 32))
    section = (await repository.review()).section("loan-2")
    assert f"approves <code>{'0' * 32}</code>, not this preview. To approve, commit this" in section
    repository.write("loan-2.yaml", manifest("loan-2", approval="Automatic"))
    assert "nobody is asked" in (await repository.review()).section("loan-2")


async def test_each_kind_of_change_gets_its_own_sentence(
    repository: Repository, world: World
) -> None:
    repository.git("checkout", "-q", "main")
    for name in ("gone", "never", "proposed"):
        repository.write(f"{name}.yaml", manifest(name))
    repository.commit()
    repository.git("checkout", "-q", "-B", "branch", "main")
    await world.propose("gone", LOAN_2, machine="loan", parent="loan-1")
    await world.apply("gone")
    await world.propose("proposed", LOAN_2, machine="loan", parent="loan-1")
    for name in ("gone", "never", "proposed"):
        repository.remove(f"{name}.yaml")
    repository.write("card.yaml", root("card-1"), manifest("card-2", parentId="card-1"))
    repository.write("moved.yaml", root("loan-1"))
    repository.remove("loan-1.yaml")
    done = await repository.review()
    assert done.status == 0
    assert "5 changes." in done.out
    assert "card-1 is a root" in done.section("card-1")
    assert "waits for its parent <code>card-1</code>" in done.section("card-2")
    assert "stays in force for the 3 actors" in done.section("gone")
    assert "never seen it" in done.section("never")
    assert "it is withdrawn" in done.section("proposed")


async def test_a_version_that_is_applied_may_be_declared_again_but_not_otherwise(
    repository: Repository, world: World
) -> None:
    await world.propose("loan-2", LOAN_2, machine="loan", parent="loan-1", path=("START", "PAY"))
    await world.apply("loan-2")
    repository.write("loan-2.yaml", manifest("loan-2"))
    done = await repository.review()
    assert done.status == 0
    assert "applied already, with 2 actors" in done.section("loan-2")
    repository.write("loan-2.yaml", manifest("loan-2", LOAN_1, historyPath=["START"]))
    done = await repository.review()
    assert done.status == 1
    assert "**1 of them cannot go on**" in done.out
    assert "its historyPath, definition cannot change" in done.section("loan-2")


async def test_what_cannot_be_previewed_fails_the_job_and_the_comment_says_why(
    repository: Repository,
) -> None:
    repository.write("loan-2.yaml", manifest("loan-2"))
    repository.write("orphan.yaml", manifest("orphan", parentId="nobody"))
    repository.write("broken.yaml", manifest("broken", {"initial": "x", "states": {"a": {}}}))
    done = await repository.review()
    assert done.status == 1
    assert "3 changes, **2 of them cannot go on**." in done.out
    assert "the parent nobody is not known" in done.section("orphan")
    assert "**1 error:**" in done.section("machines/broken.yaml")
    assert "unknown-initial" in done.section("machines/broken.yaml")
    assert "would migrate" in done.section("loan-2")
    names = [line for line in done.out.splitlines() if line.startswith("### ")]
    assert names[-1] == "### <code>loan-2</code>"


async def test_a_server_that_does_not_answer_fails_the_job_and_the_comment_says_so(
    repository: Repository, site: Site
) -> None:
    repository.write("loan-2.yaml", manifest("loan-2"))
    repository.write("loan-3.yaml", manifest("loan-3"))
    repository.remove("loan-1.yaml")
    done = await site.review(repository, "--server", NOBODY)
    assert done.status == 1
    [comment] = site.comments
    assert "**There is no preview:**" in comment
    assert comment.count("does not answer") == 1
    assert "with --server or STATEKEEP_SERVER" in comment
    assert "statekeep dev" not in comment
    assert (
        "Not looked at: <code>loan-2</code>, <code>loan-3</code>, <code>loan-1</code>." in comment
    )


async def test_there_is_one_comment_however_often_the_job_runs(
    repository: Repository, site: Site, world: World
) -> None:
    repository.write("loan-2.yaml", manifest("loan-2"))
    done = await site.review(repository)
    assert (done.status, site.comments) == (0, [done.out.strip()])
    await site.review(repository)
    assert site.forge.writes == ["POST"]
    await world.spawn("dan", "loan-1", "START", "PAY")
    await site.review(repository)
    assert len(site.forge.writes) == 2
    [comment] = site.comments
    assert "**3** of 4 actors" in comment
    repository.remove("loan-2.yaml")
    await site.review(repository)
    assert site.comments == [
        "<!-- statekeep-review -->\n## StateKeep review\n\nNo version changes."
    ]


async def test_where_nothing_changes_nothing_is_posted(repository: Repository, site: Site) -> None:
    assert (await site.review(repository)).status == 0
    assert site.forge.comments == []


async def test_a_comment_of_somebody_else_is_left_alone_wherever_ours_is(
    repository: Repository, site: Site
) -> None:
    repository.write("loan-2.yaml", manifest("loan-2"))
    for number in range(150):
        site.forge.add("mallory", f"<!-- statekeep-review -->\n{number}")
    site.forge.add(site.bot, "<!-- another bot -->\n<!-- statekeep-review -->")
    ours = site.forge.add(site.bot, "<!-- statekeep-review -->\r\nold")
    await site.review(repository)
    assert site.forge.writes in (["PATCH"], ["PUT"])
    assert "would migrate" in ours["body"]


async def test_each_environment_has_a_comment_of_its_own(
    repository: Repository, site: Site
) -> None:
    repository.write("loan-2.yaml", manifest("loan-2"))
    for name in ("staging", "production", "staging"):
        await site.review(repository, "--environment", name)
    assert [comment.splitlines()[1] for comment in site.comments] == [
        "## StateKeep review for staging",
        "## StateKeep review for production",
    ]
    assert (await repository.review("--environment", "a --> b")).status == 2


async def test_a_token_that_may_not_comment_is_told_what_it_needs(
    repository: Repository, site: Site
) -> None:
    repository.write("loan-2.yaml", manifest("loan-2"))
    done = await site.review(repository, GITHUB_TOKEN="fork", GITLAB_TOKEN="job")
    assert done.status == 1
    assert "would migrate" in done.out
    advice = {"github": "pull-requests: write", "gitlab": "with the scope api"}[site.kind]
    assert advice in done.err
    missing = await site.review(repository, GITHUB_TOKEN="", GITLAB_TOKEN="")
    assert missing.err.startswith(f"statekeep: {site.kind.upper()}_TOKEN is not set")


async def test_a_person_s_token_finds_that_person_s_comment(
    repository: Repository, site: Site
) -> None:
    if site.kind == "gitlab":
        return
    repository.write("loan-2.yaml", manifest("loan-2"))
    site.forge.add(GITHUB_BOT, "<!-- statekeep-review -->\nof a bot")
    for _ in range(2):
        await site.review(repository, GITHUB_TOKEN="person")
    assert site.forge.writes == ["POST"]
    assert len(site.forge.bodies("octocat")) == 1


async def test_a_job_for_no_pull_request_is_refused(repository: Repository, site: Site) -> None:
    nothing = {"GITHUB_EVENT_PATH": "", "GITHUB_REF": "refs/heads/main", "CI_MERGE_REQUEST_IID": ""}
    done = await site.review(repository, **nothing)
    assert done.status == 1
    assert "--pull-request" in done.err
    repository.write("loan-2.yaml", manifest("loan-2"))
    assert (await site.review(repository, "--pull-request", "7", **nothing)).status == 0
    assert len(site.comments) == 1


async def test_history_that_was_not_fetched_is_asked_for(repository: Repository) -> None:
    done = await repository.review("--since", "origin/main")
    assert done.status == 1
    assert "fetch the whole history" in done.err
    assert "fetch-depth: 0" in done.err


async def test_a_folder_whose_last_manifest_went_is_told(repository: Repository) -> None:
    repository.remove("loan-1.yaml")
    done = await repository.review()
    assert done.status == 0
    assert "stays in force for the 3 actors" in done.section("loan-1")


async def test_without_a_commit_everything_is_reviewed(repository: Repository) -> None:
    done = await repository.review("--since", "HEAD")
    assert "No version changes." in done.out
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "statekeep.controller.cli.main", "review", "machines"),
        *("--server", repository.server),
        cwd=repository.root,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert b"applied already, with 3 actors" in out


async def test_manifests_without_a_namespace_are_looked_for_where_they_will_live(
    repository: Repository,
) -> None:
    repository.write("loan-2.yaml", manifest("loan-2"))
    done = await repository.review("--namespace", "elsewhere")
    assert "waits for its parent" in done.out
    assert "in <code>elsewhere</code>" in done.out


async def test_the_token_of_the_job_is_sent_to_the_server(repository: Repository) -> None:
    seen: list[str] = []

    async def refuse(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization", ""))
        return web.json_response({"title": "Unauthorized"}, status=401)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    repository.write("loan-2.yaml", manifest("loan-2"))
    async with TestServer(app) as server:
        url = str(server.make_url("/"))
        done = await repository.review(server=url, STATEKEEP_TOKEN="secret\n")
    assert done.status == 1
    assert "Unauthorized" in done.section("loan-2")
    assert set(seen) == {"Bearer secret"}


async def test_words_that_kubectl_reads_as_booleans_break_a_file_and_are_named(
    repository: Repository,
) -> None:
    folder = repository.root / "machines"
    for name, parent in (("child", "parentId: loan-1, "), ("root", "")):
        (folder / f"{name}.yaml").write_text(
            f"apiVersion: statekeep.io/v1alpha1\nkind: MachineVersion\nmetadata: {{name: {name}}}\n"
            f"spec: {{{parent}definition: {{initial: a, states: {{a: {{on: {{yes: b}}}}, b: {{}}}}}}}}\n"
        )
    done = await repository.review()
    assert done.status == 1
    for name in ("child", "root"):
        said = done.section(f"machines/{name}.yaml")
        assert "**1 error:**" in said
        assert "kubectl reads yes without quotes as true" in said
        assert "There is no preview to approve" in said
        assert "statekeep.io/approve" not in said

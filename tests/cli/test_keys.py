"""``statekeep keys`` and an API that asks, as processes on a real Postgres."""

import json
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from tests.dev.process import ENVIRONMENT, Watched, running, statekeep, until
from tests.store.conftest import World
from tests.store.definitions import LOAN_1

from statekeep.controller.access.secret import new_key, public_id
from statekeep.engine.store.database import connect
from statekeep.engine.store.keyring import new_key_ring_text, read_key_ring


@dataclass
class Desk:
    """A folder with a key ring, and a database that is sealed with it."""

    home: Path
    database_url: str
    world: World

    @property
    def ring(self) -> Path:
        return self.home / "ring"

    def keys(self, *arguments: str) -> tuple[int, str]:
        """Run ``statekeep keys``."""
        return statekeep(self.home, "keys", *arguments)

    def made(self, *arguments: str) -> str:
        """Make a key, and return it."""
        status, output = self.keys("create", *arguments)
        assert status == 0, output
        return output.splitlines()[-1]

    def api(self, *arguments: str) -> "Api":
        return Api(self.home, "api", "--port", "0", *arguments)


class Api(Watched):
    """A running ``statekeep api``."""

    @property
    def url(self) -> str:
        return self.line("StateKeep serves").split()[2]


@pytest.fixture
async def desk(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    (tmp_path / "ring").write_text(new_key_ring_text())
    database = connect(database_url, read_key_ring((tmp_path / "ring").read_text()))
    monkeypatch.setitem(ENVIRONMENT, "STATEKEEP_DATABASE_URL", database_url)
    monkeypatch.setitem(ENVIRONMENT, "STATEKEEP_KEYS_FILE", str(tmp_path / "ring"))
    world = World(database)
    await world.propose("v1", LOAN_1)
    yield Desk(tmp_path, database_url, world)
    await database.close()
    for left in [one for one in running if one.home == tmp_path]:
        left.kill()  # by a test that failed


async def test_a_key_is_made_used_listed_and_revoked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = desk.api("--auth", "keys")
    scopes = ("--scope", "actors:write", "--scope", "actors:read")
    status, output = desk.keys(
        "create", "-n", "default", *scopes, "--expires", "90d", "--note", "billing [bold]x"
    )
    assert status == 0
    said, _, key = output.rstrip().rpartition("\n")
    key_id = public_id(key) or ""
    assert said.startswith(
        f"Key {key_id} for the namespace default: actors:read, actors:write; until 20"
    )
    assert said.endswith("the only time that it is shown:")

    def actors(*arguments: str) -> tuple[int, str]:
        return statekeep(desk.home, "actors", *arguments, "--server", api.url)

    status, output = actors("list")
    assert (status, output) == (
        1,
        "statekeep: send an sk_ key as Authorization: Bearer … (STATEKEEP_TOKEN, or --token-file)\n",
    )
    monkeypatch.setitem(ENVIRONMENT, "STATEKEEP_TOKEN", key)
    assert actors("spawn", "ann", "--version", "v1") == (0, "ann is in idle on v1 (seq 0)\n")
    monkeypatch.delitem(ENVIRONMENT, "STATEKEEP_TOKEN")
    (desk.home / "token").write_text(key + "\n")
    status, output = actors("send", "ann", "START", "--token-file", str(desk.home / "token"))
    assert (status, output) == (0, "START → fee on v1 (seq 1)\n")

    other = desk.made("-n", "elsewhere", "--scope", "versions:read")
    status, output = actors("list", "--token", other)
    assert status == 1
    assert "the scope actors:read is needed" in output
    assert other not in output

    status, listed = desk.keys("list")
    assert status == 0
    [row] = [line for line in listed.splitlines() if line.startswith(key_id)]
    assert re.search(r"default +actors:read, actors:write +in force until 20", row)
    assert "billing [bold]x" in row
    assert "never" not in row
    monkeypatch.setitem(ENVIRONMENT, "COLUMNS", "80")  # nobody looks: it goes to a program
    assert desk.keys("list")[1] == listed
    monkeypatch.setitem(ENVIRONMENT, "COLUMNS", "200")
    status, raw = desk.keys("list", "--json")
    assert status == 0
    [mine] = [one for one in json.loads(raw) if one["id"] == key_id]
    assert (mine["namespace"], mine["note"]) == ("default", "billing [bold]x")
    assert (mine["scopes"], mine["isInForce"]) == (["actors:read", "actors:write"], True)
    assert mine["revokedAt"] is None
    assert datetime.fromisoformat(mine["expiresAt"]) > datetime.fromisoformat(mine["lastUsedAt"])
    other_id = public_id(other) or ""
    assert other_id in listed
    assert other_id not in desk.keys("list", "-n", "default")[1]
    for text in (key, other):
        assert text.rpartition("_")[2] not in listed

    status, output = desk.keys("revoke", other)
    assert (status, output) == (
        0,
        f"{other_id} is revoked. Within 30 s every API refuses it.\n",
    )
    fresh = desk.made("-n", "default", "--scope", "actors:read")
    assert desk.keys("revoke", public_id(fresh) or "")[0] == 0
    status, output = actors("list", "--token", fresh)
    assert (status, fresh in output) == (1, False)
    assert "the key is not accepted" in output
    assert re.search(rf"{public_id(fresh)} .*revoked 20", desk.keys("list")[1])

    api.send(signal.SIGTERM)
    assert api.end() == 0
    assert key not in api.output
    with psycopg.connect(desk.database_url) as connection:
        rows = connection.execute("select to_jsonb(k)::text from statekeep.api_key k").fetchall()
    assert len(rows) == 3
    assert not any(key.rpartition("_")[2] in row for (row,) in rows)


async def test_a_key_ring_is_changed_under_a_running_api_step_by_step(desk: Desk) -> None:
    """As docs/security.md tells it; no value is unreadable at any moment."""
    api = desk.api()
    world = desk.world
    for n in range(30):
        await world.spawn(f"a{n}", "v1", context=b'{"n": 1}')
        await world.answered(f"a{n}", "START", data=b'{"paid": true}')

    def readable() -> None:
        for path in ("actors/a7/events", "actors/a9"):
            with_data = statekeep_json(desk.home, api.url, path)
            assert "paid" in with_data or '"n":' in with_data
            assert "Error" not in with_data

    api.line("StateKeep serves")  # with the old ring
    old_line = desk.ring.read_text()
    status, new_line = desk.keys("generate")
    assert status == 0
    old, new = old_line.partition(":")[0], new_line.partition(":")[0]

    desk.ring.write_text(old_line + new_line)
    api.line(f"the key ring was loaded again: {old} seals, {old}, {new} open")
    readable()
    desk.ring.write_text(new_line + old_line)
    api.line(f"the key ring was loaded again: {new} seals, {new}, {old} open")
    status, counted = desk.keys("status")
    assert status == 0
    assert re.search(rf"{new} +0 +0 +seals\n{old} +30 +30 +opens\n", counted)

    status, output = desk.keys("rotate")
    assert (status, output) == (
        0,
        f"30 contexts and 30 payloads sealed again under {new}.\n"
        f"Nothing is under another key. Once every API has loaded this ring, {old} may be removed; "
        "`statekeep keys status` counts again.\n",
    )
    readable()
    desk.ring.write_text(new_line)
    api.line(f"the key ring was loaded again: {new} seals, {new} open")
    readable()
    status, counted = desk.keys("status")
    assert (status, counted.splitlines()[1:]) == (0, [f"{new:10}        30        30  seals"])
    api.send(signal.SIGTERM)
    assert api.end() == 0


def statekeep_json(home: Path, url: str, path: str) -> str:
    """Return what an actor's commands print of the API's answer."""
    name, _, what = path.removeprefix("actors/").partition("/")
    command = ("history", name, "--json") if what else ("show", name)
    status, output = statekeep(home, "actors", *command, "--server", url)
    assert status == 0, output
    return output


async def test_what_no_key_of_the_ring_opens_is_said(desk: Desk) -> None:
    await desk.world.spawn("ann", "v1", context=b"{}")
    await desk.world.answered("ann", "START", data=b"{}")
    old = desk.ring.read_text().partition(":")[0]
    desk.ring.write_text(new_key_ring_text())
    status, output = desk.keys("rotate")
    assert status == 1
    assert output.splitlines()[1:] == [
        f"  default/ann, context: key {old} is not in the key ring",
        f"  default/ann, payload of event 1: key {old} is not in the key ring",
        "2 values cannot be opened and stayed as they were. Where a key is missing, add it to the ring "
        "and run this again.",
    ]
    status, output = desk.keys("status")
    assert status == 1
    assert re.search(rf"{old} +1 +1 +is not in the key ring", output)


async def test_a_rotation_that_is_stopped_says_so_and_goes_on_later(desk: Desk) -> None:
    await desk.world.spawn("ann", "v1", context=b"{}")
    await desk.world.answered("ann", "START", data=b"{}")
    old_line = desk.ring.read_text()
    desk.ring.write_text(new_key_ring_text() + old_line)
    with psycopg.connect(desk.database_url) as holder:
        holder.execute("select from statekeep.actor for update")
        rotation = Watched(desk.home, "keys", "rotate")
        with psycopg.connect(desk.database_url, autocommit=True) as looker:
            waiting = "select from pg_stat_activity where wait_event_type = 'Lock'"
            until(lambda: looker.execute(waiting).fetchall(), "the rotation waits for the actor")
        rotation.send(signal.SIGINT)
        assert rotation.end() == 130
    assert rotation.output == (
        "Stopped after 0 contexts and 0 payloads. Nothing is half done; the same command goes on."
    )
    status, output = desk.keys("rotate")
    assert status == 0
    assert output.startswith("1 context and 1 payload sealed again")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--scope", "everything"), "'everything' is not one of 'actors:read'"),
        (("--scope", "actors:read", "-n", "Not_One"), "a namespace is a DNS label"),
        (("--scope", "actors:read", "--expires", "soon"), "days or weeks: 90d, 12h"),
        (("--scope", "actors:read", "--expires", "0d"), "days or weeks: 90d, 12h"),
        ((), "Missing option '--scope'"),
    ],
    ids=["scope", "namespace", "expires", "at once", "nothing"],
)
def test_a_key_that_cannot_be_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    url = ("--database-url", "postgresql://nobody@127.0.0.1:1/nothing")
    namespace = () if "-n" in arguments else ("-n", "default")
    status, output = statekeep(tmp_path, "keys", "create", *namespace, *arguments, *url)
    assert status == 2
    assert complaint in output


async def test_a_key_that_is_not_there_is_not_repeated(desk: Desk) -> None:
    broken = new_key()[1][:-1]
    status, output = desk.keys("revoke", broken)
    assert (status, output) == (
        1,
        "statekeep: no key has that id; `statekeep keys list` shows them\n",
    )
    assert desk.keys("list") == (
        0,
        "There are no keys yet. Make one: statekeep keys create --namespace … --scope …\n",
    )


@pytest.mark.parametrize("mode", ["keys", "kubernetes", "kubernetes,keys"])
async def test_an_api_that_asks_may_be_reached_from_outside(
    desk: Desk, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = desk.home / "kubeconfig"
    config.write_text(
        json.dumps(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:1"}}],
                "users": [{"name": "u", "user": {"token": "ours"}}],
            }
        )
    )
    monkeypatch.setitem(ENVIRONMENT, "KUBECONFIG", str(config))
    refused = desk.api("--host", "0.0.0.0")
    assert refused.end() == 1
    assert "have `statekeep api` ask them: --auth kubernetes, --auth keys" in refused.output
    api = desk.api("--host", "0.0.0.0", "--auth", mode)
    url = api.url.replace("0.0.0.0", "127.0.0.1")
    status, output = statekeep(desk.home, "actors", "list", "--server", url)
    assert status == 1
    assert "send " in output
    if "kubernetes" in mode:
        token = ("--token", "a.b.c")
        status, output = statekeep(desk.home, "actors", "list", "--server", url, *token)
        assert "the Kubernetes API server does not answer" in output
    api.send(signal.SIGTERM)
    assert api.end() == 0


async def test_without_a_cluster_nobody_can_be_asked_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "KUBECONFIG", str(desk.home / "nothing"))
    monkeypatch.setitem(ENVIRONMENT, "HOME", str(desk.home))
    api = desk.api("--auth", "kubernetes")
    assert api.end() == 1
    [line] = api.output.splitlines()
    assert line.startswith("statekeep: the kubeconfig cannot be used")
    for wrong in ("nobody", "none,keys", ""):
        api = desk.api("--auth", wrong)
        assert api.end() == 2
        assert "is not one of none, kubernetes, keys and kubernetes,keys" in api.output


def test_a_token_that_cannot_be_one_is_refused_and_not_repeated(tmp_path: Path) -> None:
    server = ("--server", "http://127.0.0.1:1")
    for token in ("S3CRET S3CRET", "S3CRET\nS3CRET", "S3CRETü", ""):
        status, output = statekeep(tmp_path, "actors", "list", *server, "--token", token)
        assert status == 1
        assert "the token cannot be one" in output
        assert "S3CRET" not in output
    status, output = statekeep(tmp_path, "actors", "list", *server, "--token-file", "nothing")
    assert (status, output) == (
        1,
        "statekeep: the token file nothing cannot be read: No such file or directory\n",
    )
    both = ("--token", "S3CRET", "--token-file", "nothing")
    status, output = statekeep(tmp_path, "actors", "list", *server, *both)
    assert "give a token or a token file, not both" in output
    status, output = statekeep(tmp_path, "actors", "list", *server, "--token", "S3CRET")
    assert "does not answer" in output
    assert "S3CRET" not in output

"""Every call, blocking and not, on the real API: what comes back, and what is raised."""

import asyncio
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from datetime import UTC

import msgspec
import pytest
from msgspec import UNSET
from tests.api.definitions import LOAN_2
from tests.client.conftest import House

from statekeep.client import (
    ActorExists,
    AsyncClient,
    BatchEvent,
    Client,
    Invalid,
    KeyReused,
    NotFound,
    PreviewRequest,
    SeqDiffers,
    Unhandled,
)
from statekeep.client.errors import _BY_CODE, Refused, refusal
from statekeep.controller.api.bodies import ProblemResponse
from statekeep.controller.api.kinds import KINDS, TYPE_BASE

NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def client(house: House) -> Iterator[Client]:
    with Client(house.url) as client:
        yield client


def test_the_loan_story(house: House, client: Client) -> None:
    alice = client.spawn("alice", machine="loan", context={"name": "Alice"})
    assert (alice.state, alice.seq, alice.version) == ("idle", 0, "v1")
    assert client.send("alice", "START", data={"by": "phone"}).state_value == "fee"
    paid = client.send("alice", "PAY", data=None, context={"paid": 49}, key="p")
    assert (paid.handled, paid.state, paid.seq) == (True, "documents", 2)
    client.spawn("bob", version="v1")
    for event in ("START", "WAIVE"):
        client.send("bob", event)
    preview = client.preview(
        PreviewRequest(id="v2", parent_id="v1", history_path=["START", "PAY"], definition=LOAN_2)
    )
    moving = preview.migration.would_migrate
    assert moving is not UNSET
    assert [(one.id, one.to) for one in moving.actors] == [("alice", "income")]
    house.migrate()
    actor = client.actor("alice")
    assert (actor.version, actor.state) == ("v2", "income")
    assert actor.context == {"name": "Alice", "paid": 49}
    assert actor.created_at.tzinfo == UTC
    assert [one.id for one in client.actors(version="v1")] == ["bob"]
    assert [one.id for one in client.actors(machine="loan")] == ["alice", "bob"]
    history = list(client.history("alice"))
    assert [(one.type, one.data) for one in history] == [("START", {"by": "phone"}), ("PAY", None)]
    [moved] = client.decisions("alice")
    [stayed] = client.decisions("bob")
    assert moved.after is not UNSET
    assert (moved.outcome, moved.after.state) == ("Migrate", "income")
    assert (stayed.outcome, stayed.reason) == ("Stay", "PathNotInHistory")
    assert client.snapshot("alice").value == "income"
    assert client.version("v2").definition == LOAN_2
    assert [one.name for one in client.versions(machine="loan")] == ["v1", "v2"]
    told = [(one.kind, one.version) for one in client.changes(follow=False)]
    assert told[-2:] == [("deployment", "v2"), ("migration", "v2")]
    assert [one.kind for one in client.changes(follow=False, kinds=["spawn"])] == ["spawn"] * 2


async def test_the_same_without_blocking(house: House) -> None:
    async with AsyncClient(house.url) as client:
        begin = await client.newest()
        await client.spawn("alice", machine="loan")
        assert (await client.send("alice", "START")).state == "fee"
        assert [one.type async for one in client.history("alice")] == ["START"]
        assert [one async for one in client.decisions("alice")] == []
        assert [one.id async for one in client.actors(state="fee")] == ["alice"]
        async with aclosing(client.changes(begin)) as changes:
            assert [(await anext(changes)).kind for _ in range(2)] == ["spawn", "event"]


def test_the_pages_of_a_preview_are_turned_by_their_cursors(client: Client) -> None:
    names = [f"a{number}" for number in range(5)]
    for name in names:
        client.spawn(name, version="v1")
    wish = PreviewRequest(id="v2", parent_id="v1", definition=LOAN_2)
    answer = client.preview(wish, limit=3)
    assert answer.actors is not UNSET
    assert answer.actors.would_migrate == 5
    found: list[str] = []
    while (page := answer.migration.would_migrate) is not UNSET:
        found += [one.id for one in page.actors]
        if page.next_cursor is UNSET:
            break
        answer = client.preview(wish, limit=3, migrate_cursor=page.next_cursor)
        assert (answer.id, answer.migration.would_stay) == (UNSET, UNSET)
    assert found == names


def test_lists_are_walked_to_their_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("statekeep.client.calls.PAGE", 2)
    names = [f"a{number}" for number in range(5)]
    for name in names:
        client.spawn(name, version="v1")
    assert [one.id for one in client.actors()] == names


def test_what_the_api_refuses_is_raised_by_its_kind(client: Client) -> None:
    client.spawn("a", version="v1")
    client.send("a", "START", key="k")
    with pytest.raises(KeyReused) as reused:
        client.send("a", "PAY", key="k")
    assert (reused.value.status, reused.value.code) == (422, "idempotency-key-reused")
    assert reused.value.key == "k"
    with pytest.raises(SeqDiffers) as differs:
        client.send("a", "PAY", if_seq=0)
    assert (differs.value.status, differs.value.seq) == (412, 1)
    with pytest.raises(Unhandled) as unhandled:
        client.send("a", "NEVER", strict=True)
    assert (unhandled.value.status, unhandled.value.state) == (409, "fee")
    with pytest.raises(ActorExists):
        client.spawn("a", version="v1", context={"other": True})
    for missing in (lambda: client.actor("nobody"), lambda: client.send("b", "START")):
        with pytest.raises(NotFound, match="does not exist"):
            missing()
    with pytest.raises(NotFound):
        list(client.history("nobody"))
    with pytest.raises(Invalid, match="name either a version or a machine"):
        client.spawn("b")
    broken = PreviewRequest(id="v2", parent_id="v1", definition={"initial": "x", "states": {}})
    with pytest.raises(Invalid) as invalid:
        client.preview(broken)
    assert {error.pointer for error in invalid.value.errors} >= {"/definition/initial"}
    assert invalid.value.errors[0].detail in str(invalid.value)
    assert client.send("a", "NEVER").handled is False
    assert client.send("a", "PAY", if_seq=1, strict=True).seq == 2


def test_an_error_survives_the_way_to_another_process(client: Client) -> None:
    with pytest.raises(NotFound) as missing:
        client.actor("nobody")
    again = pickle.loads(pickle.dumps(missing.value))
    assert (type(again), str(again)) == (NotFound, str(missing.value))


def test_the_same_key_and_body_return_the_first_answer(client: Client) -> None:
    first = client.spawn(version="v1", key='quo"ted ')
    client.send(first.id, "START", key='"k"')
    client.send(first.id, "PAY")
    again = client.spawn(version="v1", key='quo"ted ')
    assert (again.id, again.state) == (first.id, "idle")
    assert client.send(first.id, "START", key='"k"').state == "fee"
    assert client.actor(first.id).seq == 2
    assert client.spawn(version="v1").id != first.id


@pytest.mark.parametrize("key", ["", "ü", "a\r\nb", "x" * 256])
def test_a_key_that_no_header_can_carry_is_refused_before_anything_is_sent(key: str) -> None:
    with (
        Client(NOWHERE) as nowhere,
        pytest.raises(ValueError, match="255 printable ASCII"),
    ):
        nowhere.send("a", "START", key=key)


def test_a_name_cannot_lead_elsewhere(client: Client) -> None:
    for name in ("", ".", ".."):
        with pytest.raises(ValueError, match="is no id"):
            client.actor(name)
    for name in ("a/b", "../versions", "a?x=1", "ü", "a b"):
        with pytest.raises(NotFound, match="actor"):
            client.actor(name)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Client("127.0.0.1:8080"), "begins with http://"),
        (lambda: Client(NOWHERE, token="a b"), "cannot be a token"),
        (lambda: AsyncClient(NOWHERE, token="a", token_file="/b"), "not both"),
        (lambda: Client(NOWHERE, namespace=".."), "is no id"),
    ],
)
def test_options_that_cannot_be_used_are_refused(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()


def test_another_namespace_has_actors_of_its_own(house: House, client: Client) -> None:
    client.spawn("a", version="v1")
    with Client(house.url, namespace="elsewhere") as other, pytest.raises(NotFound):
        other.actor("a")


async def test_many_tasks_share_a_client(house: House) -> None:
    actors = [f"a{number}" for number in range(10)]
    async with AsyncClient(house.url, connections=20) as client:
        await asyncio.gather(*(client.spawn(actor, version="v1") for actor in actors))
        await asyncio.gather(*(client.send(actor, "START") for actor in actors))
        await asyncio.gather(*(client.send(actor, "WAIVE") for actor in actors))
        notes = [client.send(actor, "NOTE") for actor in actors for _ in range(20)]
        answers = await asyncio.gather(*notes)
    for actor in actors:
        assert sorted(one.seq for one in answers if one.id == actor) == list(range(3, 23))


def test_many_threads_share_a_client(client: Client) -> None:
    client.spawn("a", version="v1")
    for event in ("START", "PAY"):
        client.send("a", event)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.send("a", "NOTE"), range(100)))
    assert sorted(one.seq for one in answers) == list(range(3, 103))


def test_texts_with_every_kind_of_line_break_come_through(client: Client) -> None:
    client.spawn("a", version="odd")
    client.send("a", "GO\u2029")
    [(_, answer)] = client.send_many([BatchEvent(actor="a", type="GO\u2029")])
    assert not isinstance(answer, Refused)
    assert answer.state_value == "a\u2028b\u0085"
    changes = list(client.changes(follow=False))
    assert [getattr(one, "state", "") for one in changes] == ["a\u2028b\u0085"] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_problem_has_an_error_of_its_status(kind: str) -> None:
    status = KINDS[kind].status
    problem = ProblemResponse(type=TYPE_BASE + kind, title="", status=status, detail="")
    error = refusal(problem)
    assert (error.code, error.status) == (kind, status)
    assert (type(error) is Refused) == (status in (405, 500)), kind
    assert error.is_transient == (status in (408, 503))


def test_no_error_is_for_a_kind_that_does_not_exist() -> None:
    assert set(_BY_CODE) <= set(KINDS)


def test_a_batch_event_is_what_the_wire_has(client: Client) -> None:
    event = BatchEvent(actor="a", type="T", if_seq=0, strict=True, data=None)
    assert msgspec.json.decode(msgspec.json.encode(event)) == {
        "actor": "a",
        "type": "T",
        "ifSeq": 0,
        "strict": True,
        "data": None,
    }

"""What is lost on the way: tried again with the same key, and done once."""

import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.test_keys import Desk, desk  # noqa: F401  (a fixture)
from tests.client.conftest import House
from tests.client.cutter import Cutter

from statekeep.client import (
    AnswerUnreadable,
    AsyncClient,
    Client,
    Forbidden,
    NoAnswer,
    Patience,
    TokenUnreadable,
    Unauthenticated,
)
from statekeep.client.patience import Backoff

BRIEF = Patience(total_s=0.0)


def test_an_event_whose_answer_is_lost_is_done_once(house: House, cutter: Cutter) -> None:
    with Client(cutter.url) as client:
        client.spawn("a", version="v1")
        cutter.losing = 2
        answer = client.send("a", "START", data={"n": 1})
        assert cutter.lost == 2
        assert (answer.state, answer.seq) == ("fee", 1)
        assert [one.type for one in client.history("a")] == ["START"]


async def test_a_spawn_without_an_id_whose_answer_is_lost_makes_one_actor(
    house: House, cutter: Cutter
) -> None:
    async with AsyncClient(cutter.url) as client:
        cutter.losing = 1
        actor = await client.spawn(version="v1")
        assert cutter.lost == 1
        assert [one.id async for one in client.actors()] == [actor.id]


def test_who_gives_up_can_find_out_by_the_key(house: House, cutter: Cutter) -> None:
    with Client(cutter.url, patience=BRIEF) as client:
        client.spawn("a", version="v1")
        cutter.losing = 1
        with pytest.raises(NoAnswer) as unknown:
            client.send("a", "START")
        assert client.send("a", "START", key=unknown.value.key).seq == 1
        assert client.actor("a").seq == 1


def test_an_answer_that_breaks_off_in_its_midst_is_no_answer(house: House, cutter: Cutter) -> None:
    with Client(cutter.url, patience=BRIEF) as client:
        client.spawn("a", version="v1")
        cutter.cut_after = 100  # the head has more
        for _ in range(2):
            with pytest.raises(NoAnswer):
                Client(cutter.url, patience=BRIEF).actor("a")
        assert cutter.cuts == 2


def test_a_server_that_is_restarted_is_waited_for(house: House, cutter: Cutter) -> None:
    with Client(cutter.url) as client:
        client.spawn("a", version="v1")
        house.api.kill()
        answers: list[int] = []
        sending = threading.Thread(target=lambda: answers.append(client.send("a", "START").seq))
        sending.start()
        assert cutter.in_vain.wait(60)
        house.restart()
        cutter.lead_to(house.url)
        sending.join(60)
        assert answers == [1]


def test_pauses_grow_at_random_and_keep_to_what_is_asked() -> None:
    patience = Patience(total_s=100.0, first_pause_s=1.0, longest_pause_s=4.0)
    runs = []
    for _ in range(200):
        backoff = Backoff(patience, began_at=0.0)
        runs.append([backoff.pause(0.0) or 0.0 for _ in range(5)])
    for pauses, limit in zip(zip(*runs, strict=True), (1, 2, 4, 4, 4), strict=True):
        assert 0.9 * limit < max(pauses) <= limit
        assert min(pauses) < 0.1 * limit
    assert 7.0 <= (Backoff(patience, 0.0).pause(0.0, 7.0) or 0.0) <= 8.0
    assert Backoff(patience, 0.0).pause(0.0, 100.0) is None
    assert Backoff(patience, 0.0).pause(100.0) is None


def test_what_is_none_of_the_apis_answers_says_so(house: House) -> None:
    with Client(f"{house.url}/docs?", patience=BRIEF) as client, pytest.raises(AnswerUnreadable):
        client.actor("a")


class TestTokens:
    """Who calls: a token of one's own, one from a file, one that has been replaced."""

    def test_a_key_that_is_unknown_or_lacks_a_right_is_refused(
        self,
        desk: Desk,  # noqa: F811
    ) -> None:
        reader = desk.made("-n", "default", "--scope", "actors:read")
        api = desk.api("--auth", "keys")
        with Client(api.url) as client, pytest.raises(Unauthenticated) as none:
            client.actor("a")
        assert none.value.status == 401
        with Client(api.url, token=reader) as client:
            assert list(client.actors()) == []
            with pytest.raises(Forbidden) as lacking:
                client.spawn("a", version="v1")
        assert (lacking.value.status, lacking.value.problem.verb) == (403, "create")
        assert reader not in str(lacking.value) + repr(lacking.value)

    def test_a_token_file_is_read_again_when_it_changes(
        self,
        desk: Desk,  # noqa: F811
        tmp_path: Path,
    ) -> None:
        token = desk.made("-n", "default", "--scope", "actors:read")
        api = desk.api("--auth", "keys")
        file = tmp_path / "token"
        with closing(Cutter(api.url)) as cutter, Client(cutter.url, token_file=file) as client:
            with pytest.raises(TokenUnreadable, match="cannot be used"):
                list(client.actors())
            file.write_text("sk_old\n")
            with pytest.raises(Unauthenticated):
                list(client.actors())
            file.write_text(f"{token}\n")
            assert list(client.actors()) == []
            file.unlink()
            assert list(client.actors()) == []
            file.write_text("sk_old\n")
            cutter.before_answer = lambda: file.write_text(token)
            assert list(client.actors()) == [], "replaced while the call was on its way"

"""Many events and many changes: in order, each once, in little memory, whatever breaks on the way."""

import asyncio
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import aclosing, closing
from pathlib import Path

import pytest
from tests.api.process import Api, ask
from tests.client.conftest import House, propose
from tests.client.cutter import Cutter
from tests.dev.process import until
from tests.operator.outage import Way

from statekeep.client import (
    AnswerResponse,
    AsyncClient,
    BatchEvent,
    Client,
    CursorGone,
    KeyReused,
    NoAnswer,
    NotFound,
    Outcome,
    Patience,
    SeqDiffers,
)

ACTORS = [f"a{number}" for number in range(7)]


def begin(client: Client) -> None:
    """Bring every actor to where it takes any number of notes."""
    for actor in ACTORS:
        client.spawn(actor, version="v1")
        for event in ("START", "PAY"):
            client.send(actor, event)


def notes(number: int) -> Iterator[BatchEvent]:
    for one in range(number):
        yield BatchEvent(actor=ACTORS[one % len(ACTORS)], type="NOTE", data=one)


def seqs(pairs: Iterable[tuple[BatchEvent, Outcome]]) -> dict[str, list[int]]:
    """Return each actor's seqs as they were answered; the answers belong to their events."""
    found: dict[str, list[int]] = {actor: [] for actor in ACTORS}
    for event, answer in pairs:
        assert isinstance(answer, AnswerResponse), answer
        assert answer.id == event.actor
        found[answer.id].append(answer.seq)
    return found


def expected(number: int) -> dict[str, list[int]]:
    every = range(number)
    return {
        actor: list(range(3, 3 + len(every[place :: len(ACTORS)])))
        for place, actor in enumerate(ACTORS)
    }


def test_any_number_of_events_is_answered_in_order(house: House) -> None:
    with Client(house.url) as client:
        begin(client)
        assert seqs(client.send_many(notes(1_800))) == expected(1_800)
        payloads = [one.data for one in client.history("a0")]
        assert payloads[2:] == list(range(0, 1_800, len(ACTORS)))
        assert list(client.send_many([])) == []


def test_answers_that_are_lost_are_asked_for_again_and_nothing_is_done_twice(
    house: House, cutter: Cutter
) -> None:
    with Client(cutter.url) as client:
        begin(client)
        sending = client.send_many(notes(1_200))
        first = [next(sending)]
        cutter.losing = 2
        assert seqs(first + list(sending)) == expected(1_200)
        assert cutter.lost == 2


def test_no_more_is_read_than_a_batch_ahead_of_what_is_taken(house: House) -> None:
    read = 0

    def counted() -> Iterator[BatchEvent]:
        nonlocal read
        for note in notes(1_300):
            read += 1
            yield note

    with Client(house.url) as client:
        begin(client)
        ahead = []
        for taken, _ in enumerate(client.send_many(counted()), 1):
            ahead.append(read - taken)
    assert max(ahead) < 500


def test_large_events_do_not_gather_in_memory(house: House) -> None:
    def large() -> Iterator[BatchEvent]:
        for number in range(80):
            yield BatchEvent(actor="a0", type="NOTE", data=f"{number}" + "x" * 400_000)

    with Client(house.url) as client:
        begin(client)
        tracemalloc.start()
        assert len([event.actor for event, _ in client.send_many(large())]) == 80  # 32 MB
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 12_000_000


async def test_one_that_is_refused_fails_no_other_and_says_why(house: House) -> None:
    async def events() -> AsyncIterator[BatchEvent]:
        yield BatchEvent(actor="a", type="START", id="k")
        yield BatchEvent(actor="nobody", type="START")
        yield BatchEvent(actor="a", type="PAY", if_seq=7)
        yield BatchEvent(actor="a", type="PAY", id="k")
        yield BatchEvent(actor="a", type="PAY")

    async with AsyncClient(house.url) as client:
        await client.spawn("a", version="v1")
        pairs = [pair async for pair in client.send_many(events())]
    kinds = [type(outcome) for _, outcome in pairs]
    assert kinds == [AnswerResponse, NotFound, SeqDiffers, KeyReused, AnswerResponse]
    assert pairs[0][0].id == "k"
    assert all(event.id for event, _ in pairs)


def test_what_an_iterable_gave_before_it_failed_is_sent_and_answered(house: House) -> None:
    def failing() -> Iterator[BatchEvent]:
        yield from notes(3)
        raise LookupError("no more")

    with Client(house.url) as client:
        begin(client)
        unwritable = [*notes(2), BatchEvent(actor="a0", type="NOTE", data=object())]
        for events, given in ((failing(), 3), (unwritable, 2)):
            sending = client.send_many(events)
            for _ in range(given):
                assert isinstance(next(sending)[1], AnswerResponse)
            with pytest.raises((LookupError, TypeError)):
                next(sending)


def test_who_gives_up_has_the_events_that_have_no_answer(house: House, cutter: Cutter) -> None:
    with Client(cutter.url, patience=Patience(total_s=0.0)) as client:
        begin(client)
        source = notes(1_000)
        sending = client.send_many(source)
        answered = [next(sending) for _ in range(500)]
        cutter.losing = 1
        with pytest.raises(NoAnswer) as failure:
            next(sending)
        assert len(failure.value.unanswered) == 500
        rest = list(client.send_many([*failure.value.unanswered, *source]))
        assert seqs(answered + rest) == expected(1_000)


def test_events_are_sent_again_in_order_when_the_database_comes_back(
    database_url: str, tmp_path: Path
) -> None:
    asyncio.run(propose(database_url))
    way = Way(database_url)
    api = Api(tmp_path, way.url)
    try:
        with Client(api.url) as client:
            begin(client)
            pairs: list[tuple[BatchEvent, Outcome]] = []
            sending = client.send_many(notes(1_500))
            pairs += [next(sending) for _ in range(500)]
            way.block()
            thread = threading.Thread(target=lambda: pairs.extend(sending))
            thread.start()
            failed = 'events_total{outcome="Failed"}'
            until(lambda: failed in ask(api.url + "/metrics")[1], "events that find no database")
            way.unblock()
            thread.join(60)
            assert seqs(pairs) == expected(1_500)
    finally:
        api.kill()
        way.close()


def test_changes_go_on_behind_the_last_one_however_often_they_break_off(
    house: House, cutter: Cutter
) -> None:
    with Client(house.url) as client:
        begin(client)
        whole = list(client.changes(follow=False))
    assert len(whole) == 3 * len(ACTORS)
    for limit in range(900, 1_400, 100):
        cutter.cut_after, cuts = limit, cutter.cuts
        with Client(cutter.url) as client:
            assert list(client.changes(follow=False)) == whole
            assert list(client.changes(whole[9].cursor, follow=False)) == whole[10:]
        assert cutter.cuts > cuts + 5


async def test_a_follower_outlives_the_server(
    house: House, cutter: Cutter, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncClient(cutter.url) as client:
        await client.spawn("a", version="v1")
        begin = await client.newest()
        async with aclosing(client.changes(begin)) as changes:
            await client.send("a", "START")
            seen = [await anext(changes)]
            coming = asyncio.create_task(anext(changes))
            await asyncio.to_thread(house.api.kill)
            assert await asyncio.to_thread(cutter.in_vain.wait, 60)
            await asyncio.to_thread(house.restart)
            cutter.lead_to(house.url)
            await client.send("a", "PAY")
            seen += [await coming]
            await client.send("a", "NOTE")
            seen += [await anext(changes)]
    assert [(one.kind, one.seq) for one in seen if one.kind != "deployment"] == [
        ("event", 1),
        ("event", 2),
        ("event", 3),
    ]
    assert "broke off, coming back" in caplog.text


def test_who_stops_in_the_midst_of_changes_leaves_nothing_behind(house: House) -> None:
    with Client(house.url, connections=1) as client:
        client.spawn("a", version="v1")
        with closing(client.changes()) as changes:
            assert next(changes).kind == "spawn"
        assert client.actor("a").seq == 0  # over the only connection


def test_a_server_that_was_never_there_is_not_waited_for_for_ever(house: House) -> None:
    house.api.kill()
    with (
        Client(house.url, patience=Patience(total_s=0.5)) as client,
        pytest.raises(NoAnswer),
    ):
        next(client.changes())


def test_a_cursor_of_another_log_is_gone(house: House) -> None:
    with Client(house.url) as client, pytest.raises(CursorGone) as gone:
        next(client.changes("A" * 40))
    assert (gone.value.status, gone.value.code) == (410, "cursor-gone")

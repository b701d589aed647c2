"""What is confidential is sealed where it lies, and opens nowhere else."""

import base64
import json
from dataclasses import replace

import psycopg
import pytest
from tests.conftest import KEYS
from tests.store.conftest import World
from tests.store.definitions import LOAN_1

from statekeep.engine.errors import KeyRingInvalid, SealBroken
from statekeep.engine.store.events import Answer, ContextRefused
from statekeep.engine.store.keyring import (
    KeyHolder,
    KeyRing,
    context_place,
    event_place,
    new_key_ring_text,
    read_key_ring,
)

SECRET = b'{"iban": "DE89 3704 0044 0532 0130 00"}'
NEW = {"new": bytes(range(32, 64))}


def with_keys(world: World, keys: dict[str, bytes]) -> World:
    """Return the same world as a process with other keys sees it."""
    return World(replace(world.database, holder=KeyHolder(KeyRing(keys))), world.catalogue)


async def patient(world: World, name: str = "a") -> None:
    """Spawn an actor with a secret context and one event with a secret payload."""
    await world.spawn(name, "v1", context=SECRET)
    await world.answered(name, "START", data=SECRET)


async def test_context_and_payload_open_with_the_key_and_are_not_in_the_tables(
    world: World, database_url: str
) -> None:
    await world.propose("v1", LOAN_1)
    await patient(world)
    with psycopg.connect(database_url) as connection:
        rows = [
            row
            for table in ("actor", "event", "ignored_event", "cohort", "history", "configuration")
            for row in connection.execute(f"select to_jsonb(t)::text from statekeep.{table} t")
        ]
        sealed = connection.execute("select context, data from statekeep.actor, statekeep.event")
        [(context, data)] = sealed.fetchall()
    assert len(rows) > 5
    for part in (SECRET, b"iban", b"DE89"):
        assert part not in context
        assert part not in data
        assert not any(part.hex() in row or part.decode() in row for (row,) in rows)
    actor, [event] = await world.actor("a"), await world.log("a")
    assert actor.context == context
    assert event.data == data
    assert KEYS.open(context, context_place(actor.key)) == SECRET
    assert KEYS.open(data, event_place(actor.key, 1)) == SECRET


async def test_one_secret_twice_looks_different_each_time(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await patient(world, "a")
    await patient(world, "b")
    assert (await world.actor("a")).context != (await world.actor("b")).context


async def test_a_context_copied_to_another_actor_does_not_open(
    world: World, database_url: str
) -> None:
    await world.propose("v1", LOAN_1)
    await patient(world, "a")
    await patient(world, "thief")
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "update statekeep.actor set context = (select context from statekeep.actor where id = 'a')"
        )
    thief = await world.actor("thief")
    assert thief.context is not None
    with pytest.raises(SealBroken, match="belongs to another row"):
        KEYS.open(thief.context, context_place(thief.key))
    refused = await world.send("thief", "PAY", context={"x": 1})
    assert isinstance(refused, ContextRefused)
    assert isinstance(await world.send("thief", "PAY"), Answer)


async def test_a_payload_copied_to_another_seq_or_actor_does_not_open(
    world: World, database_url: str
) -> None:
    await world.propose("v1", LOAN_1)
    await patient(world, "a")
    await world.answered("a", "PAY", data=b"{}")
    await patient(world, "b")
    first, second = await world.log("a")
    assert first.data is not None
    key, other = (await world.actor("a")).key, (await world.actor("b")).key
    assert KEYS.open(first.data, event_place(key, first.seq)) == SECRET
    for place in (event_place(key, second.seq), event_place(other, 1), context_place(key)):
        with pytest.raises(SealBroken):
            KEYS.open(first.data, place)


async def test_an_unknown_key_is_an_error_for_that_value_only(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await patient(world, "old")
    later = with_keys(world, NEW)
    await patient(later, "young")
    old, young = await later.process(
        later.event("old", "PAY", context={"x": 1}), later.event("young", "PAY", context={"x": 1})
    )
    assert old == ContextRefused(
        "the stored context does not decrypt: key test is not in the key ring"
    )
    assert isinstance(young, Answer)
    assert await world.place("old") == ("v1", "fee")
    assert isinstance(await later.send("old", "PAY"), Answer)


async def test_with_two_keys_the_first_one_seals_and_both_open(world: World) -> None:
    await world.propose("v1", LOAN_1)
    await patient(world)
    both = with_keys(world, NEW | dict(KEYS.keys))
    assert isinstance(await both.send("a", "PAY", context={"iban": None, "x": 1}), Answer)
    actor = await both.actor("a")
    assert actor.context is not None
    assert json.loads(KeyRing(NEW).open(actor.context, context_place(actor.key))) == {"x": 1}
    first, _ = await both.log("a")
    assert first.data is not None
    assert both.database.keys.open(first.data, event_place(actor.key, 1)) == SECRET


@pytest.mark.parametrize("position", range(0, 60, 4))
def test_a_value_with_one_bit_changed_does_not_open(position: int) -> None:
    sealed = bytearray(KEYS.seal(SECRET, b"here"))
    sealed[position] ^= 1
    with pytest.raises(SealBroken):
        KEYS.open(bytes(sealed), b"here")


@pytest.mark.parametrize("length", range(40))
def test_a_value_that_was_cut_off_does_not_open(length: int) -> None:
    with pytest.raises(SealBroken):
        KEYS.open(KEYS.seal(SECRET, b"here")[:length], b"here")


KEY_TEXT = base64.b64encode(bytes(range(32))).decode()


def test_new_key_rings_share_no_id_so_that_they_can_be_joined() -> None:
    assert len(read_key_ring(new_key_ring_text() + new_key_ring_text()).keys) == 2


def test_a_key_ring_is_read_line_by_line_and_shows_no_key() -> None:
    text = f"# sealing since May\nmay: {KEY_TEXT}\n\napril: {KEY_TEXT}\n"
    ring = read_key_ring(text)
    assert list(ring.keys) == ["may", "april"]
    assert ring.open(ring.seal(SECRET, b"x"), b"x") == SECRET
    assert text.split("may: ")[1][:20] not in repr(ring)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "the key ring is empty"),
        ("k1", "line 1 is not of the form id: base64"),
        ("k1: !!", "the key k1 in line 1 is not base64"),
        ("k1: QUJD", "key k1 has 3 bytes instead of 32"),
        (f"k1: {KEY_TEXT}\nk1: {KEY_TEXT}", "line 2 names the key k1 again"),
        (f"{'k' * 256}: {KEY_TEXT}", "a key id has 1 to 255 bytes"),
    ],
    ids=["no line", "no colon", "no base64", "too short", "one id twice", "a long id"],
)
def test_a_key_ring_that_cannot_be_used_says_where(text: str, complaint: str) -> None:
    with pytest.raises(KeyRingInvalid, match=complaint):
        read_key_ring(text)

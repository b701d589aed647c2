"""The text of a key: hard to guess, easy to check, simple to find where it leaked."""

import re

from statekeep.controller.access.secret import digest, new_key, public_id


def test_a_key_carries_its_public_id_and_no_two_are_alike() -> None:
    keys = [new_key() for _ in range(200)]
    assert all(public_id(key) == key_id for key_id, key in keys)
    assert len({key_id for key_id, _ in keys}) == len({digest(key) for _, key in keys}) == 200
    assert all(re.fullmatch(r"sk_[0-9A-Za-z]{12}_[0-9A-Za-z]{46}", key) for _, key in keys)


def test_a_typing_error_anywhere_is_noticed() -> None:
    _, key = new_key()
    for position in range(len(key)):
        other = "x" if key[position] != "x" else "y"
        assert public_id(key[:position] + other + key[position + 1 :]) is None
        assert public_id(key[:position] + key[position + 1 :]) is None
        swapped = key[:position] + key[position : position + 2][::-1] + key[position + 2 :]
        assert swapped == key or public_id(swapped) is None


def test_what_is_around_a_key_is_not_part_of_it() -> None:
    _, key = new_key()
    for text in (
        f" {key}",
        f"{key}\n",
        f"{key}{key}",
        key.upper(),
        key.encode("utf-16").decode("latin-1"),
    ):
        assert public_id(text) is None

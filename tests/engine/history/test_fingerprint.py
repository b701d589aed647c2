"""A fingerprint can be recomputed by anybody, byte for byte."""

import hashlib
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statekeep.engine.history.fingerprint import EMPTY, extend, fingerprint, show

TYPES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
HISTORIES = st.lists(TYPES)

KNOWN = "sha256:84a2e4f76d6bb58e9b675bb00cb62cd9195cbbfdff1bc573d2f78c7e27e5ecd5"
"""``START_APPLICATION``, ``SUBMIT_INFO``, ``PAY_FEE``: fixed for ever, approvals depend on it."""


def in_a_shell(history: list[str]) -> str:
    """Recompute a fingerprint with nothing but ``sha256sum`` and ``printf``."""
    script = r"""
    digest=$(printf 'statekeep/history/v1' | sha256sum | cut -c1-64)
    for type in "$@"; do
      digest=$( { printf "$(printf %s "$digest" | sed 's/../\\x&/g')"; printf %s "$type"; } |
                sha256sum | cut -c1-64)
    done
    printf 'sha256:%s' "$digest"
    """
    command = ["bash", "-c", script, "bash", *history]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_the_empty_history_has_the_hash_of_the_seed() -> None:
    assert hashlib.sha256(b"statekeep/history/v1").digest() == EMPTY
    assert fingerprint([]) == EMPTY


def test_a_known_history_has_the_fingerprint_it_always_had() -> None:
    assert show(fingerprint(["START_APPLICATION", "SUBMIT_INFO", "PAY_FEE"])) == KNOWN


@pytest.mark.parametrize(
    "history",
    [
        pytest.param([], id="nothing happened"),
        pytest.param(["START_APPLICATION", "SUBMIT_INFO", "PAY_FEE"], id="three events"),
        pytest.param(
            ["Gebühr bezahlt", "支払い", "💸", "e\u0301"], id="beyond ASCII, not normalised"
        ),
        pytest.param(["a b", "%s\\n", "'\"$HOME`"], id="what a shell might expand"),
        pytest.param(["A"] * 30, id="one event again and again"),
    ],
)
def test_a_shell_computes_the_same_fingerprint(history: list[str]) -> None:
    assert show(fingerprint(history)) == in_a_shell(history)


@given(HISTORIES)
def test_the_chain_hashes_the_bytes_before_and_the_type_in_utf8(history: list[str]) -> None:
    chain = hashlib.sha256(b"statekeep/history/v1").digest()
    for event_type in history:
        chain = hashlib.sha256(chain + bytes(event_type, "utf-8")).digest()
    assert fingerprint(history) == chain
    assert show(chain) == "sha256:" + "".join(f"{byte:02x}" for byte in chain)


@given(HISTORIES, TYPES)
def test_one_more_event_extends_the_chain_by_one_link(history: list[str], event: str) -> None:
    assert fingerprint([*history, event]) == extend(fingerprint(history), event)


@given(HISTORIES, HISTORIES)
def test_only_equal_histories_share_a_fingerprint(a: list[str], b: list[str]) -> None:
    assert (fingerprint(a) == fingerprint(b)) == (a == b)


def test_the_border_between_two_events_matters() -> None:
    assert fingerprint(["AB", "C"]) != fingerprint(["A", "BC"]) != fingerprint(["ABC"])


def test_types_that_look_alike_are_different_types() -> None:
    assert fingerprint(["\u00e9"]) != fingerprint(["e\u0301"])

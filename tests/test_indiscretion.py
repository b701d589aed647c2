"""What listens for secrets in logs hears them."""

import logging
from pathlib import Path

import pytest
from tests import indiscretion
from tests.api.process import Api, ask
from tests.indiscretion import MARKER

from statekeep.controller.access.secret import new_key


@pytest.mark.parametrize(
    "said",
    [
        new_key()[1],
        f"payload {MARKER} refused",
        "Authorization: Bearer abcdefghijklmnopqrstuvwxyz",
        "token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln",
        "connecting to postgresql://me:hunter2@db/statekeep",
    ],
    ids=["a key", "a payload", "a header", "a token", "a password"],
)
def test_whatever_this_process_logs_is_heard(said: str) -> None:
    logging.getLogger("somebody").error("it failed: %s", said)
    assert indiscretion.heard == [f"it failed: {said}"]
    indiscretion.heard.clear()


def test_a_public_id_and_a_url_without_a_password_may_be_said() -> None:
    key_id = new_key()[0]
    logging.getLogger("somebody").error("%s %s", key_id, "postgresql://me@db/statekeep sk_…")
    assert indiscretion.heard == []


def test_processes_are_listened_to_with_requests_that_fail(
    tmp_path: Path, database_url: str
) -> None:
    before = indiscretion.lines
    api = Api(tmp_path, database_url, "--access-log", "all")
    try:
        body = {"type": "START", "data": MARKER, "context": {"iban": MARKER}, "id": MARKER}
        assert ask(f"{api.url}/v1/actors/nobody/events", body)[0] == 404
        api.line("/v1/actors/nobody/events")
    finally:
        api.kill()
    assert indiscretion.lines > before

"""The store and a slow model of it never disagree, whatever happens in which order.

Random families live random lives (``tests/store/life.py``, ``tests/store/story.py``). Each answer is compared when it
is given, where everybody stands after each step, and all that there is after each deployment and at the end.
``make fuzz-store EXAMPLES=500`` draws that many stories, other ones each time.
"""

import os
from dataclasses import replace

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.internal.conjecture import engine
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy.engine import make_url
from tests.conftest import fresh_database
from tests.store.agreement import Disagreement
from tests.store.model import Model
from tests.store.sent import Sent
from tests.store.story import Story
from tests.store.strategies import STRANGE

from statekeep.controller.dev.postgres import EmbeddedPostgres

EXAMPLES = os.environ.get("EXAMPLES")

SETTINGS = settings(
    max_examples=int(EXAMPLES or 16),
    stateful_step_count=25,
    derandomize=EXAMPLES is None,
    phases=[Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


SHRINKING_S = 60
"""How long a story is shortened; Hypothesis itself would give it five minutes."""


def play(
    server: EmbeddedPostgres, template: str, model: type[Model], chosen: settings = SETTINGS
) -> None:
    """Play stories, each in a database of its own; where one ends in a disagreement, tell the shortest.

    Raises:
        Disagreement: its notes are the steps that lead to it.
    """

    class Told(Story):
        def __init__(self) -> None:
            self.url = fresh_database(server, template)
            super().__init__(self.url, model())

        def teardown(self) -> None:
            try:
                super().teardown()
            finally:
                with psycopg.connect(server.url, autocommit=True) as connection:
                    connection.execute(f"drop database {make_url(self.url).database} with (force)")

    Told.__name__ = Story.__name__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "MAX_SHRINKING_SECONDS", SHRINKING_S)
        run_state_machine_as_test(Told, settings=chosen)


def test_the_store_and_the_model_never_disagree(embedded: EmbeddedPostgres, template: str) -> None:
    try:
        play(embedded, template, Model)
    except Disagreement as error:
        story = "\n".join([str(error), *error.__notes__])
    else:
        return
    pytest.fail(story, pytrace=False)


class Deaf(Model):
    """Has never heard of an event A."""

    def send(self, sent: Sent) -> str:
        return super().send(replace(sent, type=STRANGE if sent.type == "A" else sent.type))


def test_a_disagreement_is_told_in_few_words(embedded: EmbeddedPostgres, template: str) -> None:
    few = settings(SETTINGS, max_examples=10, derandomize=True, phases=[Phase.generate])
    with pytest.raises(Disagreement, match=r"(?s)send <a. A>:.*the store says.*the model") as found:
        play(embedded, template, Deaf, few)
    story = "\n".join(found.value.__notes__)
    assert "chart=<p: " in story
    assert len(story) < 4_000

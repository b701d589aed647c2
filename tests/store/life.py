"""What can happen to actors, as rules of a state machine: each is done to the store and to the model.

Two processes, ``p`` and ``q``, share a database and have caches of their own; every step is taken by one of them.
What happens to versions is in ``tests/store/story.py``.
"""

import asyncio
import hashlib
import json
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.conftest import KEYS
from tests.store import agreement
from tests.store.agreement import agree
from tests.store.conftest import World
from tests.store.model import Model, ModelVersion
from tests.store.sent import Sent, Wish
from tests.store.strategies import (
    CHARTS,
    EVENTS,
    STRANGE,
    Chart,
    policy,
)
from tests.store.test_changes import Reader

from statekeep.engine.errors import VersionUnknown
from statekeep.engine.store.database import connect

T = TypeVar("T")


class Life(RuleBasedStateMachine):
    """One story."""

    def __init__(self, url: str, model: Model) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.model = model
        self.worlds = {name: World(connect(url, KEYS, pool_size=3)) for name in "pq"}
        self.reader = Reader(self.worlds["q"])
        self.charts: dict[str, Chart] = {}
        self.wishes: list[Wish] = []
        self.keyed: list[Sent] = []
        self.steps = 0
        self.is_broken = False

    def play(self, scene: Coroutine[Any, Any, T]) -> T:
        """Run what a step does, and look where everybody stands then; remember if that went wrong."""
        self.steps += 1
        try:
            done = self.runner.run(scene)
            onlooker = self.worlds["pq"[self.steps % 2]]
            self.runner.run(agreement.everybody(onlooker, self.model))
            return done
        except BaseException:
            self.is_broken = True
            raise

    async def declared(
        self, name: str, chart: Chart, parent: str | None, path: str = "", words: str = ""
    ) -> None:
        """Propose a version, or edit one that is not applied; a root is applied at once."""
        version = ModelVersion(
            name, chart.definition, parent, tuple(path.split()), policy(words or "Stay Stay Hold")
        )
        if known := self.model.versions.get(name):
            version.earlier = known.earlier | {known.content: known.shown}
            version.shown = version.earlier.get(version.content, {})
        self.charts[name], self.model.versions[name] = chart, version
        if parent is None:
            self.model.applied.append(name)
        await self.worlds["p"].propose(
            name,
            version.definition,
            machine=version.machine_name,
            parent=parent,
            path=version.path,
            policy=version.policy,
        )

    def fresh_actor(self) -> str:
        return f"a{len(self.model.actors)}"

    async def spawned(self, process: str, wish: Wish) -> None:
        world = self.worlds[process]
        context = None if wish.context is None else json.dumps({"n": wish.context}).encode()
        asked = world.wish(wish.actor, wish.target, by_machine=wish.by_machine, context=context)
        try:
            found = await world.ask(replace(asked, idempotency_key=wish.key))
        except VersionUnknown:
            agree(f"spawn {wish}", "version unknown", self.model.spawn(wish))
            return
        agree(f"spawn {wish}", agreement.granted(found), self.model.spawn(wish))

    async def processed(self, process: str, batch: list[Sent]) -> None:
        world = self.worlds[process]
        before = {name: len(actor.events) for name, actor in self.model.actors.items()}
        outcomes = await world.process(*(self._event(sent) for sent in batch))
        for sent, outcome in zip(batch, outcomes, strict=True):
            agree(f"send {sent}", agreement.told(outcome), self.model.send(sent))
        moved = [name for name, seq in before.items() if len(self.model.actors[name].events) > seq]
        await agreement.arrivals(world, moved)

    def _event(self, sent: Sent) -> Any:
        options: dict[str, Any] = {"if_seq": sent.if_seq, "strict": sent.strict}
        if sent.key is not None:
            digest = hashlib.sha256(f"{sent.type} {sent.body}".encode()).digest()
            options |= {"idempotency_key": sent.key, "body_digest": digest}
        if sent.patch is not None:
            options["context"] = dict([sent.patch])
        if sent.body:
            options["data"] = json.dumps(sent.body).encode()
        return self.worlds["p"].event(sent.actor, sent.type, **options)

    @initialize(chart=CHARTS, lives=st.lists(st.text(EVENTS, max_size=4), min_size=3, max_size=5))
    def begin(self, chart: Chart, lives: list[str]) -> None:
        self.play(self.declared("v0", chart, None))
        for life in lives:
            self._live("p", self.fresh_actor(), "v0", life)

    def _live(self, process: str, actor: str, target: str, life: str) -> None:
        self.play(self.spawned(process, Wish(actor, target)))
        self.play(self.processed(process, [Sent(actor, event) for event in life]))

    @rule(process=st.sampled_from("pq"), wish=st.runner().flatmap(lambda life: life.new_wishes()))
    def spawn(self, process: str, wish: Wish) -> None:
        self.wishes.append(wish)
        self.play(self.spawned(process, wish))

    def new_wishes(self) -> st.SearchStrategy[Wish]:
        targets = [*self.charts, "v", "w"]
        return st.builds(
            Wish,
            st.just(self.fresh_actor()),
            st.one_of(st.just("v"), st.sampled_from(self.model.applied), st.sampled_from(targets)),
            st.sampled_from([None, 1, 2]),
            st.sampled_from([None, f"s{len(self.wishes)}"]),
        )

    @precondition(lambda self: self.wishes)
    @rule(process=st.sampled_from("pq"), wish=st.runner().flatmap(lambda life: life.old_wishes()))
    def spawn_again(self, process: str, wish: Wish) -> None:
        """The same wish, or one with its key or for its actor that is another."""
        self.play(self.spawned(process, wish))

    def old_wishes(self) -> st.SearchStrategy[Wish]:
        others = st.fixed_dictionaries(
            {},
            optional={
                "actor": st.sampled_from([*self.model.actors, self.fresh_actor()]),
                "context": st.sampled_from([None, 1, 2]),
                "key": st.sampled_from([None, *self.model.keys]),
            },
        )
        same = st.sampled_from(self.wishes)
        return st.one_of(same, st.builds(lambda wish, other: replace(wish, **other), same, others))

    @rule(process=st.sampled_from("pq"), batch=st.runner().flatmap(lambda life: life.new_batches()))
    def send(self, process: str, batch: list[Sent]) -> None:
        self.keyed += [sent for sent in batch if sent.key is not None]
        self.play(self.processed(process, batch))

    def plain(self) -> st.SearchStrategy[Sent]:
        return st.builds(Sent, st.sampled_from(list(self.model.actors)), st.sampled_from(EVENTS))

    def new_batches(self, size: int = 8) -> st.SearchStrategy[list[Sent]]:
        names, number = list(self.model.actors), len(self.keyed)
        plain = self.plain()
        odd = st.builds(
            Sent,
            st.sampled_from([*names, "nobody"]),
            st.sampled_from(EVENTS + STRANGE),
            st.sampled_from([None, f"k{number}", f"k{number + 1}"]),
            st.integers(0, 2),
            st.sampled_from([*[None] * 6, 0, 1, 2]),
            st.booleans(),
            st.sampled_from([None, ("n", 3), ("m", 4), ("n", None)]),
        )
        return st.lists(st.one_of(plain, plain, odd), min_size=1, max_size=size)

    @rule(process=st.sampled_from("pq"), events=st.text(EVENTS, min_size=1, max_size=3))
    def everybody_sends(self, process: str, events: str) -> None:
        names = list(self.model.actors)
        self.play(
            self.processed(process, [Sent(name, event) for event in events for name in names])
        )

    @precondition(lambda self: self.keyed)
    @rule(process=st.sampled_from("pq"), batch=st.runner().flatmap(lambda life: life.old_batches()))
    def send_again(self, process: str, batch: list[Sent]) -> None:
        """What had a key, whatever has happened to the actor since; sometimes with another body."""
        self.play(self.processed(process, batch))

    def old_batches(self) -> st.SearchStrategy[list[Sent]]:
        other = st.builds(
            lambda sent, body, strict: replace(sent, body=body, strict=strict),
            st.sampled_from(self.keyed),
            st.integers(0, 2),
            st.booleans(),
        )
        return st.lists(st.one_of(st.sampled_from(self.keyed), other), min_size=1, max_size=6)

    @rule(
        process=st.sampled_from("pq"),
        ahead=st.runner().flatmap(lambda life: st.sampled_from(list(life.model.actors))),
        version=st.runner().flatmap(lambda life: st.sampled_from(life.model.applied)),
        last=st.sampled_from(EVENTS),
    )
    def follow(self, process: str, ahead: str, version: str, last: str) -> None:
        """A newcomer on any version lives through what somebody has lived through before."""
        life = "".join(self.model.actors[ahead].events) + last
        self._live(process, self.fresh_actor(), version, life)

    @rule(process=st.sampled_from("pq"))
    def look_at_everything(self, process: str) -> None:
        self.play(agreement.everything(self.worlds[process], self.model, self.reader))

    def teardown(self) -> None:
        try:
            if self.model.actors and not self.is_broken:
                self.look_at_everything("p")
        finally:
            for world in self.worlds.values():
                self.runner.run(world.database.close())
            self.runner.close()

"""What random lives are made of: small charts, paths, policies. Each is short where it is printed."""

from dataclasses import dataclass, replace

from hypothesis import strategies as st
from tests.store.sent import Told

from statekeep.engine.json import JsonObject
from statekeep.engine.routing.policy import (
    CompletedActors,
    MigrationPolicy,
    UnhandledEvents,
    UnseenMoves,
)

EVENTS = "ABCD"
STRANGE = "Z"
"""An event that no chart mentions."""

STATES = "pqrs"

FINAL = "final"


@dataclass(frozen=True, repr=False)
class Chart(Told):
    """A machine of four states that begins in the first one."""

    states: tuple[str, ...]
    """The transitions of each, ``A→q B→r``, or that it is final."""

    @property
    def definition(self) -> JsonObject:
        drawn: JsonObject = {}
        for name, state in zip(STATES, self.states, strict=True):
            if state == FINAL:
                drawn[name] = {"type": "final"}
            else:
                drawn[name] = {"on": {one[0]: one[-1] for one in state.split()}}
        return {"initial": STATES[0], "states": drawn}

    def changed(self, place: str, state: str) -> "Chart":
        at = STATES.index(place)
        return replace(self, states=(*self.states[:at], state, *self.states[at + 1 :]))

    def __repr__(self) -> str:
        named = zip(STATES, self.states, strict=True)
        return f"<{', '.join(f'{name}: {state}' for name, state in named)}>"


TRANSITIONS = st.dictionaries(st.sampled_from(EVENTS), st.sampled_from(STATES), min_size=2).map(
    lambda on: " ".join(f"{event}→{target}" for event, target in sorted(on.items()))
)
CHARTS = st.builds(
    lambda states, last: Chart((*states, last)),
    st.tuples(TRANSITIONS, TRANSITIONS, TRANSITIONS),
    st.one_of(TRANSITIONS, st.just(FINAL)),
)
CHANGES = st.tuples(st.sampled_from(STATES), TRANSITIONS)
"""One state made anew: few changes, so that many histories live on."""

PATHS = st.one_of(
    st.sampled_from(["", "", "A", "*", "* *", "** B"]),
    st.lists(st.sampled_from(["A", "B", "*", "**"]), min_size=1, max_size=3).map(" ".join),
)
POLICIES = st.tuples(
    st.sampled_from([kind.value for kind in UnhandledEvents]),
    st.sampled_from([kind.value for kind in CompletedActors]),
    st.sampled_from([kind.value for kind in UnseenMoves]),
).map(" ".join)
"""As words: ``Skip Stay Hold``."""


def policy(words: str) -> MigrationPolicy:
    unhandled, completed, unseen = words.split()
    return MigrationPolicy(
        unhandled_events=UnhandledEvents(unhandled),
        completed_actors=CompletedActors(completed),
        unseen_moves=UnseenMoves(unseen),
    )

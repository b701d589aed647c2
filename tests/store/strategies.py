"""What random lives are made of: small charts, paths, policies. Each is short where it is printed."""

from dataclasses import dataclass, replace

from hypothesis import strategies as st

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

State = tuple[tuple[str, str], ...] | None
"""Its transitions, (event, target); ``None`` where it is final."""


@dataclass(frozen=True, repr=False)
class Chart:
    """A machine of four states that begins in the first one."""

    states: tuple[State, ...]

    @property
    def definition(self) -> JsonObject:
        drawn: JsonObject = {
            name: {"type": "final"} if state is None else {"on": dict(state)}
            for name, state in zip(STATES, self.states, strict=True)
        }
        return {"initial": STATES[0], "states": drawn}

    def changed(self, place: int, state: State) -> "Chart":
        return replace(self, states=(*self.states[:place], state, *self.states[place + 1 :]))

    def __repr__(self) -> str:
        shown = (
            "final" if state is None else " ".join(f"{event}→{target}" for event, target in state)
            for state in self.states
        )
        return (
            f"<{'; '.join(f'{name}: {state}' for name, state in zip(STATES, shown, strict=True))}>"
        )


TRANSITIONS = st.dictionaries(st.sampled_from(EVENTS), st.sampled_from(STATES), min_size=2).map(
    lambda on: tuple(sorted(on.items()))
)
CHARTS = st.builds(
    lambda states, last: Chart((*states, last)),
    st.tuples(TRANSITIONS, TRANSITIONS, TRANSITIONS),
    st.one_of(TRANSITIONS, st.none()),
)
CHANGES = st.tuples(st.integers(0, len(STATES) - 1), TRANSITIONS)
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

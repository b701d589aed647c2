"""Hypothesis strategies for definitions, events, and things that are neither."""

import random

from hypothesis import strategies as st
from tests.engine.statechart import generator

from statekeep.engine.json import JsonObject, JsonValue


def _definition(rng: random.Random, size: int) -> JsonObject:
    return generator.definition(rng, size=size)


definitions: st.SearchStrategy[JsonObject] = st.builds(
    _definition, st.randoms(use_true_random=False), st.integers(1, 20)
)
"""Definitions with every feature; now and then one that never comes to rest."""

event_types = st.one_of(
    st.sampled_from([*generator.EVENTS, *generator.JUNK]),
    st.text(max_size=8),
    st.from_regex(r"xstate\.(done|error)\.actor\.0\.m(\.[a-e])*", fullmatch=True),
)

_words = st.sampled_from(
    [
        "id",
        "type",
        "initial",
        "states",
        "on",
        "always",
        "onDone",
        "after",
        "invoke",
        "history",
        "target",
        "guard",
        "reenter",
        "actions",
        "atomic",
        "compound",
        "parallel",
        "final",
        "deep",
        "m",
        "a",
        "b",
        "#m",
        ".a",
        "#m.a",
        "*",
        "a.*",
        "__proto__",
        "cond",
        "in",
    ]
)

json_values: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _words | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(_words | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=40,
)
"""Arbitrary JSON, with a liking for the words of definitions."""

_near_states: st.SearchStrategy[JsonValue] = st.recursive(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("on", "always", "invoke", "type"), json_values)
    ),
    lambda inner: st.fixed_dictionaries(
        {"states": st.dictionaries(_words, inner, max_size=4)},
        optional={
            "initial": _words | json_values,
            "type": _words | json_values,
            "target": _words | json_values,
            "on": st.dictionaries(_words, json_values, max_size=3),
            "always": json_values,
            "onDone": json_values,
            "after": json_values,
            "id": _words | json_values,
        },
    ),
    max_leaves=8,
)

anything: st.SearchStrategy[object] = st.one_of(
    json_values,
    _near_states,
    st.dictionaries(st.none() | st.booleans() | st.integers() | _words, json_values, max_size=4),
    st.dictionaries(
        _words, st.binary(max_size=3) | st.tuples(json_values) | st.sets(st.integers()), max_size=3
    ),
)
"""What a server may be sent."""

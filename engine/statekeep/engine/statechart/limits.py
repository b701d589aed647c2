"""How large a definition may be, and how far one event may go."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a definition is held to; everything that could grow or loop is named here.

    They are generous: a chart that people can read is far below every one of them.
    """

    definition_bytes: int = 1_048_576
    """Size of the definition as compact JSON, about. etcd takes 1.5 MB, and the manifest holds more than it."""

    json_depth: int = 256
    """Arrays and objects inside each other, ``meta`` and ``params`` included: JSON libraries recurse."""

    depth: int = 100
    """States inside each other. XState itself takes 20 seconds for 1,000 levels."""

    states: int = 10_000
    """States in all: the work of one event grows with those that are active."""

    transitions: int = 20_000
    """Transitions in all, guarded ones included."""

    targets: int = 1_000
    """Targets of one transition: at most one for each region can take part."""

    key_bytes: int = 256
    """UTF-8 bytes of a state's key."""

    id_bytes: int = 1_000
    """UTF-8 bytes of a state's id, which by default joins the keys of all its ancestors."""

    event_type_bytes: int = 1_024
    """UTF-8 bytes of an event's type: Postgres indexes it together with its place in the history."""

    default_chain: int = 150
    """Steps from a state to its initial child, or from a history state to its default, in a row."""

    microsteps: int = 10_000
    """Microsteps one event may cause. XState sets no limit; a service that many share must."""

    work: int = 2_000_000
    """States looked at within one event, about a second: a microstep costs what is active."""

    configurations: int = 50_000
    """Configurations that a machine remembers before it forgets them all and starts again."""

    steps: int = 500_000
    """Steps that a machine remembers, over all its configurations, before it does the same."""

    findings: int = 1_000
    """Findings reported for one definition: more would not be read."""


DEFAULT_LIMITS = Limits()
"""What the operator and the API hold every definition to."""

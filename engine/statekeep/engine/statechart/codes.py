"""Everything that validation can find: the one list of codes, from which ``docs/codes.md`` is written."""

from enum import Enum

from statekeep.engine.finding import Finding, Severity

ERROR, WARNING = Severity.ERROR, Severity.WARNING


class Code(Enum):
    """A code with its severity, what it means, and how to mend it."""

    # The document
    NOT_JSON = (
        "not-json",
        ERROR,
        "Something that JSON cannot hold: a key that is no text, a date, a NaN, an infinity.",
        "Quote the key or the value; YAML turns unquoted `on`, `1` or `2024-01-01` into other types.",
    )
    UNSAFE_NUMBER = (
        "unsafe-number",
        ERROR,
        "An integer beyond 2^53, which JSON libraries round differently.",
        "Write it as text.",
    )
    UNSTORABLE_TEXT = (
        "unstorable-text",
        ERROR,
        "A NUL character or half of a surrogate pair, which Postgres cannot store.",
        "Remove the character.",
    )
    TOO_LARGE = (
        "too-large",
        ERROR,
        "The definition is larger than the limit `definition_bytes`.",
        "Move what is not behaviour (`meta`, long descriptions) elsewhere.",
    )
    TOO_DEEP = (
        "too-deep",
        ERROR,
        "Objects, states or defaults lie deeper inside each other than the limits allow.",
        "Flatten it.",
    )
    TOO_MANY = (
        "too-many",
        ERROR,
        "More states, transitions or targets than the limits allow.",
        "Split the machine.",
    )
    TOO_LONG = (
        "too-long",
        ERROR,
        "A key, id or event type is longer than the limits allow.",
        "Shorten it; an id of its own replaces the joined keys of a deeply nested state.",
    )
    MORE_FINDINGS = (
        "more-findings",
        WARNING,
        "There are more findings than are listed.",
        "Mend those that are listed and validate again.",
    )

    # Shape
    WRONG_TYPE = (
        "wrong-type",
        ERROR,
        "A value of a type that cannot stand in its place, such as `null` for a transition.",
        "Give it one of the types that the message names.",
    )
    UNKNOWN_VALUE = (
        "unknown-value",
        ERROR,
        "A word that is not one of the few allowed, such as `type: paralel`.",
        "Use one of the words that the message names.",
    )
    V4_SYNTAX = (
        "v4-syntax",
        ERROR,
        "XState v4 syntax that v5 ignores or crashes on; a `cond` would be a transition without a guard.",
        "Use the v5 form that the message names.",
    )
    UNKNOWN_KEY = (
        "unknown-key",
        WARNING,
        "A member that XState does not know and ignores.",
        "Correct the spelling, or put it under `meta`.",
    )

    # States
    DUPLICATE_ID = (
        "duplicate-id",
        ERROR,
        "Two states have one id; targets, done events and history could not tell them apart.",
        "Give one of them another `id`. Without one, the id joins the keys from the root with dots.",
    )
    UNUSABLE_KEY = (
        "unusable-key",
        ERROR,
        "A key by which XState cannot find its own state again.",
        "Rename the state.",
    )
    MISSING_INITIAL = (
        "missing-initial",
        ERROR,
        "A state with child states names none of them as `initial`.",
        "Name the child to start in, or make the state `parallel`.",
    )
    UNKNOWN_INITIAL = (
        "unknown-initial",
        ERROR,
        "`initial` names no child of its state.",
        "Name a direct child by its key, without dots or `#`.",
    )
    BAD_HISTORY_DEFAULT = (
        "bad-history-default",
        ERROR,
        "The `target` of a history state names no state or another history state, or the root is one.",
        "Name a state from the parent of the history state (`y`, `y.j`) or by id (`#id`).",
    )
    DEFAULT_CYCLE = (
        "default-cycle",
        ERROR,
        "Defaults lead in a circle: entering the state would never end.",
        "Give the history state a `target` of its own outside the circle.",
    )
    UNSTABLE_START = (
        "unstable-start",
        ERROR,
        "From the initial state, `always` or `onDone` transitions go on for ever.",
        "Break the circle: guards are false here, so an `always` without a guard is taken every time.",
    )
    STATES_IGNORED = (
        "states-ignored",
        WARNING,
        "An atomic, final or history state has child states, which are never entered.",
        "Remove the `type`, or the child states.",
    )

    # Transitions
    UNKNOWN_TARGET = (
        "unknown-target",
        ERROR,
        "A target names no state.",
        "Siblings are named by key (`b`), children with a dot (`.c`), any state by id (`#id.key`).",
    )
    CONFLICTING_TARGETS = (
        "conflicting-targets",
        ERROR,
        "The targets of one transition cannot be active together.",
        "Name at most one state in each region of a parallel state.",
    )
    GUARDED = (
        "guarded",
        WARNING,
        "The transition is never taken: guards are false here.",
        "Decide in the backend and send one event for each outcome.",
    )
    SHADOWED = (
        "shadowed",
        WARNING,
        "The transition is never taken: one before it in the list has no guard.",
        "Remove it, or the one before it.",
    )
    NEVER_DONE = (
        "never-done",
        WARNING,
        "`onDone` of a state that cannot be done: it has no final child, or is the root.",
        "Add a state with `type: final`.",
    )
    NARROW_WILDCARD = (
        "narrow-wildcard",
        WARNING,
        "A `*` that is not the last word of the event stands for itself only.",
        "Use `*`, or `order.*` with the star as the last of the words between dots.",
    )
    RESERVED_EVENT = (
        "reserved-event",
        WARNING,
        "An event type of XState's own that nobody can send here.",
        "Use `onDone`, or another event type.",
    )
    DELAY = (
        "delay",
        WARNING,
        "No clock runs: an `after` transition waits for its event.",
        "Let the backend send the event that the message names.",
    )
    TARGET_IGNORED = (
        "target-ignored",
        WARNING,
        "A bare text in a list under `after`: XState takes it for a transition without target.",
        "Write `{target: ...}`.",
    )
    NEVER_SETTLES = (
        "never-settles",
        WARNING,
        "No actor runs: `onDone`, `onError` of an invocation wait for their events.",
        "Let the backend send the events that the message names.",
    )

    # The whole
    UNREACHABLE = (
        "unreachable",
        WARNING,
        "No sequence of events leads to the state.",
        "Remove it, or add a transition without a guard that leads there.",
    )
    DEAD_END = (
        "dead-end",
        WARNING,
        "Nothing leads out of the state, and it is not final.",
        "Make it `type: final`, or add a transition.",
    )
    LOST_EVENT = (
        "lost-event",
        WARNING,
        "An ancestor handles the event, this version never does: without a skip, histories with it cannot be replayed.",
        "Handle it (`{}` is enough), or set `migration.unhandledEvents: Skip`.",
    )

    def __init__(self, code: str, severity: Severity, meaning: str, mend: str) -> None:
        self.code = code
        self.severity = severity
        self.meaning = meaning
        self.mend = mend

    def at(self, pointer: str, message: str) -> Finding:
        """Return a finding with this code."""
        return Finding(self.code, pointer, message, self.severity)


def markdown() -> str:
    """Return ``docs/codes.md``."""
    rows = [f"| `{c.code}` | {c.severity} | {c.meaning} | {c.mend} |" for c in Code]
    return "\n".join(
        [
            "# What validation finds",
            "",
            "Every finding has a code, a JSON pointer and a sentence. Errors stop a version, warnings do not.",
            "Written from `statekeep.engine.statechart.codes`; a test holds that both agree.",
            "",
            "| code | severity | meaning | how to mend it |",
            "| --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )

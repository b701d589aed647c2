"""What a YAML scalar means.

The rules are YAML 1.2's core schema, narrowed to what every reader agrees on: ``true`` and ``false`` are the booleans,
``null``, ``~`` and nothing are null, what JSON calls a number is a number, all else is text. kubectl follows YAML 1.1
and differs: what it would read as a number (``010``, ``1_000``, ``0x1F``, ``.5``) is refused here, and what it would
read as a boolean (``yes``, ``off``) is text with a warning. In both cases quotes, or another spelling, end the doubt.
"""

import math
import re
from dataclasses import dataclass

from statekeep.controller.manifest.codes import Code
from statekeep.controller.manifest.limits import MAX_INTEGER
from statekeep.engine.finding import Severity
from statekeep.engine.json import JsonValue

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_KUBECTL_BOOLEANS = {
    spelled: kind
    for kind, words in ((True, ("y", "yes", "on")), (False, ("n", "no", "off")))
    for word in words
    for spelled in (word, word.capitalize(), word.upper())
}

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_KUBECTL_NUMBER = re.compile(
    r"[-+]?(?:0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_TAG = "tag:yaml.org,2002:"
_TAGGED: dict[str, tuple[type, ...]] = {
    f"{_TAG}int": (int,),
    f"{_TAG}float": (int, float),
    f"{_TAG}bool": (bool,),
    f"{_TAG}null": (type(None),),
}
TEXT_TAGS = frozenset({"!", f"{_TAG}str"})
MAPPING_TAGS = frozenset({"!", f"{_TAG}map"})
SEQUENCE_TAGS = frozenset({"!", f"{_TAG}seq"})


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is to be said of a scalar."""

    code: Code
    message: str
    severity: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class Meaning:
    """The value of a scalar; where it is refused, its text, so that reading can go on."""

    value: JsonValue
    doubt: Doubt | None = None


def resolve(text: str, *, tag: str | None, plain: bool) -> Meaning:
    """Return what a scalar means.

    >>> resolve("1.5", tag=None, plain=True).value
    1.5
    >>> resolve("1.5", tag=None, plain=False).value
    '1.5'
    """
    if tag in TEXT_TAGS or (tag is None and not plain):
        return Meaning(text)
    if tag is None:
        return _plain(text)
    wanted = _TAGGED.get(tag)
    if wanted is None:
        return Meaning(text, refused_tag(tag))
    meaning = _plain(text)
    # A boolean is an integer to Python.
    fits = isinstance(meaning.value, wanted) and (
        bool in wanted or not isinstance(meaning.value, bool)
    )
    if meaning.doubt is None and not fits:
        return Meaning(
            text,
            Doubt(
                Code.YAML_TAG, f"the value is not what its tag {short(tag)} says: remove the tag"
            ),
        )
    return meaning


def key_text(text: str, *, tag: str | None, plain: bool) -> Meaning:
    """Return a key, as text: Kubernetes turns integers and booleans into it, and so do we.

    >>> key_text("1000", tag=None, plain=True).value
    '1000'
    """
    meaning = resolve(text, tag=tag, plain=plain)
    match meaning.value:
        case str():
            return meaning
        case bool() as value:
            return Meaning("true" if value else "false")
        case int() as value if text != "-0":
            return Meaning(str(value))
        case None:
            return Meaning(
                text,
                Doubt(
                    Code.YAML_KEY,
                    "a key is missing, or null: write one, in quotes if null is meant",
                ),
            )
        case _:
            message = (
                f"the key {text} is a number that tools write in different ways: put it in quotes"
            )
            return Meaning(text, Doubt(Code.YAML_KEY, message))


def refused_tag(tag: str) -> Doubt:
    """Return the refusal of a tag that has no meaning in JSON."""
    return Doubt(
        Code.YAML_TAG,
        f"the tag {short(tag)} has no meaning in JSON: remove it, or put the text in quotes",
    )


def _plain(text: str) -> Meaning:
    if text in _NULLS:
        return Meaning(None)
    if text in _BOOLEANS:
        return Meaning(_BOOLEANS[text])
    if text in _KUBECTL_BOOLEANS:
        return Meaning(text, _boolean_doubt(text))
    if _NUMBER.fullmatch(text):
        return _number(text)
    if _NOT_FINITE.fullmatch(text):
        return Meaning(
            text,
            Doubt(Code.NUMBER_NOT_FINITE, f"JSON has no {text}: put it in quotes if it is text"),
        )
    if text[0] in "+-.0123456789" and _KUBECTL_NUMBER.fullmatch(text.replace("_", "")):
        message = f"tools disagree on the number {short(text)}: write it in decimal, or in quotes if it is text"
        return Meaning(text, Doubt(Code.YAML_AMBIGUOUS, message))
    return Meaning(text)


def _boolean_doubt(text: str) -> Doubt:
    kubectl = "true" if _KUBECTL_BOOLEANS[text] else "false"
    message = f'kubectl reads {text} without quotes as {kubectl}: write "{text}"'
    return Doubt(Code.YAML_AMBIGUOUS, message, Severity.WARNING)


def _number(text: str) -> Meaning:
    if _INTEGER.fullmatch(text):
        # Python refuses to read integers of several thousand digits.
        if len(text) > len(str(-MAX_INTEGER)) or abs(int(text)) > MAX_INTEGER:
            message = (
                "an integer beyond 2^53 does not survive JSON: write it as a string, in quotes"
            )
            return Meaning(text, Doubt(Code.NUMBER_RANGE, message))
        return Meaning(int(text))
    value = float(text)
    if not math.isfinite(value):
        message = f"the number {short(text)} is too large: put it in quotes if it is text"
        return Meaning(text, Doubt(Code.NUMBER_NOT_FINITE, message))
    return Meaning(value)


def short(text: str) -> str:
    """Return a piece of the user's text in the length that a message can carry."""
    text = text.replace(_TAG, "!!")
    return text if len(text) <= 60 else text[:59] + "…"

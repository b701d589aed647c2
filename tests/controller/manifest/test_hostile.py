"""Text that was made to do harm ends in a problem, soon."""

import time
from collections.abc import Callable

import pytest

from statekeep.controller.manifest.document import scan
from statekeep.controller.manifest.limits import Limits

LIMIT_S = 10.0
"""Several times what any of these takes on a slow machine; a hang takes for ever."""

DEEP = 100_000


def bomb() -> str:
    lines = [
        f"{name}: &{name} [{', '.join([f'*{above}'] * 9)}]"
        for above, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    return "\n".join(["a: &a [lol, lol, lol]", *lines])


def text_bomb() -> str:
    return f'a: &a "{"x" * 1_000_000}"\nb: [{", ".join(["*a"] * 10_000)}]'


def merge_bomb() -> str:
    keys = ", ".join(f"k{n}: 1" for n in range(1000))
    return f"a: &a {{{keys}}}\n" + "".join(f"b{n}: {{<<: *a}}\n" for n in range(10_000))


HOSTILE: dict[str, tuple[Callable[[], str], str]] = {
    "aliases of aliases": (bomb, "yaml-too-large"),
    "aliases of a long string": (text_bomb, "yaml-too-large"),
    "merges of a wide mapping": (merge_bomb, "yaml-too-large"),
    "open brackets": (lambda: "[" * DEEP, "yaml-too-deep"),
    "open brackets, one a line": (lambda: "[\n" * DEEP, "yaml-too-deep"),
    "brackets": (lambda: "[" * DEEP + "]" * DEEP, "yaml-too-deep"),
    "braces": (lambda: '{"a":' * DEEP + "1" + "}" * DEEP, "yaml-too-deep"),
    "deep json with an escaped pair": (
        lambda: '["\\ud83d\\ude00",' + "[" * DEEP + "]" * DEEP + "]",
        "yaml-syntax",
    ),
    "block sequences": (lambda: "- " * DEEP, "yaml-too-deep"),
    "explicit keys": (lambda: "? " * DEEP, "yaml-too-deep"),
    "block mappings": (lambda: "\n".join(" " * n + "a:" for n in range(2000)), "yaml-too-deep"),
    "depth by aliases": (
        lambda: "a0: &a0 []\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 1000)),
        "yaml-too-deep",
    ),
    "a string of 5 MB": (lambda: f'"{"a" * 5_000_000}"', "yaml-too-large"),
    "characters of four bytes": (lambda: "😀" * 1_100_000, "yaml-too-large"),
    "tag directives": (
        lambda: "".join(f"%TAG !a{n}! x\n" for n in range(200_000)) + "--- a",
        "yaml-tag",
    ),
    "a million documents": (lambda: "--- a\n" * 600_000, "yaml-too-large"),
    "a million items": (lambda: "[" + "0," * 1_000_000 + "]", "yaml-too-large"),
    "an open quote": (lambda: "'" * 3_999_999, "yaml-syntax"),
    "stars": (lambda: "*" * 1_000_000, "yaml-syntax"),
    "half of an escape": (lambda: '{"a": "\\ud800"}', "yaml-syntax"),
    "an escape beyond Unicode": (lambda: 'a: "\\UFFFFFFFF"', "yaml-syntax"),
    "a NUL": (lambda: "a: b\0", "yaml-character"),
    "a lone surrogate": (lambda: "a: \udc80", "yaml-character"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_soon(name: str) -> None:
    make, code = HOSTILE[name]
    text = make()
    begun = time.process_time()
    reading = scan(text)
    assert time.process_time() - begun < LIMIT_S
    assert [problem.code for problem in reading.problems] == [code]


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ('a: "' + "x" * 5_000_000 + '"', Limits(max_bytes=6_000_000)),
        ("a: |\n" + "  x\n" * 1_000_000, Limits()),
        ("# c\n" * 1_000_000, Limits()),
        ("\n" * 4_000_000, Limits()),
        ("{" + ", ".join(f"k{n}: 1" for n in range(150_000)) + "}", Limits()),
        ("&a0 a: 1\n" + "".join(f"&a{n} b{n}: *a{n - 1}\n" for n in range(1, 50_000)), Limits()),
    ],
    ids=[
        "a string of 5 MB",
        "a literal of a million lines",
        "comments",
        "empty lines",
        "a wide mapping",
        "anchors",
    ],
)
def test_large_text_is_read_soon(text: str, limits: Limits) -> None:
    begun = time.process_time()
    reading = scan(text, limits=limits)
    assert time.process_time() - begun < LIMIT_S
    assert reading.problems == ()


def test_a_document_with_very_many_problems_keeps_the_first() -> None:
    (document,) = scan("".join(f"k{n}: .nan\n" for n in range(100_000))).documents
    assert [problem.line for problem in document.problems] == list(range(1, 101))

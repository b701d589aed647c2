"""What YAML means here, and where everything stands."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.controller.manifest.documents import read_documents

from statekeep.controller.manifest.document import scan
from statekeep.controller.manifest.errors import DocumentsInvalid
from statekeep.controller.manifest.problem import Position, Problem
from statekeep.engine.finding import Finding, Severity, escape
from statekeep.engine.json import JsonValue

# What kubectl 1.32 sends to the API server for these scalars without quotes; see `unambiguous` for how we read them.
KUBECTL: dict[str, JsonValue] = {
    "True": True,
    "FALSE": False,
    "~": None,
    "Null": None,
    "": None,
    "1": 1,
    "-7": -7,
    "0": 0,
    "1.0": 1,
    "0.10": 0.1,
    "1e3": 1000,
    "1.5e3": 1500,
    "1E3": 1000,
    "12e5": 1200000,
    "1:30": "1:30",
    "2024-01-01": "2024-01-01",
    "=": "=",
    '"on"': "on",
    "'1'": "1",
    "a b": "a b",
}
KUBECTL_NUMBERS = (
    "010",
    "0o17",
    "0x1F",
    "1_000",
    "+1",
    ".5",
    "1.",
    "0b11",
    "0123456789",
    "1__0",
    "0x_1",
    "08",
    "1_0.5",
)
KUBECTL_BOOLEANS = ("on", "off", "yes", "no", "y", "n", "Off", "YES", "N", "On")


def value(text: str) -> JsonValue:
    (document,) = read_documents(text)
    return document.value


def problems(text: str) -> list[Problem]:
    with pytest.raises(DocumentsInvalid) as refused:
        read_documents(text)
    return list(refused.value.problems)


def codes(text: str) -> list[tuple[str, str, int, int]]:
    return [(p.code, p.pointer, p.line, p.column) for p in problems(text)]


@pytest.mark.parametrize("text", KUBECTL)
def test_what_is_not_in_doubt_is_read_as_kubectl_reads_it(text: str) -> None:
    (document,) = read_documents(f"a: {text}")
    assert document.value == {"a": KUBECTL[text]}
    assert document.problems == ()


@pytest.mark.parametrize("text", KUBECTL_NUMBERS)
def test_a_number_that_only_some_tools_read_as_one_is_refused(text: str) -> None:
    assert codes(f"a: {text}") == [("yaml-ambiguous", "/a", 1, 4)]
    assert value(f"a: '{text}'") == {"a": text}


@pytest.mark.parametrize("text", KUBECTL_BOOLEANS)
def test_a_word_that_kubectl_takes_for_a_boolean_is_text_with_a_warning(text: str) -> None:
    (document,) = read_documents(f"{text}: {text}")
    assert document.value == {text: text}
    assert [(p.code, p.severity, p.column) for p in document.problems] == [
        ("yaml-ambiguous", Severity.WARNING, 1),
        ("yaml-ambiguous", Severity.WARNING, len(text) + 3),
    ]


def test_the_key_on_is_text() -> None:
    assert value("on: {SUBMIT: review}") == {"on": {"SUBMIT": "review"}}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("1000: x", "1000"),
        ("true: x", "true"),
        ("True: x", "true"),
        ("-1: x", "-1"),
        ("'1.5': x", "1.5"),
        ('"": x', ""),
    ],
)
def test_integer_and_boolean_keys_become_text_as_in_kubernetes(text: str, key: str) -> None:
    assert value(text) == {key: "x"}


@pytest.mark.parametrize("key", ["1.5", "1e3", "~", "null", "-0", "? [a]\n", "? {a: b}\n", "? \n"])
def test_other_keys_are_refused(key: str) -> None:
    assert "yaml-key" in {p.code for p in problems(f"{key}: x")}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: .inf", "number-not-finite"),
        ("a: -.Inf", "number-not-finite"),
        ("a: .nan", "number-not-finite"),
        ("a: 1e999", "number-not-finite"),
        ("a: 12e345678", "number-not-finite"),
        ("a: 9007199254740993", "number-range"),
        ("a: -9007199254740993", "number-range"),
        ("a: " + "9" * 5000, "number-range"),
    ],
)
def test_a_number_that_json_cannot_keep_is_refused(text: str, code: str) -> None:
    assert codes(text) == [(code, "/a", 1, 4)]


def test_two_to_the_fifty_third_is_kept() -> None:
    assert value("[9007199254740992, -9007199254740992]") == [2**53, -(2**53)]


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system [true]",
        "!!python/name:os.system",
        "!!set {a}",
        "!!omap [a: b]",
        "!!binary aGk=",
        "!!timestamp 2024-01-01",
        "!Ref bucket",
        "!<tag:example.com,2024:x> y",
        "!!int x",
        "!!int true",
        "!!bool 1",
        "!!str [a]",
        "!!map x",
    ],
)
def test_a_tag_beyond_json_is_refused(text: str) -> None:
    assert codes(f"a: {text}") == [("yaml-tag", "/a", 1, 4)]


def test_a_tag_within_json_is_obeyed() -> None:
    text = "[!!str 1, ! 2, !!int 3, !!float 4, !!bool true, !!null ~, !!seq [], !!map {}]"
    assert value(text) == ["1", "2", 3, 4, True, None, [], {}]


def test_equal_keys_are_refused_and_both_lines_named() -> None:
    (problem,) = problems("spec:\n  a: 1\n  b: 2\n  'a': 3\n")
    assert (problem.code, problem.pointer, problem.line, problem.column) == (
        "yaml-duplicate-key",
        "/spec/a",
        4,
        3,
    )
    assert "line 2" in problem.message


def test_keys_that_kubernetes_makes_equal_are_equal() -> None:
    assert codes("1: a\n'1': b\n") == [("yaml-duplicate-key", "/1", 2, 1)]


def test_an_alias_is_a_copy() -> None:
    (document,) = read_documents("a: &x {b: [1]}\nc: *x\n")
    assert document.value == {"a": {"b": [1]}, "c": {"b": [1]}}
    assert isinstance(document.value, dict)
    assert document.value["a"] is not document.value["c"]


@pytest.mark.parametrize(
    ("text", "pointer"),
    [("a: *nope", "/a"), ("a: &x [*x]", "/a/0"), ("a: &x {b: {c: *x}}", "/a/b/c")],
)
def test_an_alias_to_nothing_or_to_itself_is_refused(text: str, pointer: str) -> None:
    assert [(p.code, p.pointer) for p in problems(text)] == [("yaml-alias", pointer)]


def test_an_anchor_ends_with_its_document() -> None:
    assert [(p.code, p.line) for p in problems("a: &x 1\n---\nb: *x\n")] == [("yaml-alias", 3)]


def test_merge_keys_yield_to_the_mapping_and_to_earlier_merges() -> None:
    text = "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {<<: [*x, *y], a: 0}\nw: {<<: *y}\n"
    assert value(text) == {
        "x": {"a": 1, "b": 1},
        "y": {"b": 2, "c": 2},
        "z": {"a": 0, "b": 1, "c": 2},
        "w": {"b": 2, "c": 2},
    }


def test_a_merge_of_something_else_is_refused() -> None:
    assert codes("a: {<<: [x]}") == [("yaml-merge", "/a", 1, 10)]


def test_a_merge_key_in_quotes_is_a_key() -> None:
    assert value('{"<<": 1}') == {"<<": 1}


def test_everything_wrong_is_reported_at_once() -> None:
    found = codes("a: !x y\nb: .nan\n---\nc: 1\nc: 2\nd: [010, *e]\n")
    assert found == [
        ("yaml-tag", "/a", 1, 4),
        ("number-not-finite", "/b", 2, 4),
        ("yaml-duplicate-key", "/c", 5, 1),
        ("yaml-ambiguous", "/d/0", 6, 5),
        ("yaml-alias", "/d/1", 6, 10),
    ]


def test_documents_without_content_are_left_out() -> None:
    assert [d.value for d in read_documents("# c\n---\n---\na: 1\n---\n# d\n...\n---\nb: 2\n")] == [
        {"a": 1},
        {"b": 2},
    ]
    assert read_documents("") == []
    assert read_documents("\ufeff") == []


def test_the_items_of_a_list_are_documents() -> None:
    first, second = read_documents("kind: List\nitems:\n- a: 1\n-   b:\n      - x\n")
    assert (first.value, second.value) == ({"a": 1}, {"b": ["x"]})
    assert second.position("/b/0") == Position(5, 9)
    problem = second.problem(Finding("code", "/b/0", "wrong"))
    assert str(problem) == "<text>:5:9: error[code] /items/1/b/0: wrong"


def test_problems_go_to_the_list_item_that_they_are_in() -> None:
    first, second = scan("kind: List\nkind: List\nitems:\n- a: .nan\n- {b: 010}\n").documents
    assert [p.pointer for p in first.problems] == ["/kind", "/items/0/a"]
    assert [p.pointer for p in second.problems] == ["/items/1/b"]


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ("", (2, 1)),
        ("/a", (2, 1)),
        ("/a/b~1c", (3, 3)),
        ("/a/b~1c/1", (5, 7)),
        ("/a/b~1c/7", (3, 3)),
        ("/a/b~1c/-", (3, 3)),
        ("/a/b~1c/1/deeper", (5, 7)),
        ("/a/nope", (2, 1)),
        ("/nope", (2, 1)),
        ("/d~0e/0", (6, 8)),
        ("/d~0e/1", (6, 11)),
        ("/d~0e/9999999999999999999999", (6, 1)),
        ("/d~0e/²", (6, 1)),
        ("/f/x", (2, 1)),
    ],
)
def test_a_pointer_leads_to_a_key_an_item_or_what_is_above(
    pointer: str, place: tuple[int, int]
) -> None:
    (document,) = read_documents("# c\na:\n  b/c:\n    - x\n    - y\nd~e:  [1, 😀]\n")
    assert document.position(pointer) == Position(*place)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_are_counted_as_editors_do(newline: str) -> None:
    text = newline.join(["\ufeffa: 1", "", "b: |", "  text", "  more", "c: é😀: x", "d: 'x"])
    (problem,) = problems(text.replace("c: é😀: x", "cé😀: x"))
    assert (problem.code, problem.line, problem.column) == ("yaml-syntax", 7, 4)
    (document,) = read_documents(text.replace("c: é😀: x", "é😀: {x: y}").replace("'", ""))
    assert document.position("/é😀/x") == Position(6, 6)
    assert document.position("/a") == Position(1, 1)


def test_json_with_surrogate_pairs_is_read_and_keeps_its_places() -> None:
    text = '{\n\t"a\\ud83d\\ude00": "\\ud83d\\ude00\\\\ud83d\\/", "b": [1, "\\uD83D\\uDE00", {"c": 2}]}'
    (document,) = read_documents(text)
    assert document.value == json.loads(text)
    assert document.position("/b") == Position(2, text.split("\n")[1].index('"b"') + 1)
    assert document.position("/b/2/c") == Position(2, text.split("\n")[1].index('"c"') + 1)


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a:\n\t- b", 2, 1, "tabs"),
        ("\ta: b", 1, 1, "tabs"),
        ("a: b: c", 1, 5, "':'"),
        ("a: 'b\nc: d\n", 1, 4, "never closed"),
        ("a: @b", 1, 4, "begin with @"),
        ("a: `b", 1, 4, "begin with `"),
        ("a: [1, 2\nb: 3\n", 2, 2, "bracket"),
        ("a: 1\n b: 2\n", 2, 3, "':'"),
        ("a: 1\n  - b\nc\n", 4, 1, "without its ':'"),
        ('a: "\\q"', 1, 5, "escape"),
        ('{"a": "\\ud83d"}', 1, 10, "surrogate"),
        ("a: \0", 1, 4, "U+0000"),
        ("a: \x1b[0m", 1, 4, "U+001B"),
        ("a:\n  - \ud800", 2, 5, "U+D800"),
        ("%YAML 2.0\n---\na: 1", 1, 1, "%YAML"),
        ("%TAG !e! tag:x\n---\na: 1", 1, 1, "%TAG"),
        ("a: !e!x y", 1, 4, "tag"),
        ("a: 1\n- b", 2, 1, "key should begin"),
    ],
)
def test_malformed_text_is_one_problem_with_its_place(
    text: str, line: int, column: int, words: str
) -> None:
    (problem,) = problems(text)
    assert words in problem.message
    assert (problem.line, problem.column) == (line, column)


def test_what_came_before_malformed_text_is_still_reported() -> None:
    assert [p.code for p in problems("a: .nan\n---\nb: '\n")] == [
        "number-not-finite",
        "yaml-syntax",
    ]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("ab/~é😀on1. ", max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(json_values, st.booleans(), st.sampled_from([None, 2, "\t"]))
def test_json_is_read_as_json(found: JsonValue, ascii_only: bool, indent: int | str | None) -> None:
    text = json.dumps({"value": found}, ensure_ascii=ascii_only, indent=indent)
    assert value(text) == {"value": found}


def everywhere(found: JsonValue, pointer: str = "") -> list[tuple[str, str | None]]:
    """Return each pointer into a value, with the key that it ends in."""
    match found:
        case dict():
            inner = [(f"{pointer}/{escape(key)}", key, child) for key, child in found.items()]
            return [
                pair for at, key, child in inner for pair in [(at, key), *everywhere(child, at)]
            ]
        case list():
            return [
                pair
                for index, child in enumerate(found)
                for pair in everywhere(child, f"{pointer}/{index}")
            ]
        case _:
            return []


@given(json_values, st.sampled_from([None, 1]), st.booleans())
def test_each_key_is_found_where_it_is_written(
    found: JsonValue, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps({"value": found}, ensure_ascii=ascii_only, indent=indent)
    lines = text.split("\n")
    (document,) = scan(text).documents
    for pointer, key in everywhere({"value": found}):
        place = document.position(pointer)
        assert lines[place.line - 1].startswith(
            json.dumps(key, ensure_ascii=ascii_only), place.column - 1
        )


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    scan(text)


@given(
    st.lists(
        st.sampled_from(
            [*"{}[]&*!|>'\"%@`#:-?,~<\\ \t\n\r", "a", "on", "1", "<<: ", "&a ", "*a ", "- ", ": "]
        )
    )
)
def test_any_punctuation_is_read_or_refused(pieces: list[str]) -> None:
    reading = scan("".join(pieces))
    for document in reading.documents:
        json.dumps(document.value, allow_nan=False)

"""The comment on a pull request: nothing that others wrote is more than text in it, and it always fits."""

import re
from dataclasses import replace
from typing import Any

import pytest

from statekeep.controller.cli.comment import MAX_COMMENT, approval, comment
from statekeep.controller.cli.markdown import code, escaped
from statekeep.controller.diagram.mermaid import MAX_CHARACTERS, Actors, diagram
from statekeep.controller.diagram.places import paths, states
from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION, Manifest
from statekeep.engine.ids import VersionName
from statekeep.engine.json import JsonObject
from statekeep.engine.statechart.compiler import compile_machine
from statekeep.engine.statechart.state_value import label

HOSTILE = '"|`\n<script>[x](http://e.vil)@org/team #1 direction TB\\*_~$%%{init}-->;:{}'
SMALL: JsonObject = {"id": "m", "initial": "a", "states": {"a": {"on": {"GO": "a"}}}}
NOBODY = Actors({}, {}, "v1")


def manifest() -> Manifest:
    return Manifest(name=VersionName("v2"), parent_id=VersionName("v1"), definition=SMALL)


def answer(text: str, rows: int) -> Any:
    """Return a preview in which everything that others may name is called ``text``."""
    names = [f"{number}{text}" for number in range(rows)]
    return {
        "id": "0" * 32,
        "approve": f'statekeep.io/approve: "{"0" * 32}"',
        "actors": {"evaluated": 9, "wouldMigrate": 4, "wouldStay": 4, "needsRescue": 1},
        "moves": [{"from": n, "to": n, "actors": 1, "skipped": [n]} for n in names],
        "stays": [{"state": n, "reason": "Completed", "detail": n, "actors": 1} for n in names],
        "warnings": [{"code": "lost-event", "pointer": f"/{n}", "message": n} for n in names],
        "moreMoves": {"kinds": 3, "actors": 30},
    }


def drawn(definition: JsonObject, actors: Actors = NOBODY) -> list[str]:
    return [line.strip() for line in diagram(compile_machine(definition), actors).splitlines()]


@pytest.mark.parametrize("character", ["|", "`", "<", ">", "[", "*", "\\", "~", "$", "&", ":", "!"])
def test_no_character_means_anything_in_a_cell(character: str) -> None:
    assert character not in escaped(f"a{character}b", 80).replace("&#", "").replace(";", "")


def test_nobody_is_mentioned_and_nothing_is_referred_to() -> None:
    for text in ("@octocat", "a@b.example", "#12", "www.example.com", "https://example.com"):
        shown = escaped(text, 80)
        assert not re.search(r"@|#\d+(?!;)|www\.|https?:", shown.replace("&#", "&")), shown
        assert code(text, 80) == f"<code>{shown}</code>"


def test_names_with_underscores_stay_readable_and_line_breaks_end_no_row() -> None:
    assert escaped("under_review.pending", 80) == "under_review.pending"
    assert escaped("_a_", 80) == "&#95;a&#95;"
    assert escaped("a\r\nb", 80) == "a  b"


def test_a_hostile_comment_has_the_rows_of_a_harmless_one() -> None:
    machine = compile_machine(SMALL)
    harmless = comment(manifest(), machine, answer("x", 5)).splitlines()
    hostile = comment(manifest(), machine, answer(HOSTILE, 5)).splitlines()
    assert len(hostile) == len(harmless)
    assert [line.count("|") for line in hostile if line.startswith("|")] == [
        line.count("|") for line in harmless if line.startswith("|")
    ]
    assert "<script>" not in "\n".join(hostile)
    assert "… and 30 actors in 3 more kinds." in hostile


@pytest.mark.parametrize(
    "text", ["x" * 3000, HOSTILE * 40, "😀" * 3000], ids=["long", "hostile", "wide"]
)
def test_a_comment_always_fits_and_always_has_the_annotation(text: str) -> None:
    whole = comment(manifest(), compile_machine(SMALL), answer(text, 50))
    assert len(whole) <= MAX_COMMENT
    assert 'metadata:\n  annotations:\n    statekeep.io/approve: "' in whole
    assert "more kinds." in whole


def test_an_id_with_spaces_around_it_is_no_approval_and_that_is_said() -> None:
    given = {APPROVE_ANNOTATION: "0" * 32 + " "}
    said = "\n".join(approval(replace(manifest(), annotations=given), answer("", 0)))
    assert said.startswith("The manifest has spaces around the id, so it approves nothing.")
    assert "**Approved**" not in said


def test_regions_are_separated_and_final_states_end() -> None:
    region: JsonObject = {
        "initial": "x",
        "states": {"x": {"on": {"E": "y"}}, "y": {"type": "final"}},
    }
    parallel: JsonObject = {
        "type": "parallel",
        "states": {"one": region, "two": region},
        "onDone": "b",
    }
    lines = drawn(
        {"id": "m", "initial": "p", "states": {"p": parallel, "b": {"type": "final"}}},
        Actors({"p.(one.x, two.y)": 7}, {"old": 3}, "v1"),
    )
    assert 'state "p (one, two)" as s1 {' in lines
    assert lines.count("--") == 1
    assert lines.count('state "x (+7)" as s3') == 1
    assert 'state "y (+7)" as s7' in lines
    assert {"[*] --> s1", "s1 --> s8 : done", "s8 --> [*]", "[*] --> s3", "s4 --> [*]"} <= set(
        lines
    )
    start = lines.index('state "stay on v1" as before {')
    assert lines[start + 1 : start + 3] == ['state "old (3)" as b0', "}"]


def test_arrows_run_between_siblings_only() -> None:
    inner: JsonObject = {
        "initial": "x",
        "states": {"x": {"on": {"OUT": "#m.b", "UP": "#m.a"}}},
        "on": {"IN": ".x"},
    }
    lines = drawn(
        {
            "id": "m",
            "initial": "a",
            "states": {"a": inner, "b": {"on": {"DEEP": "a.x"}}},
            "on": {"ANY": ".b"},
        }
    )
    arrows = [line for line in lines if "-->" in line and "[*]" not in line]
    assert sorted(arrows) == [
        "any0 --> s3 : ANY",
        "any1 --> s2 : IN",
        "s1 --> s1 : x#58; UP",
        "s1 --> s3 : x#58; OUT",
        "s3 --> s1 : DEEP → x",
    ]


def test_labels_hold_nothing_that_mermaid_reads() -> None:
    lines = drawn(
        {"id": "m", "initial": HOSTILE, "states": {HOSTILE: {"on": {HOSTILE: {"reenter": True}}}}}
    )
    state = next(line for line in lines if line.startswith("state "))
    assert re.fullmatch(r'state "[\w #;.,()+/→…-]+" as s1', state)
    assert not re.search(r"direction\s+TB", state)


def test_a_machine_that_is_too_big_is_drawn_by_the_states_with_actors() -> None:
    many: JsonObject = {"id": "m", "initial": "s0", "states": {f"s{n}": {} for n in range(500)}}
    lines = drawn(
        many, Actors({f"s{n}": 1 for n in range(300)}, {HOSTILE * n: 1 for n in range(1, 50)}, "v1")
    )
    assert (
        'state "501 states are too many to draw, only some with actors are shown" as omitted'
        in lines
    )
    assert len([line for line in lines if "(+1)" in line]) == 20
    assert len("\n".join(lines)) < 2 * MAX_CHARACTERS


@pytest.mark.parametrize(
    "value",
    [
        "a",
        {"a": {"b": "c"}},
        {"p": {"a": "x", "b": {"q": {"c": "y", "d": "z"}}, "e": {}}},
        {"v1.2": {"a, b": "(c)", "": "\\"}},
        {},
    ],
)
def test_a_label_leads_back_to_the_states_it_names(value: Any) -> None:
    def leaves(value: Any, above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
        if isinstance(value, str):
            return {(*above, value)}
        return {path for key in value for path in leaves(value[key], (*above, key))} or {above}

    assert set(paths(label(value))) == leaves(value)


def test_a_state_that_the_machine_does_not_have_is_not_drawn() -> None:
    assert states(compile_machine(SMALL), "nowhere.at.all") == []
    assert states(compile_machine({"id": "m", "initial": "{}", "states": {"{}": {}}}), "{}") == [1]

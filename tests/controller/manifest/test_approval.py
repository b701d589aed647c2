"""An approval changes one annotation and not one other byte."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.controller.manifest.documents import read_documents

from statekeep.controller.manifest.approval import approve
from statekeep.controller.manifest.errors import ApprovalImpossible, DocumentsInvalid
from statekeep.controller.manifest.parse import parse
from statekeep.engine.json import JsonValue

ID = "7c1f0e9a2b44"
LINE = f'statekeep.io/approve: "{ID}"'
HEAD = "apiVersion: statekeep.io/v1alpha1\nkind: MachineVersion\n"
SPEC = "spec: {definition: {}}\n"

# Before and after, of `metadata` alone.
LAYOUTS: dict[str, tuple[str, str]] = {
    "no annotations": (
        "metadata:\n  name: loan-v2  # the second\n  # who owns it\n  labels: {a: b}\n",
        f"metadata:\n  name: loan-v2  # the second\n  annotations:\n    {LINE}\n  # who owns it\n  labels: {{a: b}}\n",
    ),
    "no annotations, four columns": (
        "metadata:\n    labels:\n        a: b\n    name: 'loan-v2'\n",
        f"metadata:\n    labels:\n        a: b\n    name: 'loan-v2'\n    annotations:\n        {LINE}\n",
    ),
    "a name in a literal": (
        "metadata:\n  labels: {}\n  name: |-\n    loan-v2\n",
        f"metadata:\n  annotations:\n    {LINE}\n  labels: {{}}\n  name: |-\n    loan-v2\n",
    ),
    "other annotations": (
        "metadata:\n  name: loan-v2\n  annotations:   # notes\n      # about a\n      a: b\n",
        f"metadata:\n  name: loan-v2\n  annotations:   # notes\n      {LINE}\n      # about a\n      a: b\n",
    ),
    "empty annotations": (
        "metadata:\n  name: loan-v2\n  annotations:\n",
        f"metadata:\n  name: loan-v2\n  annotations:\n    {LINE}\n",
    ),
    "annotations in a comment": (
        "metadata:\n  annotations:  # none yet\n    # statekeep.io/approve: x\n  name: loan-v2\n",
        f"metadata:\n  annotations:  # none yet\n    {LINE}\n    # statekeep.io/approve: x\n  name: loan-v2\n",
    ),
    "null annotations": (
        "metadata:\n  name: loan-v2\n  annotations: ~ # none\n",
        f"metadata:\n  name: loan-v2\n  annotations: {{{LINE}}} # none\n",
    ),
    "flow annotations": (
        "metadata:\n  name: loan-v2\n  annotations: { a: b }\n",
        f"metadata:\n  name: loan-v2\n  annotations: {{ a: b, {LINE} }}\n",
    ),
    "empty flow annotations": (
        "metadata: {name: loan-v2, annotations: {  }}\n",
        f"metadata: {{name: loan-v2, annotations: {{{LINE}  }}}}\n",
    ),
    "flow metadata": (
        "metadata: {name: loan-v2}  # short\n",
        f"metadata: {{name: loan-v2, annotations: {{{LINE}}}}}  # short\n",
    ),
    "flow metadata on many lines": (
        "metadata: {\n  name: loan-v2,  # n\n  labels: {},\n  }\n",
        f"metadata: {{\n  annotations: {{{LINE}}},\n  name: loan-v2,  # n\n  labels: {{}},\n  }}\n",
    ),
    "an approval": (
        "metadata:\n  annotations:\n    statekeep.io/approve: abc # old\n    a: b\n  name: loan-v2\n",
        f"metadata:\n  annotations:\n    {LINE} # old\n    a: b\n  name: loan-v2\n",
    ),
    "an approval that is a number": (
        "metadata:\n  annotations:\n    statekeep.io/approve: 123\n  name: loan-v2\n",
        f"metadata:\n  annotations:\n    {LINE}\n  name: loan-v2\n",
    ),
    "an approval in quotes, its key too": (
        "metadata: {annotations: {'statekeep.io/approve':   'abc' }, name: loan-v2}\n",
        f"metadata: {{annotations: {{'statekeep.io/approve':   \"{ID}\" }}, name: loan-v2}}\n",
    ),
    "an empty approval": (
        "metadata:\n  annotations:\n    statekeep.io/approve:  # soon\n    a: b\n  name: loan-v2\n",
        f"metadata:\n  annotations:\n    {LINE}  # soon\n    a: b\n  name: loan-v2\n",
    ),
    "an approval in a literal": (
        "metadata:\n  name: loan-v2\n"
        "  annotations:\n    statekeep.io/approve: |  # old\n      abc\n\n    # next\n    a: b\n",
        f"metadata:\n  name: loan-v2\n  annotations:\n    {LINE}  # old\n\n    # next\n    a: b\n",
    ),
    "an approval by merge": (
        "metadata:\n  labels: &l {statekeep.io/approve: abc}\n  annotations:\n    <<: *l\n    a: b\n  name: loan-v2\n",
        "metadata:\n  labels: &l {statekeep.io/approve: abc}\n"
        f"  annotations:\n    {LINE}\n    <<: *l\n    a: b\n  name: loan-v2\n",
    ),
}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_annotation_is_written_as_a_person_would(layout: str, newline: str) -> None:
    before, after = (HEAD + metadata + SPEC for metadata in LAYOUTS[layout])
    assert approve(before.replace("\n", newline), "loan-v2", ID) == after.replace("\n", newline)


# There the new lines go above the literal, which would keep its end at the end of the file.
@pytest.mark.parametrize(
    "layout", [layout for layout in LAYOUTS if layout != "a name in a literal"]
)
def test_the_end_of_the_file_needs_no_line_break(layout: str) -> None:
    before, after = (SPEC + HEAD + metadata.rstrip("\n") for metadata in LAYOUTS[layout])
    assert approve(before, "loan-v2", ID) == after


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_approval_of_the_same_id_changes_nothing(layout: str) -> None:
    after = HEAD + LAYOUTS[layout][1] + SPEC
    assert approve(after, "loan-v2", ID) == after
    unquoted = after.replace(f'"{ID}"', ID)
    assert approve(unquoted, "loan-v2", ID) == unquoted


@pytest.mark.parametrize(
    "preview_id", ["123456789012", "12e345678901", "0123", "0x1f", "true", "on", "1.5", "a"]
)
def test_the_id_stays_a_string_whatever_it_looks_like(preview_id: str) -> None:
    (document,) = read_documents(approve(HEAD + "metadata: {name: a}\n" + SPEC, "a", preview_id))
    assert parse(document.value).approved_preview == preview_id


@pytest.mark.parametrize("indent", [None, 2, "\t"])
@pytest.mark.parametrize(
    "annotations", [None, {}, {"a": "b"}, {"a": "b", "statekeep.io/approve": "old"}]
)
def test_json_stays_json(indent: int | str | None, annotations: dict[str, str] | None) -> None:
    metadata: dict[str, Any] = {"name": "a", "labels": {"😀": "é"}}
    if annotations is not None:
        metadata["annotations"] = annotations
    value = {
        "apiVersion": "statekeep.io/v1alpha1",
        "kind": "MachineVersion",
        "metadata": metadata,
        "spec": {"definition": {}},
    }
    approved = json.loads(approve(json.dumps(value, indent=indent), "a", ID))
    metadata["annotations"] = {**(annotations or {}), "statekeep.io/approve": ID}
    assert approved == value


def test_only_the_version_that_is_named_is_touched() -> None:
    others = [HEAD + f"metadata: {{name: {name}}}\n" + SPEC for name in ("a", "c")]
    ours = HEAD + "metadata:\n  name: b\n" + SPEC
    odd = "# first\nk: !Ref x\nk: 010\n"
    text = "---\n".join([odd, others[0], ours, others[1]])
    approved = ours.replace("name: b\n", f"name: b\n  annotations:\n    {LINE}\n")
    assert approve(text, "b", ID) == "---\n".join([odd, others[0], approved, others[1]])


def test_an_item_of_a_list_can_be_approved() -> None:
    item = (
        "- " + HEAD.replace("\nk", "\n  k") + "  metadata:\n    name: a\n  spec: {definition: {}}\n"
    )
    text = "apiVersion: v1\nkind: List\nitems:\n" + item + item.replace("name: a", "name: b")
    assert approve(text, "b", ID) == text.replace(
        "name: b\n", f"name: b\n    annotations:\n      {LINE}\n"
    )


def test_the_namespace_tells_versions_of_one_name_apart() -> None:
    first = HEAD + "metadata: {name: a, namespace: x}\n" + SPEC
    text = first + "---\n" + first.replace("space: x", "space: y")
    with pytest.raises(ApprovalImpossible, match="lines 1 and 6"):
        approve(text, "a", ID)
    approved = approve(text, "a", ID, namespace="y")
    assert approved == text.replace("space: y", f"space: y, annotations: {{{LINE}}}")


@pytest.mark.parametrize(
    ("text", "name", "preview_id", "words"),
    [
        (HEAD + "metadata: {name: a}\n" + SPEC, "b", ID, "no MachineVersion b"),
        ("kind: ConfigMap\nmetadata: {name: a}\n", "a", ID, "no MachineVersion a"),
        ("", "a", ID, "no MachineVersion a"),
        (HEAD + "metadata: {name: a}\n" + SPEC, "a", 'x"y', "not a preview id"),
        (HEAD + "metadata: {name: a}\n" + SPEC, "a", "", "not a preview id"),
        (HEAD + "metadata: {name: a, annotations: [x]}\n" + SPEC, "a", ID, "by hand"),
        (
            HEAD + "metadata: {name: a, annotations: {statekeep.io/approve: [x]}}\n" + SPEC,
            "a",
            ID,
            "by hand",
        ),
        ("x: &m {name: a}\n" + HEAD + "metadata: *m\n" + SPEC, "a", ID, "by hand"),
        (
            HEAD
            + "metadata:\n  name: a\n  annotations: {statekeep.io/approve: &x b}\n  labels: {l: *x}\n"
            + SPEC,
            "a",
            ID,
            "by hand",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(text: str, name: str, preview_id: str, words: str) -> None:
    with pytest.raises(ApprovalImpossible, match=words):
        approve(text, name, preview_id)


@pytest.mark.parametrize("text", ["a: '", HEAD + "metadata: {name: a, name: b}\n" + SPEC, "a: \0"])
def test_a_text_that_is_broken_is_not_touched(text: str) -> None:
    with pytest.raises(DocumentsInvalid):
        approve(text, "a", ID)


NAMES = ("loan-v2", "'loan-v2'", '"loan-v2"')
COMMENTS = ("", "", "  # c", " # 'c' {", "   ")
BETWEEN = ("", "# between\n", "\n", "  # in between\n", f"{' ' * 20}# far out\n")
SCALARS = (
    "x",
    '"x y"',
    "'it''s'",
    "é😀",
    "~",
    "|\n{i}    lit\n\n{i}    more",
    ">-\n{i}    folded",
    "x\n{i}    y",
)
FLOW_SCALARS = ("x", '"x, y"', "'}'", "é😀", "12")
OTHERS = ("", "a: b\n---\n", "# top\n---\n", "{a: [b]}\n...\n# c\n---\n", "- |\n  x\n---\n")
ENDS = ("", "---\na: b\n", "...\n", "# end\n")

one_of = st.sampled_from
steps = one_of([1, 2, 3, 4, 8])


@st.composite
def flow_annotations(draw: st.DrawFn, indent: str) -> str:
    values = draw(st.lists(one_of(FLOW_SCALARS), max_size=3))
    pairs = [f"k{n}: {value}" for n, value in enumerate(values)]
    if draw(st.booleans()):
        pairs.append(f"statekeep.io/approve: {draw(one_of(FLOW_SCALARS))}")
    joint = draw(one_of([", ", f",\n{indent}   "]))
    return f"{indent}annotations: {{{joint.join(draw(st.permutations(pairs)))}}}{draw(one_of(COMMENTS))}"


@st.composite
def block_annotations(draw: st.DrawFn, indent: str) -> str:
    inner = indent + " " * draw(steps)
    values = draw(st.lists(one_of(SCALARS), min_size=1, max_size=3))
    pairs = [f"{inner}k{n}: {value}" for n, value in enumerate(values)]
    if draw(st.booleans()):
        pairs.append(f"{inner}statekeep.io/approve: {draw(one_of(SCALARS))}")
    lines = "\n".join(draw(st.permutations(pairs))).replace("{i}", inner)
    return f"{indent}annotations:{draw(one_of(COMMENTS))}\n{lines}"


@st.composite
def blank_annotations(draw: st.DrawFn, indent: str) -> str:
    return f"{indent}annotations:{draw(one_of(['', ' ~', ' null', ' {}', ' { }']))}{draw(one_of(COMMENTS))}"


@st.composite
def metadata_lines(draw: st.DrawFn) -> str:
    indent = " " * draw(steps)
    members = [f"{indent}name: {draw(one_of(NAMES))}{draw(one_of(COMMENTS))}"]
    kinds = [
        st.none(),
        flow_annotations(indent),
        block_annotations(indent),
        blank_annotations(indent),
    ]
    annotations = draw(st.one_of(kinds))
    if annotations is not None:
        members.append(annotations)
    if draw(st.booleans()):
        members.append(
            f"{indent}labels:{draw(one_of(COMMENTS))}\n{indent}  a: {draw(one_of(FLOW_SCALARS))}"
        )
    between = draw(one_of(BETWEEN))
    members = draw(st.permutations(members))
    return f"metadata:{draw(one_of(COMMENTS))}\n{between}" + f"\n{between}".join(members) + "\n"


@st.composite
def layouts(draw: st.DrawFn) -> str:
    """Return a manifest of ``loan-v2`` in some layout, perhaps between other documents."""
    parts = [
        "apiVersion: statekeep.io/v1alpha1\n",
        "kind: MachineVersion\n",
        SPEC,
        draw(metadata_lines()),
    ]
    text = draw(one_of(OTHERS)) + "".join(draw(st.permutations(parts))) + draw(one_of(ENDS))
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    return draw(one_of(["", "\ufeff"])) + text.replace("\n", draw(one_of(["\n", "\r\n"])))


def common(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))


def changed(before: str, after: str) -> tuple[str, str]:
    """Return what was taken out and what was put in."""
    start = common(before, after)
    end = common(before[start:][::-1], after[start:][::-1])
    return before[start : len(before) - end], after[start : len(after) - end]


def former_approval(text: str) -> str:
    for document in read_documents(text):
        match document.value:
            case {"metadata": {"annotations": {"statekeep.io/approve": former}}}:
                return str(former)
    return ""


def without_approvals(text: str) -> list[JsonValue]:
    """Return the documents of a text, their approvals taken away."""
    values: list[JsonValue] = [document.value for document in read_documents(text)]
    for value in values:
        match value:
            case {"metadata": dict() as metadata}:
                annotations = metadata.pop("annotations", None)
                kept = annotations if isinstance(annotations, dict) else {}
                kept.pop("statekeep.io/approve", None)
                metadata["annotations"] = kept
    return values


@given(layouts())
@example("\ufeffmetadata: {name: loan-v2}\n" + HEAD + SPEC)
def test_in_any_layout_only_the_annotation_changes(text: str) -> None:
    approved = approve(text, "loan-v2", ID)
    taken, put = changed(text, approved)
    assert put.count(ID) == 1
    if "approve" not in text:
        assert taken in ("", "~", "null")
    # Below a literal, what looks like a comment may be a part of it.
    assert approved.count("#") == text.count("#") - former_approval(text).count("#")
    assert without_approvals(approved) == without_approvals(text)
    assert approve(approved, "loan-v2", ID) == approved

"""The page at ``/docs``: complete, linked, and safe to open without a network."""

import re
from html.parser import HTMLParser

import pytest
from tests.api.conftest import Site
from tests.api.test_openapi import DOCUMENT, OPERATIONS

from statekeep.controller.api import page

PAGE = page.render(DOCUMENT)


class Elements(HTMLParser):
    """What a browser would see: every element with its attributes, and whether all are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def elements() -> Elements:
    parser = Elements()
    parser.feed(PAGE)
    parser.close()
    return parser


def test_every_element_that_is_opened_is_closed(elements: Elements) -> None:
    assert elements.open == []


def test_it_tells_of_every_call_and_of_every_schema_under_an_id_of_its_own(
    elements: Elements,
) -> None:
    ids = [attributes["id"] for _, attributes in elements.seen if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert {*OPERATIONS, *DOCUMENT["components"]["schemas"]} <= set(ids)


def test_every_link_leads_somewhere_on_the_page(elements: Elements) -> None:
    ids = {attributes.get("id") for _, attributes in elements.seen}
    for tag, attributes in elements.seen:
        if tag == "a":
            target = str(attributes["href"])
            assert target == "openapi.json" or target.removeprefix("#") in ids, target


def test_it_needs_no_script_and_nothing_from_elsewhere(elements: Elements) -> None:
    assert {tag for tag, _ in elements.seen}.isdisjoint({"script", "link", "img", "iframe", "form"})
    for _, attributes in elements.seen:
        assert not {"src", "style", "onclick"} & set(attributes)
    assert "url(" not in PAGE
    assert "@import" not in PAGE


async def test_a_browser_is_told_to_run_nothing_and_to_load_nothing(site: Site) -> None:
    policy = (await site.get("/docs")).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert f"style-src '{page.STYLE_HASH}'" in policy
    assert "script" not in policy
    assert "unsafe" not in policy


def test_what_the_document_says_cannot_become_markup() -> None:
    hostile = "<script>alert(1)</script> & `<b>`"
    changed = DOCUMENT | {"info": DOCUMENT["info"] | {"title": hostile, "description": hostile}}
    shown = page.render(changed)
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    assert "<code>&lt;b&gt;</code>" in shown


def test_every_call_is_shown_as_one_that_a_shell_takes() -> None:
    figures = re.findall(r"<figcaption>Call</figcaption>", PAGE)
    assert len(figures) == len(OPERATIONS)
    assert "{id}" not in "".join(re.findall(r"curl -s &quot;[^&]*&quot;", PAGE))

"""The API describes itself truly: the document is valid, and the server does what it says and no more."""

import asyncio
import copy
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import openapi_spec_validator
import pytest
from tests.api import loan_story
from tests.api.conftest import Site
from tests.api.loan_story import NAMESPACE

from statekeep.controller.api import kinds
from statekeep.controller.api.app import create
from statekeep.controller.api.contract import NDJSON
from statekeep.controller.api.openapi import document, examples
from statekeep.controller.api.routes import PROBES, ROUTES
from statekeep.controller.api.server import listening
from statekeep.engine.store.database import Database

DOCUMENT = document(NAMESPACE)
EXAMPLES = os.environ.get("EXAMPLES", "5")
"""How much is sent to every call, beyond what its limits suggest; ``make fuzz-api`` sends more."""

CONFIG = Path(__file__).parent / "schemathesis.toml"
API = loan_story.EXAMPLES.parent


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (path, operation) of every call."""
    for path, item in DOCUMENT["paths"].items():
        for method in ("get", "post"):
            if method in item:
                yield path, item[method]


OPERATIONS = {operation["operationId"]: operation for _, operation in operations()}


def test_the_document_is_openapi() -> None:
    openapi_spec_validator.validate(DOCUMENT)


def test_every_route_is_in_the_document_under_a_name_of_its_own() -> None:
    named = [route.contract.id for route in ROUTES] + [probe.contract.id for probe in PROBES]
    assert sorted(OPERATIONS) == sorted(named)
    assert len(set(named)) == len(named)
    for name in named:
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", name), name


def test_every_placeholder_of_a_path_is_a_parameter() -> None:
    for path, operation in operations():
        named = [p["name"] for p in operation["parameters"] if p["in"] == "path"]
        assert re.findall(r"\{(\w+)\}", path) == named, path


def test_whatever_can_be_sent_or_answered_is_explained() -> None:
    for name, operation in OPERATIONS.items():
        assert operation["summary"], name
        assert operation["description"], name
        for parameter in operation["parameters"]:
            assert parameter["description"], (name, parameter["name"])
        for status, response in operation["responses"].items():
            assert response["description"], (name, status)
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert schema["description"], name
        for field, kind in schema.get("properties", {}).items():
            told = "description" in kind or "$ref" in kind or field in BARE
            assert told, (name, field)


BARE = {"actors", "wouldMigrate", "needsRescue", "status"}
"""Fields whose names, and those of what they stand in, say it all."""


def test_every_schema_that_is_there_is_used() -> None:
    text = json.dumps(DOCUMENT)
    for name in DOCUMENT["components"]["schemas"]:
        assert f"#/components/schemas/{name}" in text, name


def test_every_call_of_the_table_needs_a_token_and_a_probe_needs_none() -> None:
    assert DOCUMENT["security"] == [{"bearer": []}]
    for route in ROUTES:
        operation = OPERATIONS[route.contract.id]
        assert "security" not in operation
        assert {"401", "403"} <= set(operation["responses"])
    for probe in PROBES:
        assert OPERATIONS[probe.contract.id]["security"] == []


def closed(schema: Any) -> Any:
    """Return a schema that takes no field but those it names: what is answered must be documented."""
    match schema:
        case {"properties": {} as fields}:
            rest = {name: closed(part) for name, part in schema.items() if name != "properties"}
            shown = {name: closed(part) for name, part in fields.items()}
            return {"additionalProperties": False} | rest | {"properties": shown}
        case dict():
            return {name: closed(part) for name, part in schema.items()}
        case list():
            return [closed(part) for part in schema]
        case _:
            return schema


CLOSED = closed(copy.deepcopy(DOCUMENT["components"]))


def check(value: Any, schema: Any) -> None:
    """Hold a value to a schema of the document."""
    whole = {"components": CLOSED, **closed(schema)}
    jsonschema.Draft202012Validator(
        whole, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(value)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_example_is_as_its_schema_says(name: str) -> None:
    operation = OPERATIONS[name]
    contents = [operation.get("requestBody", {}), *operation["responses"].values()]
    checked = 0
    for content in contents:
        for media in content.get("content", {}).values():
            for example in media.get("examples", {}).values():
                check(example["value"], media["schema"])
                checked += 1
    for parameter in operation["parameters"]:
        if "example" in parameter:
            check(parameter["example"], parameter["schema"])
    assert checked, "no example"


async def test_the_examples_are_what_is_said_in_a_run_of_the_loan_story(
    database: Database,
) -> None:
    told = await loan_story.play(database)
    assert list(loan_story.differences(told)) == [], "make api-examples writes them anew"


def test_every_problem_that_is_raised_is_a_known_kind_with_its_status() -> None:
    raised: set[str] = set()
    for path in API.glob("*.py"):
        for status, kind in re.findall(
            r'Problem\(\s*HTTPStatus\.(\w+),\s*"([a-z-]+)"', path.read_text()
        ):
            assert kinds.KINDS[kind].status.name == status, (path, kind)
            raised.add(kind)
    assert raised <= set(kinds.KINDS)


async def test_the_answer_to_a_stream_is_as_the_schema_of_a_result_says(site: Site) -> None:
    await site.spawn("a")
    items: list[object] = [
        {"actor": "a", "type": "START"},
        {"actor": "a", "type": "APPROVE", "strict": True},
        {"actor": "a", "type": "PAY", "ifSeq": 9},
        {"actor": "b", "type": "PAY"},
        {"actor": "a", "type": ""},
        7,
    ]
    lines = b"".join(json.dumps(item).encode() + b"\n" for item in items)
    reply = await site.send_raw("/v1/events", lines, "application/x-ndjson")
    responses = OPERATIONS["sendEvents"]["responses"]
    result = responses["200"]["content"]["application/json"]["schema"]["anyOf"][0]["items"]
    answers = [json.loads(line) for line in reply.raw.splitlines()]
    for answer in answers:
        check(answer, result)
    assert [answer["status"] for answer in answers] == ["active", 409, 412, 404, 422, 422]


async def test_every_line_of_the_change_feed_is_as_its_schema_says(database: Database) -> None:
    await loan_story.play(database)
    schema = OPERATIONS["followChanges"]["responses"]["200"]["content"][NDJSON]["schema"]["x-line"]
    async with (
        listening(create(database, NAMESPACE), "127.0.0.1", 0) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/v1/changes", params={"follow": "false"}) as response,
    ):
        lines = [json.loads(line) async for line in response.content]
    for line in lines:
        check(line, schema)
    told = {line["kind"] for line in lines}
    assert told == {"spawn", "event", "deployment", "migration", "bookmark"}


@pytest.fixture
async def server(database: Database) -> AsyncIterator[str]:
    """A server on which the loan story has been played."""
    await loan_story.play(database)
    async with listening(create(database, NAMESPACE), "127.0.0.1", 0) as url:
        yield url


@pytest.mark.parametrize(
    ("prefix", "more"),
    [
        ("/v1", ["--exclude-tag", "probes"]),
        (f"/v1/namespaces/{NAMESPACE}", ["--exclude-tag", "probes", "--phases", "fuzzing"]),
        ("", ["--include-tag", "probes"]),
    ],
    ids=["own namespace", "named namespace", "probes"],
)
async def test_no_answer_is_undocumented_whatever_is_sent(
    server: str, tmp_path: Path, prefix: str, more: list[str]
) -> None:
    command = ["schemathesis", "--config-file", str(CONFIG), "run", f"{server}/openapi.json"]
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).parent / command[0],
        *command[1:],
        *("--url", server + prefix, "--max-examples", EXAMPLES, "--no-color", *more),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()


async def test_the_document_and_the_page_are_served_and_need_not_be_sent_twice(site: Site) -> None:
    for path, kind in (("/openapi.json", "application/json"), ("/docs", "text/html")):
        reply = await site.get(path)
        assert (reply.status, reply.headers["Content-Type"].partition(";")[0]) == (200, kind)
        again = await site.call("GET", path, headers={"If-None-Match": reply.headers["ETag"]})
        assert (again.status, again.raw) == (304, b"")
    assert (await site.get("/openapi.json")).body == document(site.namespace)


def test_examples_are_given_for_no_call_that_is_gone() -> None:
    assert set(examples()) - {"problems"} == set(OPERATIONS)
    assert set(examples()["problems"]) <= set(kinds.KINDS)

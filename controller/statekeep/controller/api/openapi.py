"""``/openapi.json``: the API's description of itself, a pure function of the routes and their types."""

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from importlib import metadata
from importlib.resources import files
from itertools import chain
from typing import Any

import msgspec

from statekeep.controller.api import bodies, scalars
from statekeep.controller.api.contract import ANY_CALL, JSON, Answer, Content, Contract, Tag, kinds
from statekeep.controller.api.kinds import KINDS
from statekeep.controller.api.problems import CONTENT_TYPE, RETRY_AFTER_S
from statekeep.controller.api.queries import Parameters
from statekeep.controller.api.routes import PROBES, ROUTES, Handler
from statekeep.engine.ids import Namespace

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"

_ABOUT = """\
StateKeep hosts long-running statecharts ("actors") and moves running actors to new machine versions by their event
history. Your backend spawns actors, sends them events, reads `stateValue` from the answer and acts on it.

- **Names** are camelCase, **times** are RFC 3339 in UTC, **errors** are problems (RFC 9457) whose `type` a program may
  go by.
- **Lists** come in pages: ask again with `nextCursor` as the `cursor` while there is one, however short the page, which
  may even be empty. A query parameter that is not known is refused.
- **Retries are safe** with an `Idempotency-Key`: the same key with the same body returns the first answer, at the same
  moment too, and after a restart, and after a migration. With another body it is refused.
- **Answers may grow**: ignore fields that you do not know.
"""

_TAGS: Mapping[Tag, str] = {
    Tag.ACTORS: "Running instances: spawn them, find them, ask why they are where they are.",
    Tag.EVENTS: "What happens to actors, one event at a time or many.",
    Tag.VERSIONS: "What actors run, what a new version would do to them, and what it did.",
    Tag.PROBES: "For whoever runs the server. They need no token.",
}


def document(namespace: Namespace) -> Json:
    """Return the OpenAPI document of a server.

    Args:
        namespace: what a path without one means there.
    """
    paths: dict[str, Json] = {}
    for route in ROUTES:
        operation = _operation(route.handler, route.contract, ANY_CALL)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    for probe in PROBES:
        operation = _operation(probe.handler, probe.contract, ()) | {"security": []}
        paths[probe.path] = {"servers": [{"url": "/"}], "get": operation}
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "StateKeep",
            "summary": "Statecharts as durable actors, migrated by their event history.",
            "description": _ABOUT,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
            "version": metadata.version("statekeep"),
        },
        "servers": _servers(namespace),
        "security": [{"bearer": []}],
        "tags": [{"name": tag.value, "description": says} for tag, says in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A ServiceAccount's token, or a key. A server that asks nobody who they are "
                    "(`statekeep dev`) takes calls without.",
                }
            },
        },
    }


def _servers(namespace: Namespace) -> Sequence[Json]:
    """Return both prefixes; paths are the same behind them, so each stands in the document once."""
    return [
        {"url": "/v1", "description": "The caller's own namespace."},
        {
            "url": "/v1/namespaces/{namespace}",
            "description": "Another namespace.",
            "variables": {
                "namespace": {"default": namespace, "description": "A Kubernetes namespace."}
            },
        },
    ]


def _operation(handler: Handler, contract: Contract, more: Iterable[str]) -> Json:
    summary, _, description = inspect.cleandoc(handler.__doc__ or "").partition("\n")
    example = examples().get(contract.id, {})
    operation: Json = {
        "operationId": contract.id,
        "tags": [contract.tag.value],
        "summary": summary.rstrip("."),
        "parameters": [
            *_parameters("path", contract.path, example),
            *_parameters("query", contract.query, example),
            *_headers(contract, example),
        ],
        "responses": _answers(contract.answers, example) | _refusals(chain(more, kinds(contract))),
    }
    if description:
        operation["description"] = description.strip()
    if contract.bodies:
        content = _content(contract.bodies, example.get("body"))
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameters(place: str, kind: type[Parameters], example: Json) -> Iterable[Json]:
    components = _components([kind])[1]
    fields = components[kind.__name__]
    given = example.get("parameters", {})
    for name, schema in fields["properties"].items():
        parameter = _described({"name": name, "in": place}, schema)
        if place == "path" or name in fields["required"]:
            parameter["required"] = True
        if name in given:
            parameter["example"] = given[name]
        yield parameter


def _headers(contract: Contract, example: Json) -> Iterable[Json]:
    given = example.get("headers", {})
    for header in contract.headers:
        schema = msgspec.json.schema(header.type)
        parameter = _described({"name": header.name, "in": "header"}, schema)
        if header.name in given:
            parameter["example"] = given[header.name]
        yield parameter


def _described(owner: Json, schema: Json) -> Json:
    """Return what owns a schema, with what the schema says of it."""
    says = schema.pop("description", None)
    return owner | ({} if says is None else {"description": says}) | {"schema": schema}


def _content(contents: Iterable[Content], example: Any = None) -> Json:
    shown: Json = {}
    for content in contents:
        [schema] = _components([content.type])[0]
        shown[content.media] = {"schema": schema}
        if example is not None and content.media == JSON:
            shown[content.media]["examples"] = {"loan": {"value": example}}
    return shown


def _answers(answers: Iterable[Answer], example: Json) -> Json:
    shown: Json = {}
    for answer in answers:
        recorded = example.get("answer") if example.get("status") == answer.status else None
        response: Json = {"description": answer.says}
        if answer.contents:
            response["content"] = _content(answer.contents, recorded)
        if answer.headers:
            response["headers"] = {
                header.name: _described(
                    {"required": True} if header.always else {}, msgspec.json.schema(header.type)
                )
                for header in answer.headers
            }
        shown[str(answer.status.value)] = response
    return shown


def _refusals(named: Iterable[str]) -> Json:
    by_status: dict[HTTPStatus, list[str]] = {}
    for kind in dict.fromkeys(named):
        by_status.setdefault(KINDS[kind].status, []).append(kind)
    return {str(status.value): _refusal(status, by_status[status]) for status in sorted(by_status)}


def _refusal(status: HTTPStatus, named: Sequence[str]) -> Json:
    recorded = examples()["problems"]
    shown = {kind: {"value": recorded[kind]} for kind in named if kind in recorded}
    media: Json = {"schema": {"$ref": _REF.format(name=bodies.ProblemResponse.__name__)}}
    response: Json = {
        "description": "\n".join(f"- `{kind}`: {KINDS[kind].when}" for kind in named),
        "content": {CONTENT_TYPE: media | ({"examples": shown} if shown else {})},
    }
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        retry = {
            "description": "Seconds to wait.",
            "schema": {"type": "integer", "minimum": RETRY_AFTER_S},
        }
        response["headers"] = {"Retry-After": retry}
    if status == HTTPStatus.UNAUTHORIZED:
        says = {"description": "How to say who one is.", "schema": {"type": "string"}}
        response["headers"] = {"WWW-Authenticate": says}
    return response


def _schemas() -> Json:
    used = [content.type for route in ROUTES for content in _contents(route.contract)]
    used += [content.type for probe in PROBES for content in _contents(probe.contract)]
    components = _components([*used, *_NAMED])[1]
    components["StateValue"] = scalars.STATE_VALUE
    return dict(sorted(components.items()))


_NAMED = (
    bodies.AnswerResponse,
    bodies.ProblemResponse,
    bodies.ActorChangeResponse,
    bodies.DeploymentChangeResponse,
    bodies.BookmarkResponse,
)
"""What other schemas refer to by name alone."""


def _contents(contract: Contract) -> Iterable[Content]:
    yield from contract.bodies
    for answer in contract.answers:
        yield from answer.contents


def _components(types: Sequence[Any]) -> tuple[Sequence[Json], Json]:
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    for component in components.values():
        component.pop("title", None)
    return [_ecma(schema) for schema in schemas], _ecma(components)


def _ecma(schema: Any) -> Any:
    """Return a schema without what only Python needs in a pattern: elsewhere ``$`` is the end."""
    match schema:
        case dict():
            return {name: _ecma(value) for name, value in schema.items()}
        case list():
            return [_ecma(value) for value in schema]
        case str():
            return schema.removesuffix(r"(?!\n)")
        case _:
            return schema


def examples() -> Json:
    """Return what was said in a run of the loan story, by operation, and problems by kind."""
    return _EXAMPLES


_EXAMPLES: Json = json.loads(files(__package__).joinpath("examples.json").read_text())

"""Reading requests: bodies, headers, queries; whatever cannot be read is refused with a reason."""

import asyncio
import hashlib
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from aiohttp import hdrs, web

from statekeep.controller.api.admission import PLACE
from statekeep.controller.api.contract import JSON, Content, Contract
from statekeep.controller.api.problems import ENCODINGS, Problem, invalid, packed_otherwise
from statekeep.controller.api.queries import Parameters
from statekeep.engine.ids import Namespace

BODY_S = 60.0
"""From the end of a request's head to the end of a body that is read whole: the largest one at 140 kB/s."""

MAX_DEPTH = 300
"""Arrays and objects inside each other: a definition of the greatest depth, and what is around it."""

T = TypeVar("T")
P = TypeVar("P", bound=Parameters)

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SEQ_TAG = re.compile(r'(?:W/)?"([0-9]{1,18})(?:-[0-9a-f]{8})?"')


def namespace(request: web.Request) -> Namespace:
    """Return the namespace of the path, or else the caller's own, or else the server's default."""
    name = (
        request.match_info.get("namespace")
        or request[OWN_NAMESPACE]
        or request.app[DEFAULT_NAMESPACE]
    )
    if not is_namespace(name):
        raise invalid(NAMESPACE_RULE)
    return Namespace(name)


NAMESPACE_RULE = "a namespace is a DNS label: lowercase letters, digits and hyphens"


@lru_cache(1024)
def is_namespace(name: str) -> bool:
    """Return whether a namespace can have that name."""
    return _NAMESPACE.fullmatch(name) is not None


DEFAULT_NAMESPACE = web.AppKey("default_namespace", str)

OWN_NAMESPACE: web.RequestKey[Namespace | None] = web.RequestKey("own_namespace")
"""The namespace of a caller who has one; set for every request that came through the door."""


CONTRACT = web.RequestKey("contract", Contract)
QUERY = web.RequestKey("query", Parameters)


def admit(request: web.Request, contract: Contract) -> None:
    """Hold a request to the contract of its call, before its handler sees it."""
    if contract.bodies and hdrs.CONTENT_ENCODING in request.headers:
        _refuse_encoding(request.headers[hdrs.CONTENT_ENCODING])
    request[CONTRACT] = contract
    request[QUERY] = _read_query(request, contract.query)


def _refuse_encoding(encoding: str) -> None:
    if encoding.lower() not in (*ENCODINGS, "identity"):
        raise packed_otherwise()


def query(request: web.Request, kind: type[P]) -> P:
    """Return the parameters of the query, of the type that the call's contract names."""
    parameters = request[QUERY]
    assert isinstance(parameters, kind)
    return parameters


def _read_query(request: web.Request, kind: type[P]) -> P:
    """Return a query as a value; a parameter that is unknown or there twice must not go unnoticed."""
    if "?" not in request.raw_path:
        return kind()
    types = _types(kind)
    values: dict[str, str | int | bool] = {}
    for name, raw in request.query.items():
        if name not in types:
            known = ", ".join(sorted(types)) or "none"
            raise invalid(f"unknown query parameter {name}; known: {known}")
        if name in values:
            raise invalid(f"the query parameter {name} is given more than once")
        values[name] = _scalar(raw, types[name])
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        raise invalid(
            f"query parameter {where.rstrip('`')}: {what[:1].lower()}{what[1:]}"
        ) from error


@cache
def _types(kind: type[Parameters]) -> Mapping[str, msgspec.inspect.Type]:
    """Return the types of the parameters, by name; looking them up takes longer than the rest of a request."""
    described = msgspec.inspect.type_info(kind)
    assert isinstance(described, msgspec.inspect.StructType)
    return {field.encode_name: field.type for field in described.fields}


def _scalar(raw: str, kind: msgspec.inspect.Type) -> str | int | bool:
    """Return what a text in a query means; one that means nothing is left for the type to refuse."""
    match kind:
        case msgspec.inspect.Metadata(type=inner):
            return _scalar(raw, inner)
        case msgspec.inspect.BoolType() if raw in ("true", "false"):
            return raw == "true"
        case msgspec.inspect.IntType() if _NUMBER.fullmatch(raw):
            return int(raw)
        case _:
            return raw


async def body(request: web.Request, kind: type[T]) -> T:
    """Return the JSON body as a value of the given type, which the call's contract names."""
    assert Content(kind) in request[CONTRACT].bodies
    return decode(await json_body(request), kind)


async def json_body(request: web.Request) -> bytes:
    """Return the body, which says that it is JSON."""
    if request.content_type != JSON:
        media = " or ".join(content.media for content in request[CONTRACT].bodies)
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            f"send the body as Content-Type: {media}",
        )
    return await whole_body(request)


async def whole_body(request: web.Request) -> bytes:
    """Return the body, once all of it is there; one that is going to be too long is not awaited."""
    place = request[PLACE]
    if request.content.is_eof():  # all of it is there, as it mostly is
        body = request.content.read_nowait()
        if len(body) > request.client_max_size:
            raise web.HTTPRequestEntityTooLarge(request.client_max_size)
        place.hold(len(body))
        return body
    if (request.content_length or 0) > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(request.client_max_size)
    arrived = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for block in request.content.iter_any():
                arrived += block
                if len(arrived) > request.client_max_size:
                    raise web.HTTPRequestEntityTooLarge(request.client_max_size)
                place.hold(len(arrived))
    except TimeoutError as error:
        raise Problem(
            HTTPStatus.REQUEST_TIMEOUT,
            "too-slow",
            f"the body was not there within {BODY_S:.0f} seconds",
            headers={"Connection": "close"},
        ) from error
    return bytes(arrived)


def decode(raw: bytes, kind: type[T]) -> T:
    """Return JSON as a value of the given type; nearly every body is read in this one step."""
    if raw.count(b"[") + raw.count(b"{") >= MAX_DEPTH:
        return _decode_slowly(raw, kind)
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _decode_slowly(raw, kind)


def _decode_slowly(raw: bytes, kind: type[T]) -> T:
    """Read in two steps, so that a text that is no JSON at all is told from one that says something else."""
    try:
        value = msgspec.json.decode(raw)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"the body is not JSON: {error}" if raw else "the body is empty, JSON is expected"
        raise Problem(HTTPStatus.BAD_REQUEST, "not-json", message) from error
    except RecursionError as error:
        raise _too_deep() from error
    return convert(value, kind)


def convert(value: Any, kind: type[T]) -> T:
    """Return what was JSON as a value of the given type."""
    refuse_depth(value)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from error


def refuse_depth(value: Any) -> None:
    """Refuse a value that is nested deeper than whatever walks it later can go."""
    if isinstance(value, dict | list) and _is_deep(value):
        raise _too_deep()


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        within: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                within.extend(one.values())
            elif isinstance(one, list):
                within.extend(one)
        if not within:
            return False
        level = within
    return True


def _too_deep() -> Problem:
    return invalid(f"the body is nested too deeply: at most {MAX_DEPTH} levels")


def encode(value: Any) -> bytes:
    """Return a value as JSON whose bytes depend on nothing but the value."""
    return msgspec.json.encode(value, order="deterministic")


def digest(value: Any) -> bytes:
    """Return SHA-256 over the deterministic JSON of a value."""
    return hashlib.sha256(encode(value)).digest()


def idempotency_key(request: web.Request) -> str | None:
    """Return the ``Idempotency-Key``, quoted (RFC 8941) or bare; ``None`` where there is none."""
    raw = request.headers.get("Idempotency-Key")
    if raw is None:
        return None
    key = raw.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not 1 <= len(key) <= 255 or not (key.isascii() and key.isprintable()):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "idempotency-key",
            "an Idempotency-Key has 1 to 255 printable ASCII characters",
        )
    return key


def if_match(request: web.Request) -> int | None:
    """Return the seq that ``If-Match`` asks for; ``None`` where there is none."""
    raw = request.headers.get("If-Match")
    if raw is None or raw.strip() == "*":
        return None
    tag = _SEQ_TAG.fullmatch(raw.strip())
    if tag is None:
        raise Problem(
            HTTPStatus.BAD_REQUEST, "if-match", 'If-Match takes the actor\'s seq in quotes: "3"'
        )
    return int(tag[1])


def is_strict(request: web.Request) -> bool:
    """Return whether the caller prefers ``handling=strict`` (RFC 7240)."""
    if "Prefer" not in request.headers:
        return False
    for part in ",".join(request.headers.getall("Prefer", [])).split(","):
        name, _, value = part.partition(";")[0].partition("=")
        if (name.strip().lower(), value.strip().strip('"').lower()) == ("handling", "strict"):
            return True
    return False


def has(request: web.Request, tag: str) -> bool:
    """Return whether the caller has what the tag stands for (``If-None-Match``)."""
    return any(
        f'"{known.value}"' == tag or known.value == "*" for known in request.if_none_match or ()
    )


def not_modified(tag: str) -> web.Response:
    """Return the answer to a caller who has it."""
    return web.Response(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})


def json_response(
    value: Any, *, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] = _NO_HEADERS
) -> web.Response:
    """Return a response with a JSON body."""
    return web.Response(
        status=status, body=msgspec.json.encode(value), headers={"Content-Type": JSON, **headers}
    )

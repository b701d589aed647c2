"""CloudEvents 1.0 over HTTP: what of them is an event of ours.

Follows the HTTP protocol binding and the JSON event format, version 1.0.2. ``source`` and ``id``
together are the idempotency key, since only together do they name an event.
"""

import base64
import binascii
import re
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

from aiohttp import web
from msgspec import UNSET

from statekeep.controller.api import bodies, requests
from statekeep.controller.api.problems import Problem, invalid

FAMILY = "application/cloudevents"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"

PREFIX = "ce-"
"""What headers begin with that hold attributes."""

MAX_KEY = 255
"""Source and id, with a space between them, which no source contains."""

_JSON = ("application/json", "text/json")


def is_single(request: web.Request) -> bool:
    """Return whether a request holds one CloudEvent, in its body or in its headers."""
    if request.content_type.startswith(FAMILY):
        return request.content_type != BATCH
    return any(name.lower().startswith(PREFIX) for name in request.headers)


async def read(request: web.Request) -> bodies.BatchEvent:
    """Return the CloudEvent of a request as an event of ours."""
    raw = await requests.whole_body(request)
    if request.content_type == STRUCTURED:
        return convert(requests.decode(raw, Any))
    if request.content_type.startswith(FAMILY):
        raise _unsupported(f"send CloudEvents as {STRUCTURED}, as {BATCH}, or in binary mode")
    attributes = _attributes(request)
    if raw:
        attributes["data"] = _data(raw, request.headers.get("Content-Type"))
    return convert(attributes)


def convert(value: Any) -> bodies.BatchEvent:
    """Return a CloudEvent in its JSON format as an event of ours."""
    one = requests.convert(value, bodies.CloudEvent)
    data = one.data
    if one.data_base64 is not UNSET:
        if data is not UNSET:
            raise invalid("data and data_base64 exclude each other")
        try:
            raw = base64.b64decode(one.data_base64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise invalid(f"data_base64 is not Base64: {error}") from error
        data = _unpacked(raw, one.datacontenttype)
    key = f"{one.source} {one.id}"
    if len(key) > MAX_KEY:
        raise invalid(f"source and id have {len(key)} characters together, the limit is {MAX_KEY}")
    return bodies.BatchEvent(actor=one.subject, type=one.type, id=key, data=data)


def _attributes(request: web.Request) -> dict[str, Any]:
    """Return the attributes that the headers of the binary mode hold."""
    attributes: dict[str, Any] = {}
    for header, value in request.headers.items():
        name = header.lower().removeprefix(PREFIX)
        if name == header.lower():
            continue
        if name in ("data", "data_base64", "datacontenttype"):
            raise invalid(f"{header}: in binary mode the body is the data, Content-Type its type")
        if name in attributes:
            raise invalid(f"{header} stands there twice")
        attributes[name] = _unescaped(header, value)
    return attributes


def _unescaped(header: str, value: str) -> str:
    """Return the text of a header: older senders quote it, all of them percent-encode it, once."""
    text = value.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = re.sub(r"\\(.)", r"\1", text[1:-1])
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError as error:
        raise invalid(f"{header} is not percent-encoded UTF-8") from error


def _data(raw: bytes, kind: str | None) -> Any:
    """Return data as the JSON that is stored: as it is, or a text."""
    media_type = "application/json" if kind is None else kind.partition(";")[0].strip().lower()
    if media_type in _JSON or media_type.endswith("+json"):
        return requests.decode(raw, Any)
    if not media_type.startswith("text/"):
        raise _unsupported(f"data is stored as JSON: send it as JSON or text, not as {media_type}")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise invalid("data is not UTF-8") from error


def _unpacked(raw: bytes, kind: str | None) -> Any:
    """Return what was packed as Base64; refuse what should be JSON and is not."""
    try:
        return _data(raw, kind)
    except Problem as problem:
        if problem.kind != "not-json":
            raise
        why = (
            "data_base64 without a datacontenttype is read as JSON, and is none: say what it is, "
            'such as "datacontenttype": "text/plain"'
            if kind is None
            else f"data_base64 is not JSON, though datacontenttype is {kind}"
        )
        raise invalid(why) from problem


def _unsupported(detail: str) -> Problem:
    return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail)

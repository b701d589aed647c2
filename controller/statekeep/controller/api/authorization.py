"""At the door of every route: who calls, and may they? Asked before a handler sees the request.

401 without credentials that are known, 403 without the right, 503 where nobody can tell. What a caller is told
never depends on what there is behind the door. A route that is not registered through ``guarded`` is open: probes
and the description of the API are.
"""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from aiohttp import web

from statekeep.controller.access import secret
from statekeep.controller.access.callers import Caller, Guard, Question
from statekeep.controller.access.modes import Mode
from statekeep.controller.api import requests
from statekeep.controller.api.problems import Handler, Problem

CHALLENGE = 'Bearer realm="statekeep"'
"""RFC 6750, section 3."""

OPEN: Mapping[Mode, Guard] = MappingProxyType({})
"""Nobody is asked."""

GUARDS = web.AppKey("guards", Mapping[Mode, Guard])

_RIGHT: web.RequestKey[tuple[str, str]] = web.RequestKey("right")
"""The verb and the resource that a route is about."""

_CALLER: web.RequestKey[Caller] = web.RequestKey("caller")


def guarded(verb: str, resource: str, handler: Handler) -> Handler:
    """Return the handler behind the door."""
    right = (verb, resource)

    async def answer(request: web.Request) -> web.StreamResponse:
        request[_RIGHT] = right
        await _admit(request)
        return await handler(request)

    return answer


async def renew(request: web.Request) -> None:
    """Ask again, where an answer takes longer than a right may outlast its end.

    Raises:
        Problem: the caller may not go on.
    """
    await _admit(request)


async def may(request: web.Request, verb: str, resource: str, name: str) -> bool:
    """Return whether a caller who was let in may do something else, too."""
    caller = request.get(_CALLER)
    if caller is None:
        return True
    question = Question(verb, resource, requests.namespace(request), name)
    return await caller.objection(question) is None


async def _admit(request: web.Request) -> None:
    guards = request.app[GUARDS]
    request[requests.OWN_NAMESPACE] = None
    if not guards:
        return
    verb, resource = request[_RIGHT]
    caller = await _caller(request, guards)
    request[_CALLER] = caller
    request[requests.OWN_NAMESPACE] = caller.namespace
    path = request.match_info
    question = Question(
        verb,
        resource,
        requests.namespace(request),
        path.get("id") or path.get("name") or "",
    )
    objection = await caller.objection(question)
    if objection is not None:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "forbidden",
            objection.message,
            verb=verb,
            resource=resource,
            namespace=question.namespace,
        )


async def _caller(request: web.Request, guards: Mapping[Mode, Guard]) -> Caller:
    token = _token(request, guards)
    mode = Mode.KEYS if token.startswith(secret.PREFIX) else Mode.KUBERNETES
    guard = guards.get(mode)
    if guard is None:
        raise _unauthenticated(f"such a token is not taken here: send {_wanted(guards)}", token)
    caller = await guard.identify(token)
    if caller is None:
        raise _unauthenticated(guard.refusal, token)
    return caller


def _token(request: web.Request, guards: Mapping[Mode, Guard]) -> str:
    """Return the bearer token; there is exactly one, whatever a proxy in front makes of two."""
    headers = request.headers.getall("Authorization", [])
    scheme, _, token = (headers[0] if headers else "").strip().partition(" ")
    token = token.strip()
    if len(headers) != 1 or scheme.lower() != "bearer" or not token or not token.isascii():
        raise _unauthenticated(f"send {_wanted(guards)} as Authorization: Bearer …")
    return token


def _wanted(guards: Mapping[Mode, Guard]) -> str:
    return " or ".join(guards[mode].wanted for mode in sorted(guards))


def _unauthenticated(detail: str, token: str | None = None) -> Problem:
    challenge = CHALLENGE if token is None else f'{CHALLENGE}, error="invalid_token"'
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "unauthenticated",
        detail,
        headers={"WWW-Authenticate": challenge},
    )

"""Callers with a token of the cluster: TokenReview says who they are, SubjectAccessReview what they may do.

Both answers are remembered, so that a call seldom waits for the API server, for a minute at most, so that a
token or a right that was taken away soon stops. If the API server does not answer, nobody new gets in.
"""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from statekeep.controller.access.callers import Objection, Question
from statekeep.controller.access.memory import Clock, Memory
from statekeep.controller.kubernetes.errors import ClusterUnavailable
from statekeep.controller.kubernetes.session import Session, expect
from statekeep.engine.ids import Namespace
from statekeep.engine.json import JsonObject

GROUP = "statekeep.io"

KNOWN_S = 60.0
"""How long a token that was accepted is not asked about again; less, where it expires before."""

UNKNOWN_S = 10.0
"""The same for one that was not: it never becomes valid, but what hinders the API server may pass."""

ALLOWED_S = 60.0
DENIED_S = 10.0
"""Who was just granted a right does not wait long for it."""

TIMEOUT_S = 5.0
"""For one review, waiting for its turn included."""

AT_ONCE = 16
"""Reviews in flight."""

MAX_WAITING = 512
"""Reviews that wait or are in flight; one more is refused, so that a slow API server holds up a bounded number."""

TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105  (a path)
ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

_SERVICE_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class User:
    """Whom the API server takes a token's bearer for."""

    name: str
    uid: str
    groups: tuple[str, ...]
    extra: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def namespace(self) -> Namespace | None:
        """Where the service account lives; ``None`` for everybody else."""
        if not self.name.startswith(_SERVICE_ACCOUNT):
            return None
        return Namespace(self.name.removeprefix(_SERVICE_ACCOUNT).partition(":")[0])


class Reviews:
    """What the API server is asked."""

    def __init__(self, session: Session, audience: str) -> None:
        self._session = session
        self.audience = audience
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def user(self, token: str) -> User | None:
        """Return whose token it is, if it was made for us."""
        spec: JsonObject = {"token": token, "audiences": [self.audience]}
        status = await self._review(TOKEN_REVIEWS, "authentication.k8s.io/v1", "TokenReview", spec)
        # A token that is refused comes back without ``authenticated``; an authenticator that knows no
        # audiences without ours.
        if status.get("authenticated") is not True:
            return None
        if self.audience not in _list(status.get("audiences")):
            return None
        return _user(status.get("user"))

    async def is_allowed(self, user: User, question: Question) -> bool:
        """Return whether the user may do it."""
        resource, _, subresource = question.resource.partition("/")
        spec: JsonObject = {
            "user": user.name,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": {name: list(values) for name, values in user.extra},
            "resourceAttributes": {
                "group": GROUP,
                "resource": resource,
                "subresource": subresource,
                "verb": question.verb,
                "namespace": question.namespace,
                "name": question.name,
            },
        }
        kind = "SubjectAccessReview"
        status = await self._review(ACCESS_REVIEWS, "authorization.k8s.io/v1", kind, spec)
        return status.get("allowed") is True and status.get("denied") is not True

    async def _review(
        self, path: str, version: str, kind: str, spec: JsonObject
    ) -> Mapping[str, Any]:
        if self._waiting >= MAX_WAITING:
            raise ClusterUnavailable("too many reviews wait for the API server")
        body: JsonObject = {"apiVersion": version, "kind": kind, "spec": spec}
        self._waiting += 1
        try:
            async with asyncio.timeout(TIMEOUT_S), self._slots:
                answer = expect(*await self._session.ask("POST", path, body=body))
        except TimeoutError as error:
            raise ClusterUnavailable(
                f"the API server did not answer a {kind} within {TIMEOUT_S:g} s"
            ) from error
        finally:
            self._waiting -= 1
        status = answer.get("status")
        if not isinstance(status, dict):
            raise ClusterUnavailable(f"the API server answered a {kind} without a status")
        return status


class ClusterGuard:
    """Lets those in whom the API server knows."""

    def __init__(self, reviews: Reviews, clock: Clock = time.monotonic) -> None:
        self.wanted = f"a service account token for the audience {reviews.audience}"
        self.refusal = (
            "the token is not accepted: it has expired or was revoked, or it is not for the audience "
            f"{reviews.audience}"
        )
        self._reviews = reviews
        self._users: Memory[bytes, User | None] = Memory(clock)
        self._rights: Memory[tuple[User, Question], bool] = Memory(clock)

    async def identify(self, token: str) -> "ClusterCaller | None":
        """Return whose token it is; what is remembered is its digest."""

        async def ask() -> tuple[User | None, float]:
            user = await self._reviews.user(token)
            return user, UNKNOWN_S if user is None else min(KNOWN_S, _remaining_s(token))

        user = await self._users.answer(hashlib.sha256(token.encode()).digest(), ask)
        return None if user is None else ClusterCaller(user, self)

    async def is_allowed(self, user: User, question: Question) -> bool:
        """Return whether the user may do it, to all things of that kind or to the one that is named.

        All is asked first: that is what most roles grant, and it is one question for a million actors.
        """
        whole = replace(question, name="")
        if await self._is_allowed(user, whole):
            return True
        return question.name != "" and await self._is_allowed(user, question)

    async def _is_allowed(self, user: User, question: Question) -> bool:
        async def ask() -> tuple[bool, float]:
            allowed = await self._reviews.is_allowed(user, question)
            return allowed, ALLOWED_S if allowed else DENIED_S

        return await self._rights.answer((user, question), ask)


@dataclass(frozen=True, slots=True)
class ClusterCaller:
    """A user of the cluster."""

    user: User
    guard: ClusterGuard

    @property
    def namespace(self) -> Namespace | None:
        """That of the service account."""
        return self.user.namespace

    async def objection(self, question: Question) -> Objection | None:
        """Say which right is missing."""
        if await self.guard.is_allowed(self.user, question):
            return None
        return Objection(
            f"{self.user.name} may not {question.verb} {question.resource} in namespace "
            f"{question.namespace}: a Role there has to grant the verb {question.verb} on "
            f"{question.resource} of the API group {GROUP}"
        )


def _remaining_s(token: str) -> float:
    """Return for how long a token that was accepted is valid still; what is no JWT does not say."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return max(0.0, float(claims["exp"]) - time.time())
    except (ValueError, LookupError, TypeError):
        return KNOWN_S


def _user(value: Any) -> User | None:
    if not isinstance(value, dict) or not value.get("username"):
        return None
    extra = value.get("extra")
    return User(
        name=str(value["username"]),
        uid=str(value.get("uid") or ""),
        groups=_list(value.get("groups")),
        extra=tuple(
            (str(name), _list(values))
            for name, values in sorted((extra if isinstance(extra, dict) else {}).items())
        ),
    )


def _list(value: Any) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list) else ()

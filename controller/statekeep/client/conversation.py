"""Asking until there is an answer: one try, what it came to, a pause, the next try.

Every call that changes something carries an idempotency key, the same one at every try. So a try whose answer got
lost is not done twice: the next one gets the answer of the first.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib import metadata
from typing import Any, TypeVar

import httpx2
import msgspec

from statekeep.client.call import Call
from statekeep.client.errors import (
    AnswerUnreadable,
    ClientError,
    NoAnswer,
    Refused,
    Unauthenticated,
    refusal,
)
from statekeep.client.patience import Backoff, Patience
from statekeep.client.token import Token
from statekeep.client.wire import Wire, now
from statekeep.controller.api.bodies import ProblemResponse
from statekeep.controller.api.kinds import TYPE_BASE

AGENT = f"statekeep-python/{metadata.version('statekeep')}"

SILENCE_S = 45.0
"""After which a stream is taken for dead: a bookmark comes every 15 s."""

MAX_LINE_BYTES = 8 * 1024 * 1024
"""One line of a stream."""

MAX_SHOWN = 200
"""Characters of an answer that is none of the API's, in the message about it."""

T = TypeVar("T")


class _Head(msgspec.Struct):
    """What tells the lines of a stream apart: a problem's status is a number, an actor's a word."""

    kind: str = ""
    cursor: str = ""
    status: int | str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a stream."""

    kind: str
    cursor: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Server:
    """Where to call."""

    url: str
    namespace: str | None
    """``None``: the caller's own, as the server sees it."""

    def place(self, path: str) -> str:
        """Return the URL of a path in the namespace."""
        within = "" if self.namespace is None else f"/namespaces/{self.namespace}"
        return f"{self.url}/v1{within}{path}"


class Conversation:
    """One caller and one server."""

    def __init__(self, server: Server, token: Token, wire: Wire, patience: Patience) -> None:
        self._server = server
        self._token = token
        self.wire = wire
        self.patience = patience

    async def answer(self, call: Call[T]) -> T:
        """Return the answer to a call, however many tries that takes.

        Raises:
            ClientError: the API refused, or patience has come to its end.
        """
        backoff = Backoff(self.patience, now())
        while True:
            try:
                return await self._try(call)
            except ClientError as error:
                error.key = call.key
                pause_s = backoff.pause(now(), asked_s(error)) if error.is_transient else None
                if pause_s is None:
                    raise
            await self.wire.pause(pause_s)

    async def _try(self, call: Call[T]) -> T:
        """Ask once."""
        attempt_s = self.patience.attempt_s
        if call.takes_long:
            attempt_s = max(attempt_s, self.patience.total_s)
        shown = self._token.current()
        try:
            response = await self.wire.open(self._request(call, shown, httpx2.Timeout(attempt_s)))
            try:
                body = await self.wire.read(response)
            finally:
                await self.wire.shut(response)
        except httpx2.TransportError as error:
            raise self._silent(error) from error
        if not response.is_success:
            raise self._refused(response, body, shown)
        return decoded(body, call.answer)

    def _request(
        self, call: Call[Any], token: str | None, timeout: httpx2.Timeout
    ) -> httpx2.Request:
        headers = {"User-Agent": AGENT, **call.headers}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return self.wire.request(
            call.method,
            self._server.place(call.path),
            params=dict(call.query),
            headers=headers,
            content=call.body,
            timeout=timeout,
        )

    async def lines(self, call: Call[Any]) -> AsyncGenerator[Line]:
        """Ask once, and yield the lines of an answer that goes on, as they come.

        Raises:
            ClientError: the API refused, at once or in the last line; or the answer broke off.
        """
        attempt_s = self.patience.attempt_s
        timeout = httpx2.Timeout(attempt_s, read=max(attempt_s, SILENCE_S))
        shown = self._token.current()
        try:
            response = await self.wire.open(self._request(call, shown, timeout))
            try:
                if not response.is_success:
                    raise self._refused(response, await self.wire.read(response), shown)
                async with aclosing(self._split(response)) as raws:
                    async for raw in raws:
                        head = decoded(raw, _Head)
                        if isinstance(head.status, int):
                            raise self._refusal(decoded(raw, ProblemResponse), None, shown)
                        yield Line(head.kind, head.cursor, raw)
            finally:
                await self.wire.shut(response)
        except httpx2.TransportError as error:
            raise self._silent(error) from error

    async def _split(self, response: httpx2.Response) -> AsyncGenerator[bytes]:
        """Yield what ends with a line feed: JSON may hold every other line break there is."""
        rest = b""
        async for chunk in self.wire.chunks(response):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line
            if len(rest) > MAX_LINE_BYTES:
                raise AnswerUnreadable(f"{response.url} sends a line without an end")
        if rest:
            raise NoAnswer(f"{self._server.url} broke off in the midst of a line")

    def _silent(self, error: httpx2.TransportError) -> NoAnswer:
        what = str(error) or type(error).__name__
        return NoAnswer(f"{self._server.url} does not answer: {what}")

    def _refused(self, response: httpx2.Response, body: bytes, shown: str | None) -> Refused:
        """Return the error for an answer that is no success, whoever on the way gave it."""
        try:
            problem = msgspec.json.decode(body, type=ProblemResponse)
        except msgspec.MsgspecError:
            status = HTTPStatus(response.status_code)
            text = body[:MAX_SHOWN].decode(errors="replace").strip()
            problem = ProblemResponse(
                type=f"{TYPE_BASE}refused",
                title=status.phrase,
                status=status,
                detail=f"something before the API answered {status.value} {status.phrase}: {text}",
            )
        return self._refusal(problem, _retry_after_s(response), shown)

    def _refusal(
        self, problem: ProblemResponse, retry_after_s: float | None, shown: str | None
    ) -> Refused:
        error = refusal(problem, retry_after_s)
        if isinstance(error, Unauthenticated) and self._token.current() != shown:
            error.is_transient = True  # it was replaced meanwhile
        return error


def decoded(raw: bytes, kind: type[T]) -> T:
    """Return what an answer says.

    Raises:
        AnswerUnreadable: it is none of this API's.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        text = raw[:MAX_SHOWN].decode(errors="replace")
        raise AnswerUnreadable(f"this is no answer of the event API ({error}): {text}") from error


def _retry_after_s(response: httpx2.Response) -> float | None:
    """Return what ``Retry-After`` asks for, as a number or as a date; ``None`` where that is nothing."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max((at - datetime.now(UTC)).total_seconds(), 0.0)


def asked_s(error: ClientError) -> float | None:
    """Return how long the server asks to wait before the next try."""
    return error.retry_after_s if isinstance(error, Refused) else None

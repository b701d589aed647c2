"""A forge, as far as one comment on one pull request needs it.

We find our own comment by its first line and by its author: a comment that others begin alike is theirs. Two runs at
once might both post a first one; forges let a workflow exclude that, and the next run edits the older of the two.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

import aiohttp

from statekeep.engine.errors import StatekeepError

TIMEOUT_S = 30.0

PAGE = 100
"""Comments of one page: the most that either forge gives."""

MAX_PAGES = 100
"""A pull request with more comments than that is not searched to its end."""


class ForgeFailed(StatekeepError):
    """The forge refused, or did not answer."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment of ours."""

    id: int
    body: str


class Forge(Protocol):
    """One pull request on one forge."""

    @property
    def limit(self) -> int:
        """Characters of a comment."""

    async def find(self, marker: str) -> Comment | None:
        """Return the oldest comment of ours whose first line is the marker."""

    async def create(self, body: str) -> None:
        """Post a comment."""

    async def edit(self, comment: Comment, body: str) -> None:
        """Replace what a comment says."""


async def publish(forge: Forge, marker: str, body: str, *, is_news: bool) -> str:
    """Post the comment, or edit the one that is there; return what was done.

    Args:
        forge: where.
        marker: the first line of the body.
        body: what to say.
        is_news: whether it is worth a comment where there is none yet.
    """
    found = await forge.find(marker)
    if found is None:
        if not is_news:
            return "nothing to say"
        await forge.create(body)
        return "posted the comment"
    if _same(found.body, body):
        return "the comment says so already"
    await forge.edit(found, body)
    return "edited the comment"


def is_marked(body: str, marker: str) -> bool:
    """Return whether a comment begins with the marker."""
    first, _, _ = body.partition("\n")
    return first.rstrip() == marker


def required(environment: Mapping[str, str], name: str, advice: str) -> str:
    """Return a variable of the job.

    Raises:
        ForgeFailed: it is not set.
    """
    value = environment.get(name, "").strip()
    if not value:
        raise ForgeFailed(f"{name} is not set: {advice}")
    return value


class Client:
    """Speaks JSON with a forge's API."""

    def __init__(self, session: aiohttp.ClientSession, url: str, advice: Mapping[int, str]) -> None:
        self._session = session
        self._url = url
        self._advice = advice
        """What to do about a status."""

    async def call(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """Return the JSON of an answer.

        Raises:
            ForgeFailed: there is none, or it is a refusal.
        """
        url = self._url + path
        try:
            async with self._session.request(method, url, json=body, params=query) as response:
                document = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ForgeFailed(f"{method} {url}: {error or type(error).__name__}") from error
        if response.status >= HTTPStatus.BAD_REQUEST:
            said = document.get("message") if isinstance(document, dict) else None
            advice = self._advice.get(response.status)
            raise ForgeFailed(
                f"{method} {url} answered {response.status}: {said}{f'; {advice}' if advice else ''}",
                response.status,
            )
        return document

    async def comments(self, path: str, **query: str) -> AsyncIterator[Any]:
        """Yield the comments of every page."""
        for number in range(1, MAX_PAGES + 1):
            page = await self.call("GET", path, per_page=str(PAGE), page=str(number), **query)
            for comment in page:
                yield comment
            if len(page) < PAGE:
                return


@asynccontextmanager
async def client(
    url: str, headers: Mapping[str, str], advice: Mapping[int, str]
) -> AsyncIterator[Client]:
    """Hold a client while the context is open."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    named = {"User-Agent": "statekeep", **headers}
    async with aiohttp.ClientSession(timeout=timeout, headers=named) as session:
        yield Client(session, url, advice)


def _same(one: str, other: str) -> bool:
    """Return whether two texts are one; forges keep line breaks and trailing blanks in their own ways."""
    return one.replace("\r\n", "\n").rstrip() == other.replace("\r\n", "\n").rstrip()

"""A pull request on GitHub, or on GitHub Enterprise; its comments are those of an issue (REST, version 2022-11-28)."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from statekeep.controller.cli.comment import MAX_COMMENT
from statekeep.controller.cli.review.forge import (
    Client,
    Comment,
    ForgeFailed,
    client,
    is_marked,
    required,
)

API = "https://api.github.com"

_FORBIDDEN = (
    "give the job `permissions: pull-requests: write`; a pull request from a fork never has that"
)
_ADVICE: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "GITHUB_TOKEN is not valid",
    HTTPStatus.FORBIDDEN: _FORBIDDEN,
    HTTPStatus.NOT_FOUND: _FORBIDDEN,
}


class GitHub:
    """One pull request."""

    limit = MAX_COMMENT

    def __init__(self, client: Client, repository: str, number: int) -> None:
        self._client = client
        self._repository = f"/repos/{repository}"
        self._comments = f"{self._repository}/issues/{number}/comments"

    async def find(self, marker: str) -> Comment | None:
        """Return the oldest comment of ours whose first line is the marker."""
        login = await self._login()
        async for one in self._client.comments(self._comments):
            user = one.get("user") or {}
            # A job's own token may not ask who it is; it is a bot's.
            is_ours = user.get("login") == login if login else user.get("type") == "Bot"
            if is_ours and is_marked(one.get("body") or "", marker):
                return Comment(one["id"], one["body"])
        return None

    async def create(self, body: str) -> None:
        """Post a comment."""
        await self._client.call("POST", self._comments, {"body": body})

    async def edit(self, comment: Comment, body: str) -> None:
        """Replace what a comment says."""
        path = f"{self._repository}/issues/comments/{comment.id}"
        await self._client.call("PATCH", path, {"body": body})

    async def _login(self) -> str | None:
        try:
            user = await self._client.call("GET", "/user")
        except ForgeFailed as error:
            if error.status == HTTPStatus.FORBIDDEN:
                return None
            raise
        return str(user["login"])


@asynccontextmanager
async def github(environment: Mapping[str, str], number: int | None) -> AsyncIterator[GitHub]:
    """Hold the pull request that a job of GitHub Actions runs for."""
    token = required(environment, "GITHUB_TOKEN", "pass `${{ github.token }}` to the step")
    repository = required(environment, "GITHUB_REPOSITORY", "name it as OWNER/NAME")
    number = number or _number(environment)
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    url = environment.get("GITHUB_API_URL", API).rstrip("/")
    async with client(url, headers, _ADVICE) as found:
        yield GitHub(found, repository, number)


def _number(environment: Mapping[str, str]) -> int:
    """Return the number of the pull request that the job runs for."""
    match _event(environment.get("GITHUB_EVENT_PATH")):
        case {"pull_request": {"number": int() as number}}:
            return number
    found = re.fullmatch(r"refs/pull/(\d+)/\w+", environment.get("GITHUB_REF", ""))
    if found is None:
        raise ForgeFailed("this job runs for no pull request: name one with --pull-request")
    return int(found[1])


def _event(path: str | None) -> Any:
    try:
        return json.loads(Path(path or "").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None

"""A merge request on GitLab; its comments are notes (REST, version 4)."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from urllib.parse import quote

from statekeep.controller.cli.review.forge import (
    Client,
    Comment,
    ForgeFailed,
    client,
    is_marked,
    required,
)

MAX_NOTE = 1_000_000
"""Characters of a note that GitLab takes."""

_TOKEN = "a project access token with the scope api, since the job's own token may not comment"  # noqa: S105  (advice)
_ADVICE: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: f"GITLAB_TOKEN must be {_TOKEN}",
    HTTPStatus.FORBIDDEN: f"GITLAB_TOKEN must be {_TOKEN}",
}


class GitLab:
    """One merge request."""

    limit = MAX_NOTE

    def __init__(self, client: Client, project: str, number: int) -> None:
        self._client = client
        self._notes = f"/projects/{quote(project, safe='')}/merge_requests/{number}/notes"

    async def find(self, marker: str) -> Comment | None:
        """Return the oldest comment of ours whose first line is the marker."""
        username = (await self._client.call("GET", "/user"))["username"]
        async for one in self._client.comments(self._notes, order_by="created_at", sort="asc"):
            is_ours = (
                not one.get("system") and (one.get("author") or {}).get("username") == username
            )
            if is_ours and is_marked(one.get("body") or "", marker):
                return Comment(one["id"], one["body"])
        return None

    async def create(self, body: str) -> None:
        """Post a comment."""
        await self._client.call("POST", self._notes, {"body": body})

    async def edit(self, comment: Comment, body: str) -> None:
        """Replace what a comment says."""
        await self._client.call("PUT", f"{self._notes}/{comment.id}", {"body": body})


@asynccontextmanager
async def gitlab(environment: Mapping[str, str], number: int | None) -> AsyncIterator[GitLab]:
    """Hold the merge request that a job of GitLab CI runs for."""
    token = required(environment, "GITLAB_TOKEN", f"make it {_TOKEN}")
    url = required(environment, "CI_API_V4_URL", "GitLab sets it in its jobs")
    project = required(environment, "CI_PROJECT_ID", "GitLab sets it in its jobs")
    if number is None:
        given = environment.get("CI_MERGE_REQUEST_IID", "")
        if not given.isdecimal():
            raise ForgeFailed(
                "this job runs for no merge request: name one with --pull-request, or let the job run in "
                "pipelines of merge requests (CI_PIPELINE_SOURCE == merge_request_event)"
            )
        number = int(given)
    async with client(url.rstrip("/"), {"PRIVATE-TOKEN": token}, _ADVICE) as found:
        yield GitLab(found, project, number)

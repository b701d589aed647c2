"""GitHub and GitLab as far as comments on one pull request go: their addresses, answers, limits and refusals."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

GITHUB_BOT = "github-actions[bot]"
GITHUB_LIMIT = 65_536
GITLAB_BOT = "project_9_bot_ab"
GITLAB_LIMIT = 1_000_000


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Forge:
    """The comments on pull request 7, whoever wrote them."""

    comments: list[dict[str, Any]] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    """The method of each request that changed something."""

    _ids: Any = field(default_factory=lambda: itertools.count(101))

    def add(self, author: str, body: str, **more: Any) -> dict[str, Any]:
        """Let somebody comment."""
        comment = {"id": next(self._ids), "author": author, "body": body, **more}
        self.comments.append(comment)
        return comment

    def bodies(self, author: str) -> list[str]:
        return [one["body"] for one in self.comments if one["author"] == author]

    def change(self, identity: int, author: str, body: str) -> dict[str, Any]:
        for one in self.comments:
            if one["id"] == identity:
                if one["author"] != author:
                    raise Refusal(403, "Must have admin rights to Repository.")
                one["body"] = body
                return one
        raise Refusal(404, "Not Found")

    def page(self, query: Mapping[str, str], default: int) -> list[dict[str, Any]]:
        size = min(int(query.get("per_page", default)), 100)
        start = (int(query.get("page", "1")) - 1) * size
        return self.comments[start : start + size]


def _answers(handler: Any) -> Any:
    async def answer(request: web.Request) -> web.Response:
        try:
            return web.json_response(await handler(request))
        except Refusal as refusal:
            return web.json_response({"message": str(refusal)}, status=refusal.status)

    return answer


GITHUB_TOKENS = {"job": GITHUB_BOT, "person": "octocat", "fork": GITHUB_BOT}
"""What a job is given, a personal access token, and what a job of a fork's pull request is given."""


def github(forge: Forge) -> web.Application:
    """Return GitHub's REST API for the repository ``acme/loans``."""

    def caller(request: web.Request) -> tuple[str, str]:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if "User-Agent" not in request.headers:
            raise Refusal(403, "Request forbidden by administrative rules.")
        if token not in GITHUB_TOKENS:
            raise Refusal(401, "Bad credentials")
        return token, GITHUB_TOKENS[token]

    def shown(one: dict[str, Any]) -> dict[str, Any]:
        kind = "Bot" if one["author"].endswith("[bot]") else "User"
        return {
            "id": one["id"],
            "body": one["body"],
            "user": {"login": one["author"], "type": kind},
        }

    async def text(request: web.Request) -> str:
        body: str = json.loads(await request.text())["body"]
        if len(body) > GITHUB_LIMIT:
            raise Refusal(422, "Validation Failed")
        return body

    async def user(request: web.Request) -> Any:
        token, login = caller(request)
        if token != "person":
            raise Refusal(403, "Resource not accessible by integration")
        return {"login": login, "type": "User"}

    async def index(request: web.Request) -> Any:
        caller(request)
        return [shown(one) for one in forge.page(request.query, 30)]

    async def create(request: web.Request) -> Any:
        token, login = caller(request)
        if token == "fork":
            raise Refusal(403, "Resource not accessible by integration")
        comment = forge.add(login, await text(request))
        forge.writes.append("POST")
        return shown(comment)

    async def edit(request: web.Request) -> Any:
        _, login = caller(request)
        comment = forge.change(int(request.match_info["id"]), login, await text(request))
        forge.writes.append("PATCH")
        return shown(comment)

    app = web.Application()
    app.add_routes(
        [
            web.get("/user", _answers(user)),
            web.get("/repos/acme/loans/issues/7/comments", _answers(index)),
            web.post("/repos/acme/loans/issues/7/comments", _answers(create)),
            web.patch("/repos/acme/loans/issues/comments/{id}", _answers(edit)),
        ]
    )
    return app


def gitlab(forge: Forge) -> web.Application:
    """Return GitLab's REST API for project 9; it takes no job token here, and lists the newest first unless told."""

    def caller(request: web.Request) -> str:
        if request.headers.get("PRIVATE-TOKEN") != "project":
            raise Refusal(401, "401 Unauthorized")
        return GITLAB_BOT

    def shown(one: dict[str, Any]) -> dict[str, Any]:
        author = {"username": one["author"]}
        return {"id": one["id"], "body": one["body"], "author": author, "system": "system" in one}

    async def text(request: web.Request) -> str:
        body: str = json.loads(await request.text())["body"]
        if len(body) > GITLAB_LIMIT:
            raise Refusal(400, "400 Bad request - Note is too long")
        return body.strip()

    async def user(request: web.Request) -> Any:
        return {"username": caller(request)}

    async def index(request: web.Request) -> Any:
        caller(request)
        ordered = Forge(sorted(forge.comments, key=lambda one: -one["id"]))
        if request.query.get("sort") == "asc":
            ordered.comments.reverse()
        return [shown(one) for one in ordered.page(request.query, 20)]

    async def create(request: web.Request) -> Any:
        comment = forge.add(caller(request), await text(request))
        forge.writes.append("POST")
        return shown(comment)

    async def edit(request: web.Request) -> Any:
        author, identity = caller(request), int(request.match_info["id"])
        forge.writes.append("PUT")
        return shown(forge.change(identity, author, await text(request)))

    app = web.Application()
    notes = "/api/v4/projects/9/merge_requests/7/notes"
    app.add_routes(
        [
            web.get("/api/v4/user", _answers(user)),
            web.get(notes, _answers(index)),
            web.post(notes, _answers(create)),
            web.put(notes + "/{id}", _answers(edit)),
        ]
    )
    return app

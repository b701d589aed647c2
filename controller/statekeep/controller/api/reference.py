"""Routes: the API's description of itself, for programs and for people. Neither asks who reads it."""

import hashlib

import msgspec
from aiohttp import web

from statekeep.controller.api import openapi, page, requests
from statekeep.engine.ids import Namespace

_SAFE = {
    "Content-Security-Policy": f"default-src 'none'; style-src '{page.STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Reference:
    """The document and the page: made once, since nothing that they tell changes while a server runs."""

    def __init__(self, namespace: Namespace) -> None:
        document = openapi.document(namespace)
        self._document = msgspec.json.encode(document)
        self._page = page.render(document).encode()

    async def document(self, request: web.Request) -> web.Response:
        """Answer with the OpenAPI document."""
        return _unless_known(request, self._document, "application/json")

    async def page(self, request: web.Request) -> web.Response:
        """Answer with the page."""
        return _unless_known(request, self._page, "text/html")


def _unless_known(request: web.Request, body: bytes, kind: str) -> web.Response:
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    if requests.has(request, tag):
        return requests.not_modified(tag)
    charset = "utf-8" if kind.startswith("text/") else None
    return web.Response(
        body=body, content_type=kind, charset=charset, headers={**_SAFE, "ETag": tag}
    )

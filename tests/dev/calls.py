"""Calling the event API of a dev server, from tests that do one thing after another."""

import json
import urllib.error
import urllib.request
from typing import Any


def call(url: str, body: object = None) -> tuple[int, Any]:
    """Return status and document of a GET, or of a POST where there is a body."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def get(url: str) -> Any:
    """Return the document of a GET that succeeds."""
    status, document = call(url)
    assert status == 200, document
    return document


def spawn(url: str, actor_id: str, version: str, *events: str) -> None:
    """Spawn an actor and send it events that are taken."""
    status, document = call(f"{url}/v1/actors", {"id": actor_id, "version": version})
    assert status == 201, document
    for event_type in events:
        status, document = call(f"{url}/v1/actors/{actor_id}/events", {"type": event_type})
        assert status == 200, document
        assert document["handled"], document


def place(url: str, actor_id: str) -> tuple[str, str]:
    """Return (version, state) of an actor."""
    actor = get(f"{url}/v1/actors/{actor_id}")
    return actor["version"], actor["state"]

"""What a key may do: a few words, each of which stands for calls of the event API.

A call that no scope covers is closed to every key; a test holds that there is none.
"""

from collections.abc import Mapping

Call = tuple[str, str]
"""A verb and a resource, as in the table of routes."""

SCOPES: Mapping[str, frozenset[Call]] = {
    "actors:read": frozenset(
        {
            ("get", "actors"),
            ("list", "actors"),
            ("get", "actors/events"),
            ("get", "actors/decisions"),
            ("get", "actors/snapshot"),
        }
    ),
    "changes:read": frozenset({("watch", "actors")}),
    "actors:write": frozenset({("create", "actors"), ("create", "actors/events")}),
    "versions:read": frozenset(
        {
            ("get", "machineversions"),
            ("list", "machineversions"),
            ("get", "deployments/decisions"),
        }
    ),
    "previews:create": frozenset({("create", "previews")}),
}
"""Every scope with what it opens."""


def scope_of(verb: str, resource: str) -> str | None:
    """Return the scope that a call needs; ``None``: no key may make it.

    >>> scope_of("create", "actors/events")
    'actors:write'
    """
    return next((scope for scope, calls in SCOPES.items() if (verb, resource) in calls), None)

"""The hash chain over a history: whether two actors lived through the same events.

``F(0) = SHA-256("statekeep/history/v1")`` and ``F(n+1) = SHA-256(F(n) || UTF-8(event type n+1))``. With a shell::

    printf 'statekeep/history/v1' | sha256sum
"""

import hashlib
from collections.abc import Iterable

from statekeep.engine.ids import Fingerprint

SEED = b"statekeep/history/v1"
"""What ``F(0)`` hashes; changing it would change every fingerprint ever shown."""

EMPTY = hashlib.sha256(SEED).digest()
"""``F(0)``: the fingerprint of the empty history, 32 bytes."""


def extend(fingerprint: bytes, event_type: str) -> bytes:
    """Return ``F(n+1)`` from ``F(n)`` and the type of event n+1; 32 bytes each."""
    return hashlib.sha256(fingerprint + event_type.encode()).digest()


def fingerprint(history: Iterable[str]) -> bytes:
    """Return the fingerprint of a whole history, oldest event first; 32 bytes.

    >>> show(fingerprint([]))[:19]
    'sha256:33d41f14bec1'
    """
    chain = EMPTY
    for event_type in history:
        chain = extend(chain, event_type)
    return chain


def show(fingerprint: bytes) -> Fingerprint:
    """Return the form that people see: ``sha256:`` and 64 lowercase hex digits."""
    return Fingerprint(f"sha256:{fingerprint.hex()}")

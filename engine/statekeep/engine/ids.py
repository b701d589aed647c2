"""Names and numbers with a meaning, so that two of them cannot be swapped by mistake."""

from typing import NewType

Namespace = NewType("Namespace", str)
"""A Kubernetes namespace: every machine, version and actor lives in exactly one."""

MachineName = NewType("MachineName", str)
"""A family of versions with one root (``loan``)."""

VersionName = NewType("VersionName", str)
"""One immutable definition (``loan-v2``); the name of its ``MachineVersion``."""

ActorId = NewType("ActorId", str)
"""One running instance; unique within its namespace."""

EventType = NewType("EventType", str)
"""The ``type`` of an event, as XState matches it."""

Fingerprint = NewType("Fingerprint", str)
"""``sha256:`` and 64 lowercase hex digits: the hash chain over a history."""

PreviewId = NewType("PreviewId", str)
"""32 lowercase hex digits: what an approval names."""

"""The JSON Schema (draft 2020-12) of a ``MachineVersion``.

It says what the CustomResourceDefinition says, for readers that have no API server at hand. A definition is any
object here: ``statekeep.engine.statechart`` judges it.
"""

from collections.abc import Mapping
from typing import Any

GROUP = "statekeep.io"
API_VERSION = f"{GROUP}/v1alpha1"
KIND = "MachineVersion"

MAX_PATH = 256
"""Event types in a history path; longer ones are written with ``**``."""

MAX_EVENT_TYPE = 256
"""Characters of one event type in a history path."""

MAX_SUBDOMAIN = 253
"""Characters of a DNS-1123 subdomain: the name of a Kubernetes object."""

MAX_LABEL = 63
"""Characters of a DNS-1123 label: the name of a namespace."""

# `$` alone would let a newline at the end pass.
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
LABEL = rf"^{_LABEL}$(?!\n)"
SUBDOMAIN = rf"^{_LABEL}(\.{_LABEL})*$(?!\n)"

_NAME = {"type": "string", "minLength": 1, "maxLength": MAX_SUBDOMAIN, "pattern": SUBDOMAIN}
_STRINGS = {"type": ["object", "null"], "additionalProperties": {"type": "string"}}

# What Kubernetes writes into metadata is accepted as it comes.
_KUBERNETES_METADATA: Mapping[str, Any] = dict.fromkeys(
    (
        "clusterName",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ),
    True,
)

_METADATA: Mapping[str, Any] = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": _NAME,
        "namespace": {"type": "string", "minLength": 1, "maxLength": MAX_LABEL, "pattern": LABEL},
        "annotations": _STRINGS,
        "labels": _STRINGS,
        "generation": {"type": "integer"},
        **_KUBERNETES_METADATA,
    },
}

_MIGRATION: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "unhandledEvents": {"enum": ["Stay", "Skip"]},
        "completedActors": {"enum": ["Stay", "Migrate"]},
        "unseenMoves": {"enum": ["Hold", "Stay"]},
    },
}

_SPEC: Mapping[str, Any] = {
    "type": "object",
    "required": ["definition"],
    "additionalProperties": False,
    "properties": {
        "machine": _NAME,
        "parentId": _NAME,
        "historyPath": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_PATH,
            "items": {"type": "string", "minLength": 1, "maxLength": MAX_EVENT_TYPE},
        },
        "approval": {"enum": ["Manual", "Automatic"]},
        "migration": _MIGRATION,
        "definition": {"type": "object"},
    },
}

SCHEMA: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": KIND,
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": API_VERSION},
        "kind": {"const": KIND},
        "metadata": _METADATA,
        "spec": _SPEC,
        "status": True,
    },
}
"""``status`` is the operator's and is not looked at."""

"""Whether an object is one that a cluster takes, as far as schemas tell.

How sure that is: the schemas of kubernetes-validate are made of Kubernetes' own OpenAPI document and, in their strict
form, refuse every field that it does not name, wrong types, and the absence of fields that it requires. They do not
hold what the API server checks in code: names, the syntax of labels, fields that exclude or refer to each other, CEL.
So an object that passes is well-formed, not yet accepted. What stands inside the CustomResourceDefinition is held to
the same schema. A ServiceMonitor is no part of Kubernetes; its schema here names the fields that the chart uses.
"""

from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]
from tests.chart.render import Object

VERSIONS = ("1.30", "1.33", "1.36")
"""The oldest that the chart allows, and later ones."""

_STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}


def _closed(required: list[str], **properties: Any) -> Object:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": properties,
    }


_SERVICE_MONITOR = _closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "monitoring.coreos.com/v1"},
    kind={"const": "ServiceMonitor"},
    metadata=_closed(
        ["name", "namespace"],
        name={"type": "string"},
        namespace={"type": "string"},
        labels=_STRINGS,
    ),
    spec=_closed(
        ["selector", "endpoints"],
        selector=_closed(["matchLabels"], matchLabels=_STRINGS),
        endpoints={
            "type": "array",
            "minItems": 1,
            "items": _closed(
                ["port"],
                port={"type": "string"},
                path={"type": "string", "pattern": "^/"},
                interval={"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"},
            ),
        },
    ),
)


def problem(one: Object, version: str) -> str | None:
    """Return what is wrong with an object under a version of Kubernetes, or nothing."""
    try:
        if one.get("apiVersion", "").startswith("monitoring.coreos.com/"):
            jsonschema.validate(one, _SERVICE_MONITOR)
        else:
            kubernetes_validate.validate(one, version, strict=True)
    except jsonschema.ValidationError as error:
        return f"{'.'.join(map(str, error.absolute_path))}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        return str(error.message)
    return None

"""JSON Merge Patch, RFC 7396."""

from statekeep.engine.json import JsonObject, JsonValue


def merge(target: JsonValue, patch: JsonValue) -> JsonValue:
    """Return the target with the patch applied; neither is changed.

    >>> merge({"a": 1, "b": {"c": 2}}, {"a": None, "b": {"d": 3}})
    {'b': {'c': 2, 'd': 3}}
    """
    if not isinstance(patch, dict):
        return patch
    merged: JsonObject = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged

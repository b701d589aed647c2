"""Document order: where a JSON pointer points to, compared with others."""

from collections.abc import Iterable

from statekeep.engine.finding import Finding, tokens
from statekeep.engine.json import JsonObject, JsonValue


def in_document_order(definition: JsonObject, findings: Iterable[Finding]) -> list[Finding]:
    """Return findings in the order in which what they point to is written; the whole before its parts."""
    positions: dict[int, dict[str, int]] = {}

    def place(finding: Finding) -> tuple[int, ...]:
        value: JsonValue = definition
        path: list[int] = []
        for key in tokens(finding.pointer):
            if isinstance(value, dict) and key in value:
                # One table for each object, however many findings lie in it.
                known = positions.setdefault(id(value), {})
                if not known:
                    known.update((name, number) for number, name in enumerate(value))
                path.append(known[key])
                value = value[key]
            elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
                path.append(int(key))
                value = value[int(key)]
            else:
                break
        return tuple(path)

    return sorted(findings, key=place)

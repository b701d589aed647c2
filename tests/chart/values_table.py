"""The table of values in docs/install.md, made of the schema's descriptions and the defaults.

``make chart`` writes it; a test holds that it is what is written.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml
from tests.chart.render import CHART, ROOT, Object

PAGE = ROOT / "docs" / "install.md"
HEAD = "| value | default | meaning |\n| --- | --- | --- |\n"

VALUES: Object = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: Object = json.loads((CHART / "values.schema.json").read_text())


def described(node: Object = SCHEMA, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every value that the schema has, by its path, with what it says of it."""
    if "$ref" in node:
        node = {**SCHEMA["definitions"][node["$ref"].removeprefix("#/definitions/")], **node}
    if "properties" not in node:
        yield path, node.get("description", "")
        return
    for name, below in node["properties"].items():
        yield from described(below, f"{path}.{name}".removeprefix("."))


def default(path: str) -> Any:
    """Return the default of a value.

    Raises:
        KeyError: there is no such value in values.yaml.
    """
    place: Any = VALUES
    for name in path.split("."):
        place = place[name]
    return place


def table() -> str:
    """Return the table; what belongs to a parent chart is left out."""
    rows = (
        f"| `{path}` | {_shown(default(path))} | {meaning} |\n"
        for path, meaning in described()
        if path != "global"
    )
    return HEAD + "".join(rows)


def _shown(value: Any) -> str:
    if value in ("", [], {}):
        return ""
    flow = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000)
    shown = flow.removesuffix("...\n").strip()
    return f"`{shown}`"


def main() -> None:
    """Write the table where the old one stands."""
    text = PAGE.read_text()
    old = re.search(re.escape(HEAD) + r"(\|.*\n)*", text)
    assert old is not None
    PAGE.write_text(text.replace(old[0], table()))


if __name__ == "__main__":
    main()

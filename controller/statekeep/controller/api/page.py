"""``/docs``: the OpenAPI document as one page that needs no script, no network and no other file."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from http import HTTPStatus
from importlib.resources import files
from typing import Any
from urllib.parse import quote, urlencode

Json = Mapping[str, Any]

STYLE = files(__package__).joinpath("page.css").read_text()
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
"""What a Content-Security-Policy allows this style sheet by, and no other."""


def render(document: Json) -> str:
    """Return the page of an OpenAPI document."""
    info = document["info"]
    calls = list(_calls(document))
    sections = [
        _section(tag, [call for call in calls if tag["name"] in call[2]["tags"]])
        for tag in document["tags"]
    ]
    schemas = document["components"]["schemas"]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(info["title"])} {escape(info["version"])}: the event API</title>
<style>{STYLE}</style>
</head>
<body>
<nav>
<h1><a href="#top">{escape(info["title"])}</a> <small>{escape(info["version"])}</small></h1>
<p>The event API · <a href="openapi.json">openapi.json</a></p>
{"".join(_contents(tag, calls) for tag in document["tags"])}
<details><summary>Schemas</summary><ul>
{"".join(f"<li>{_link(name)}</li>" for name in schemas)}
</ul></details>
</nav>
<main id="top">
<header>
<h2>{escape(info["summary"].rstrip("."))}</h2>
{_prose(info["description"])}
{_servers(document)}
</header>
{"".join(sections)}
<section id="schemas">
<h2>Schemas</h2>
{"".join(_schema(name, schema) for name, schema in schemas.items())}
</section>
</main>
</body>
</html>
"""


Call = tuple[str, str, Json]
"""Method, path with its prefix, operation."""


def _calls(document: Json) -> Iterable[Call]:
    for path, item in document["paths"].items():
        prefix = item["servers"][0]["url"].rstrip("/") if "servers" in item else "/v1"
        for method in ("get", "post"):
            if method in item:
                yield method.upper(), prefix + path, item[method]


def _contents(tag: Json, calls: Iterable[Call]) -> str:
    rows = [
        f'<li><a href="#{operation["operationId"]}">{_badge(method)} {escape(operation["summary"])}</a></li>'
        for method, _, operation in calls
        if tag["name"] in operation["tags"]
    ]
    return (
        f'<h3><a href="#{tag["name"]}">{tag["name"].capitalize()}</a></h3><ul>{"".join(rows)}</ul>'
    )


def _servers(document: Json) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(server['url'])}</code></td><td>{_inline(server['description'])}</td></tr>"
        for server in document["servers"]
    )
    bearer = document["components"]["securitySchemes"]["bearer"]["description"]
    return (
        f"<h3>Where</h3><table>{rows}</table><p>Paths below show the first; behind the second they are the same.</p>"
        f"<h3>Who</h3><p><code>Authorization: Bearer …</code> {_inline(bearer)}</p>"
        "<h3>Trying it</h3><p>The examples are from a run of the loan story. To make such calls yourself, name your "
        "server first:</p><pre><code>export STATEKEEP=http://127.0.0.1:8080</code></pre>"
    )


def _section(tag: Json, calls: Iterable[Call]) -> str:
    articles = "".join(_article(*call) for call in calls)
    return (
        f'<section id="{tag["name"]}"><h2>{tag["name"].capitalize()}</h2>'
        f"<p>{_inline(tag['description'])}</p>{articles}</section>"
    )


def _article(method: str, path: str, operation: Json) -> str:
    return f"""<article id="{operation["operationId"]}">
<div class="told">
<h3><a href="#{operation["operationId"]}">{escape(operation["summary"])}</a></h3>
<p class="call">{_badge(method)} <code>{_path(path)}</code></p>
{_prose(operation.get("description", ""))}
{_parameters(operation["parameters"])}
{_body(operation)}
{_answers(operation["responses"])}
</div>
<div class="shown">
{_examples(method, path, operation)}
</div>
</article>
"""


def _path(path: str) -> str:
    return re.sub(r"\{(\w+)\}", r"<var>{\1}</var>", escape(path))


def _parameters(parameters: Iterable[Json]) -> str:
    rows = "".join(
        _row(
            parameter["name"],
            parameter["schema"],
            _note(parameter),
            parameter.get("description", ""),
        )
        for parameter in parameters
    )
    return f"<h4>Parameters</h4><table>{rows}</table>" if rows else ""


def _note(parameter: Json) -> str:
    where = {"path": "in the path", "query": "in the query", "header": "header"}
    return where[parameter["in"]]


def _body(operation: Json) -> str:
    if "requestBody" not in operation:
        return ""
    forms = "".join(
        f"<p><code>{escape(media)}</code>: {_type(content['schema'])}. "
        f"{_inline(content['schema'].get('description', ''))}</p>"
        for media, content in operation["requestBody"]["content"].items()
    )
    return f"<h4>Body</h4>{forms}"


def _answers(responses: Json) -> str:
    well, ill = [], []
    for status, response in responses.items():
        if status >= "400":
            ill.append(f"<dt>{_status(status)}</dt><dd>{_prose(response['description'])}</dd>")
            continue
        types = " or ".join(
            f"{_type(content['schema'])} <small>{escape(media)}</small>"
            for media, content in response.get("content", {}).items()
        )
        headers = "".join(
            f"<li><code>{name}</code> {_inline(header['description'])}</li>"
            for name, header in response.get("headers", {}).items()
        )
        more = f"<ul>{headers}</ul>" if headers else ""
        says = _inline(response["description"])
        well.append(f"<dt>{_status(status)}</dt><dd><p>{says} {types}</p>{more}</dd>")
    refused = (
        f"<details><summary>Problems</summary><dl>{''.join(ill)}</dl></details>" if ill else ""
    )
    return f"<h4>Answers</h4><dl>{''.join(well)}</dl>{refused}"


def _status(status: str) -> str:
    return f"<b>{status}</b> {HTTPStatus(int(status)).phrase}"


def _examples(method: str, path: str, operation: Json) -> str:
    body = _first(operation.get("requestBody", {}).get("content", {}))
    shown = [("Call", _curl(method, path, operation, body))]
    for status, response in operation["responses"].items():
        example = _first(response.get("content", {}))
        if example is not None and status < "400":
            shown.append((f"Answer {status}", _pretty(example)))
    return "".join(
        f"<figure><figcaption>{title}</figcaption><pre><code>{escape(text)}</code></pre></figure>"
        for title, text in shown
    )


def _first(content: Json) -> Any:
    for media in content.values():
        for example in media.get("examples", {}).values():
            return example["value"]
    return None


def _curl(method: str, path: str, operation: Json, body: Any) -> str:
    """Return a call for a shell, made of the parameters' examples."""
    given = {p["name"]: p for p in operation["parameters"] if "example" in p}
    for name, parameter in given.items():
        if parameter["in"] == "path":
            path = path.replace(f"{{{name}}}", quote(str(parameter["example"]), safe=""))
    query = urlencode(
        {n: json.dumps(p["example"]).strip('"') for n, p in given.items() if p["in"] == "query"}
    )
    lines = [f'curl -s "$STATEKEEP{path}{"?" + query if query else ""}"']
    lines += [f"-H '{n}: {p['example']}'" for n, p in given.items() if p["in"] == "header"]
    if method == "POST":
        text = _pretty(body).replace("'", "'\\''")
        lines.append(f"--json '{text}'")
    return " \\\n  ".join(lines)


_WIDTH = 68
"""Characters of a line of JSON before it is broken."""


def _pretty(value: Any, indent: str = "") -> str:
    """Return JSON on as few lines as fit.

    >>> _pretty({"a": [1, 2]})
    '{"a": [1, 2]}'
    """
    short = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(short) <= _WIDTH or not value or not isinstance(value, dict | list):
        return short
    inner = indent + "  "
    if isinstance(value, dict):
        rows = [f"{json.dumps(key)}: {_pretty(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(inner + row for row in rows) + f"\n{indent}}}"
    rows = [_pretty(item, inner) for item in value]
    return "[\n" + ",\n".join(inner + row for row in rows) + f"\n{indent}]"


def _schema(name: str, schema: Json) -> str:
    required = schema.get("required", [])
    rows = "".join(
        _row(field, kind, "" if field in required else "optional", kind.get("description", ""))
        for field, kind in schema.get("properties", {}).items()
    )
    shown = f"<table>{rows}</table>" if rows else f"<p>{_type(schema)}</p>"
    return (
        f'<article id="{name}" class="schema"><h3><a href="#{name}">{name}</a></h3>'
        f"{_prose(schema.get('description', ''))}{shown}</article>"
    )


def _row(name: str, schema: Json, note: str, says: str) -> str:
    small = f"<small>{note}</small>" if note else ""
    default = ""
    if "default" in schema and schema["default"] not in ({}, None):
        default = f" Default: <code>{escape(json.dumps(schema['default']))}</code>."
    return (
        f"<tr><td><code>{escape(name)}</code>{small}</td><td>{_type(schema)}{_bounds(schema)}</td>"
        f"<td>{_inline(says)}{default}</td></tr>"
    )


def _type(schema: Json) -> str:
    match schema:
        case {"$ref": ref}:
            return _link(ref.rpartition("/")[2])
        case {"enum": [first, *_] as values} if len(str(first)) < 20:
            return " | ".join(f"<code>{escape(str(value))}</code>" for value in values)
        case {"anyOf": several}:
            return " | ".join(_type(one) for one in several)
        case {"type": "array", "items": items}:
            return f"list of {_type(items)}"
        case {"type": "object", "additionalProperties": {} as values} if values:
            return f"object of {_type(values)}"
        case {"type": kind}:
            return str(kind)
        case _:
            return "any JSON"


def _bounds(schema: Json) -> str:
    """Return the limits of a value, for people."""
    said = []
    for low, high, unit in (
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minimum", "maximum", ""),
    ):
        least, most = schema.get(low), schema.get(high)
        if most is not None and most < 2**31 - 1:
            said.append(f"{least or 0:,}–{most:,}{unit}")
        elif least:
            said.append(f"from {least:,}{unit}")
    return f"<small>{', '.join(said)}</small>" if said else ""


def _link(name: str) -> str:
    return f'<a href="#{name}">{name}</a>'


def _badge(method: str) -> str:
    return f'<b class="{method.lower()}">{method}</b>'


def _prose(text: str) -> str:
    r"""Return the Markdown that we write: paragraphs, lists, code and bold.

    >>> _prose("One `a`.\n\n- *two*\n- **b**")
    '<p>One <code>a</code>.</p><ul><li>*two*</li><li><b>b</b></li></ul>'
    """
    shown = []
    for block in re.split(r"\n\s*\n|\n(?=- )(?<!^)", text.strip()):
        if block.startswith("- "):
            shown.append(f"<li>{_inline(block[2:])}</li>")
        elif block:
            shown.append(f"<p>{_inline(block)}</p>")
    return re.sub(r"((?:<li>.*?</li>)+)", r"<ul>\1</ul>", "".join(shown), flags=re.DOTALL)


def _inline(text: str) -> str:
    """Return text with its code and its bold words."""
    parts = re.split(r"`([^`]+)`", text)
    for number, part in enumerate(parts):
        shown = escape(part, quote=False)
        bold = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", shown)
        parts[number] = f"<code>{shown}</code>" if number % 2 else bold
    return "".join(parts)

"""The parser's refusals in plain words."""

import yaml

# What libyaml says, and what the author should hear. The rest is understandable as it is.
_HINTS = {
    "mapping values are not allowed in this context": (
        "a ':' stands where no key can be: check the indentation, or put text that holds ': ' in quotes"
    ),
    "could not find expected ':'": "a key without its ':': add it, or check the quotes and the indentation above",
    "did not find expected key": "a key should begin here: check the indentation, the quotes and the brackets above",
    "did not find expected '-' indicator": "a list item should begin here: check the indentation",
    "did not find expected ',' or '}'": "a ',' or '}' is missing before this: check the braces and quotes",
    "did not find expected ',' or ']'": "a ',' or ']' is missing before this: check the brackets and quotes",
    "did not find expected node content": "a value should begin here: check the brackets and commas",
    "did not find expected <document start>": "only one value may stand in a document: begin the next one with '---'",
    "found unexpected end of stream": "the quotes that begin here are never closed: close them",
    "found unexpected document indicator": "the quotes that begin here are not closed in this document: close them",
    "found a tab character that violates indentation": "YAML is not indented with tabs: use spaces",
    "found a tab character where an indentation space is expected": "YAML is not indented with tabs: use spaces",
    "found invalid Unicode character escape code": (
        "the escape is half of a surrogate pair or no character at all: write the character itself"
    ),
    "found unknown escape character": "no such escape in double quotes: double the backslash, or use single quotes",
    "block sequence entries are not allowed in this context": "a list item cannot begin here: put it on its own line",
    "found undefined tag handle": "the tag is not declared: remove it, or put the text in quotes",
    "found duplicate anchor": "the anchor is used twice: rename one of the two",
    "found incompatible YAML document": "only YAML 1.1 and 1.2 are known: remove the %YAML line",
}
_UNCLOSED = frozenset({"found unexpected end of stream", "found unexpected document indicator"})
_CANNOT_START = "found character that cannot start any token"


def place(error: yaml.MarkedYAMLError) -> int:
    """Return the offset at which the author should look."""
    mark = error.problem_mark or error.context_mark
    if error.problem in _UNCLOSED:
        mark = error.context_mark or mark
    return mark.index if mark else 0


def reason(error: yaml.MarkedYAMLError, character: str) -> str:
    """Return one sentence on why the parser stopped at ``character`` (empty at the end of the text)."""
    problem = error.problem or error.context or "the text is not YAML"
    if problem == _CANNOT_START:
        return _cannot_start(character)
    hint = _HINTS.get(problem)
    if problem not in _UNCLOSED and error.context_mark and error.problem_mark:
        since = error.context_mark.line + 1
        if since != error.problem_mark.line + 1:
            return f"{hint or problem} (what it belongs to begins in line {since})"
    return hint or (
        f"{error.context}, {problem}" if error.context and error.context != problem else problem
    )


def _cannot_start(character: str) -> str:
    if character == "\t":
        return "YAML is not indented with tabs: use spaces"
    return f"text cannot begin with {character or 'this'} in YAML: put it in quotes"

r"""Paths of state keys, as targets spell them: ``review.pending``, with ``\`` before a dot that is part of a key."""


def split(text: str) -> list[str]:
    r"""Return the keys of a path; there is always at least one, possibly empty.

    Follows ``toStatePath`` of XState 5, to the letter: a backslash takes the next character as it is, and one at
    the very end appends the word ``undefined``.

    >>> split(r"a.b\.c"), split(".x"), split("")
    (['a', 'b.c'], ['', 'x'], [''])
    """
    if "\\" not in text:
        return text.split(".")
    keys: list[str] = []
    key: list[str] = []
    characters = iter(text)
    for character in characters:
        if character == "\\":
            key.append(next(characters, "undefined"))
        elif character == ".":
            keys.append("".join(key))
            key.clear()
        else:
            key.append(character)
    keys.append("".join(key))
    return keys


def escape(key: str) -> str:
    r"""Return a key as a path must spell it.

    >>> escape("v1.2")
    'v1\\.2'
    """
    return key.replace("\\", "\\\\").replace(".", "\\.")

"""How callers are asked who they are, as ``statekeep api --auth`` says it."""

from enum import StrEnum


class Mode(StrEnum):
    """One way."""

    KUBERNETES = "kubernetes"
    """Tokens of the cluster."""

    KEYS = "keys"
    """``sk_`` keys."""


NONE = "none"
"""Nobody is asked."""


def read_modes(text: str) -> frozenset[Mode]:
    """Return the modes that a list with commas names; none for ``none``.

    Raises:
        ValueError: with what it may be.

    >>> sorted(read_modes("kubernetes, keys"))
    [<Mode.KEYS: 'keys'>, <Mode.KUBERNETES: 'kubernetes'>]
    """
    names = [name.strip() for name in text.split(",")]
    if names == [NONE]:
        return frozenset()
    try:
        return frozenset(Mode(name) for name in names)
    except ValueError as error:
        raise ValueError(
            f"{text} is not one of none, kubernetes, keys and kubernetes,keys"
        ) from error

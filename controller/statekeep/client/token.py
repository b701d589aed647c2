"""The bearer token: given, or read from a file, again whenever that changes."""

import os
from pathlib import Path
from typing import Protocol

from statekeep.client.errors import TokenUnreadable


class Token(Protocol):
    """Who calls."""

    def current(self) -> str | None:
        """Return the token to show now."""
        ...


class GivenToken:
    """Always the same one, or none."""

    def __init__(self, token: str | None) -> None:
        self._token = token if token is None else checked(token, "the token")

    def current(self) -> str | None:
        """Return it."""
        return self._token


class TokenFile:
    """One that is replaced now and then, as the kubelet does with that of a service account."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, ...] = ()
        self._token: str | None = None

    def current(self) -> str:
        """Return what the file holds now; while it cannot be read, what it held last.

        Raises:
            TokenUnreadable: it never held a token.
        """
        try:
            found = os.stat(self._path)
            stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
            if stamp != self._stamp or self._token is None:
                self._token = checked(self._path.read_text(), f"what the file {self._path} holds")
                self._stamp = stamp
        except (OSError, ValueError) as error:
            if self._token is None:
                raise TokenUnreadable(
                    f"the token file {self._path} cannot be used: {error}"
                ) from error
        return self._token


def checked(text: str, what: str) -> str:
    """Return a token without the space around it; no message repeats it.

    Raises:
        ValueError: it cannot be one.
    """
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError(
            f"{what} cannot be a token: it is empty, or has spaces or special characters"
        )
    return token

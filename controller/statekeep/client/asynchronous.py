"""The client for ``asyncio``."""

import os
import ssl
from types import TracebackType
from typing import Self

from statekeep.client.calls import Calls, Options
from statekeep.client.patience import Patience
from statekeep.client.wire import AsyncWire


class AsyncClient(Calls):
    """The event API, for ``asyncio``; any number of tasks may share one. Use it as a context, or close it.

    Args:
        url: of the API, without a path of a call: ``http://statekeep-api.statekeep.svc:8080``.
        token: who calls: an ``sk_`` key, or a service account's token.
        token_file: the file that holds it, read again when it changes: a mounted service account's token.
        namespace: whose actors; ``None``: the caller's own, else the server's default.
        patience: how long a call is tried again.
        connections: open at once, at most.
        ssl_context: what certificates are held to; ``None``: the system's authorities.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        namespace: str | None = None,
        patience: Patience = Patience(),  # noqa: B008  (a value that cannot change)
        connections: int = 100,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        options = Options(
            url=url,
            token=token,
            token_file=token_file,
            namespace=namespace,
            patience=patience,
            connections=connections,
            ssl_context=ssl_context,
        )
        super().__init__(options.conversation(AsyncWire))

    async def close(self) -> None:
        """Close every connection."""
        await self._conversation.wire.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

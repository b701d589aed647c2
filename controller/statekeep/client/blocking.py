"""The client for code that waits: every call of ``statekeep.client.calls``, run to its end."""

import os
import ssl
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from statekeep.client.calls import Calls, Options
from statekeep.client.delivery import Outcome
from statekeep.client.patience import Patience
from statekeep.client.wire import BlockingWire
from statekeep.controller.api.bodies import BatchEvent

P = ParamSpec("P")
T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, and return its result."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise AssertionError("on a blocking wire nothing suspends")


def iterated(source: AsyncGenerator[T]) -> Generator[T]:
    """Yield what an asynchronous generator that never suspends does; end it when nobody wants more."""
    try:
        while True:
            try:
                yield run(source.__anext__())
            except StopAsyncIteration:
                return
    finally:
        run(source.aclose())


def _blocking(
    call: Callable[Concatenate[Calls, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["Client", P], T]:
    @wraps(call)
    def blocks(client: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(call(client._calls, *args, **kwargs))

    return blocks


def _iterating(
    call: Callable[Concatenate[Calls, P], AsyncGenerator[T]],
) -> Callable[Concatenate["Client", P], Generator[T]]:
    @wraps(call)
    def iterates(client: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Generator[T]:
        return iterated(call(client._calls, *args, **kwargs))

    return iterates


class Client:
    """The event API; any number of threads may share one. Use it as a context, or close it.

    Its calls and its options are those of ``AsyncClient``; what that yields, this one iterates over.
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
        self._conversation = options.conversation(BlockingWire)
        self._calls = Calls(self._conversation)

    spawn = _blocking(Calls.spawn)
    send = _blocking(Calls.send)
    actor = _blocking(Calls.actor)
    actors = _iterating(Calls.actors)
    history = _iterating(Calls.history)
    decisions = _iterating(Calls.decisions)
    snapshot = _blocking(Calls.snapshot)
    version = _blocking(Calls.version)
    versions = _iterating(Calls.versions)
    preview = _blocking(Calls.preview)
    changes = _iterating(Calls.changes)
    newest = _blocking(Calls.newest)

    def send_many(self, events: Iterable[BatchEvent]) -> Generator[tuple[BatchEvent, Outcome]]:
        """Send any number of events, and yield each with what became of it: ``Calls.send_many`` has the details."""
        return iterated(self._calls.send_many(events))

    def close(self) -> None:
        """Close every connection."""
        run(self._conversation.wire.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

"""Watching: kopf in a thread of its own, which says which objects to look at, and nothing else.

Handlers for ``create`` and ``update`` would have kopf keep the last state that it handled in an annotation of the
object (a digest of it, at best). Raw events need no such memory, since a turn reads the object afresh anyway: so the
operator needs no right to write anything but ``status``, and GitOps tools see nothing of it.

kopf gets a thread because it takes every task of its event loop for its own, and ends them when it stops.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection
from http import HTTPStatus
from typing import Any

import kopf

from statekeep.controller.kubernetes.session import Login
from statekeep.controller.operator.cluster import UNKNOWN
from statekeep.controller.operator.resource import API_VERSION, GROUP, PLURAL, Key
from statekeep.engine.ids import Namespace, VersionName

ANSWER_S = 5.0
"""How long the thread's loop may take to show that it turns."""

OWN_PREFIX = "operator.statekeep.io"
"""Where kopf would keep what it stores on objects; nothing, with the handlers we have."""

log = logging.getLogger(__name__)

Tell = Callable[[Key, str | None], None]
"""Takes an object's name and its revision, or ``None`` where it is gone."""


class Watch:
    """The thread that watches."""

    def __init__(self, namespaces: Collection[Namespace], login: Login, tell: Tell) -> None:
        self.seen: dict[Key, str] = {}
        """The revision of each object that the API server told of last."""

        self.lags = False
        """Whether there are objects that it should have told of, and has not."""

        self._namespaces = namespaces
        self._login = login
        self._tell = tell
        self._ours = asyncio.get_running_loop()
        self._theirs: asyncio.AbstractEventLoop | None = None
        self._stop = threading.Event()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    def start(self) -> None:
        """Start watching."""
        self._thread.start()

    async def ended(self) -> None:
        """Wait until the thread has ended, asked or not."""
        await self._ended.wait()

    async def stop(self) -> None:
        """Stop watching."""
        if self._thread.is_alive():
            self._stop.set()
            await self._ended.wait()

    async def is_alive(self) -> bool:
        """Whether the thread's loop turns, and keeps up with the API server."""
        if self._theirs is None:
            return not self._ended.is_set()
        if self._ended.is_set() or self.lags:
            return False
        turned = asyncio.Event()
        self._theirs.call_soon_threadsafe(lambda: self._ours.call_soon_threadsafe(turned.set))
        try:
            await asyncio.wait_for(turned.wait(), ANSWER_S)
        except TimeoutError:
            return False
        return True

    def _run(self) -> None:
        try:
            asyncio.run(self._watch())
        except Exception as error:
            if getattr(error, "status", None) == HTTPStatus.NOT_FOUND:
                log.error("the watch has ended: %s", UNKNOWN)
            else:
                log.exception("the watch has ended")
        finally:
            self._ours.call_soon_threadsafe(self._ended.set)

    async def _watch(self) -> None:
        self._theirs = asyncio.get_running_loop()
        try:
            await kopf.operator(
                registry=self._registry(),
                settings=_kopf_settings(),
                standalone=True,
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                stop_flag=self._stop,
            )
        finally:
            self._stop.set()  # a thread of kopf's waits for it, and the loop for that thread

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        def login(**_: Any) -> kopf.ConnectionInfo:
            return self._login()

        @kopf.on.event(GROUP, API_VERSION, PLURAL, registry=registry)
        async def seen(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002  (kopf's name)
            metadata = body.metadata
            key = Key(Namespace(metadata["namespace"]), VersionName(metadata["name"]))
            revision = None if type == "DELETED" else metadata["resourceVersion"]
            self._ours.call_soon_threadsafe(self._note, key, revision)

        return registry

    def _note(self, key: Key, revision: str | None) -> None:
        if revision is None:
            self.seen.pop(key, None)
        else:
            self.seen[key] = revision
        self._tell(key, revision)


def _kopf_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = (
        True  # neither CRDs nor namespaces come and go; no right to list them
    )
    settings.posting.enabled = False  # turns post their own Events
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    settings.watching.chunk_size = 20
    settings.process.ultimate_exiting_timeout = None  # the process decides when it ends
    settings.persistence.finalizer = f"{OWN_PREFIX}/finalizer"
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(
        prefix=OWN_PREFIX, v1=False
    )
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(
        prefix=OWN_PREFIX, v1=False
    )
    return settings

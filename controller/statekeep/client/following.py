"""Following the changes: a stream, and the next one behind the last cursor whenever it ends.

The cursor moves with every line that is handed out, so a line is never asked for again and none is passed over. What
was cut in the midst was never handed out, and comes again whole.
"""

import logging
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from statekeep.client.call import Call, query
from statekeep.client.conversation import Conversation, asked_s, decoded
from statekeep.client.errors import ClientError
from statekeep.client.patience import Backoff
from statekeep.client.wire import now
from statekeep.controller.api.bodies import (
    ActorChangeResponse,
    BookmarkResponse,
    DeploymentChangeResponse,
)

_log = logging.getLogger("statekeep.client")

Change = ActorChangeResponse | DeploymentChangeResponse

_KINDS: Mapping[str, type[ActorChangeResponse] | type[DeploymentChangeResponse]] = {
    "spawn": ActorChangeResponse,
    "event": ActorChangeResponse,
    "migration": ActorChangeResponse,
    "deployment": DeploymentChangeResponse,
}
"""Those that this release knows; others are passed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to follow."""

    after: str | None
    machine: str | None
    kinds: Iterable[str] | None
    follow: bool

    def call(self, cursor: str | None) -> Call[BookmarkResponse]:
        """Return the call that goes on behind a cursor."""
        kinds = None if self.kinds is None else ",".join(self.kinds)
        parameters = query(after=cursor, machine=self.machine, kinds=kinds, follow=self.follow)
        headers = {"Accept-Encoding": "identity"}  # what packs it holds it back
        return Call(path="/changes", query=parameters, headers=headers, answer=BookmarkResponse)


async def followed(conversation: Conversation, wish: Wish) -> AsyncGenerator[Change]:
    """Yield the changes; once there was a line, a server that goes away is waited for."""
    cursor = wish.after
    is_known = False
    backoff = Backoff(conversation.patience, now())
    while True:
        try:
            async with aclosing(conversation.lines(wish.call(cursor))) as lines:
                async for line in lines:
                    cursor = line.cursor
                    is_known = True
                    backoff = Backoff(conversation.patience, now())
                    if kind := _KINDS.get(line.kind):
                        yield decoded(line.raw, kind)
            if not wish.follow:
                return
            pause_s = backoff.endless_pause()
        except ClientError as error:
            if not error.is_transient:
                raise
            if is_known:
                _log.warning("the changes broke off, coming back: %s", error)
                pause_s = backoff.endless_pause(asked_s(error))
            elif (chosen_s := backoff.pause(now(), asked_s(error))) is None:
                raise
            else:
                pause_s = chosen_s
        await conversation.wire.pause(pause_s)


async def newest(conversation: Conversation) -> str:
    """Return the cursor behind the last change there is."""
    call = Call(
        path="/changes",
        query=query(after="now", follow=False),
        answer=BookmarkResponse,
        takes_long=True,
    )
    return (await conversation.answer(call)).cursor

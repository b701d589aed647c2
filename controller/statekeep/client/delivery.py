"""Sending many events: a batch at a time, each until every event of it has its answer.

A batch is a JSON array, which the server processes as a whole: where an event of an actor finds no database, those
behind it for the same actor are not taken either, so they are sent again in their order. What has its answer is not
sent again. Only one batch is held in memory, and the next one is not begun before this one is done.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import msgspec
from msgspec import UNSET

from statekeep.client.call import Call, new_key
from statekeep.client.conversation import Conversation, asked_s, decoded
from statekeep.client.errors import AnswerUnreadable, ClientError, Refused, refusal
from statekeep.client.patience import Backoff
from statekeep.client.wire import now
from statekeep.controller.api.bodies import AnswerResponse, BatchEvent, ProblemResponse

MAX_EVENTS = 500
"""Events of one batch: what the server takes in one transaction."""

MAX_BYTES = 1024 * 1024
"""A batch is sent once it has as many; a single event may be larger."""

Outcome = AnswerResponse | Refused
"""What became of one event of many: what ``send`` would have returned, or raised."""


class _Status(msgspec.Struct):
    status: int | str


@dataclass(slots=True)
class _Batch:
    """Events in their order, each with a key and ready to be sent."""

    events: list[BatchEvent] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, event: BatchEvent) -> None:
        keyed = event if event.id is not UNSET else msgspec.structs.replace(event, id=new_key())
        raw = msgspec.json.encode(keyed)
        self.events.append(keyed)
        self.written.append(raw)
        self.size += len(raw)

    @property
    def is_full(self) -> bool:
        return len(self.events) >= MAX_EVENTS or self.size >= MAX_BYTES


async def delivered(
    conversation: Conversation, events: Iterable[BatchEvent] | AsyncIterable[BatchEvent]
) -> AsyncGenerator[tuple[BatchEvent, Outcome]]:
    """Yield each event, with the key that it was sent with, and what became of it, in their order.

    Where the iterable raises, what it gave before is sent and answered first.
    """
    failure: Exception | None = None
    batch = _Batch()
    async with aclosing(_each(events)) as source:
        while failure is None:
            try:
                batch.add(await anext(source))
                if not batch.is_full:
                    continue
            except StopAsyncIteration:
                break
            except Exception as error:
                failure = error
            for pair in await _answered(conversation, batch):
                yield pair
            batch = _Batch()
    for pair in await _answered(conversation, batch):
        yield pair
    if failure is not None:
        raise failure


async def _each(
    events: Iterable[BatchEvent] | AsyncIterable[BatchEvent],
) -> AsyncGenerator[BatchEvent]:
    if isinstance(events, AsyncIterable):
        async for event in events:
            yield event
    else:
        for event in events:
            yield event


async def _answered(
    conversation: Conversation, batch: _Batch
) -> Sequence[tuple[BatchEvent, Outcome]]:
    """Return what became of every event of a batch.

    Raises:
        ClientError: of the call as a whole; ``unanswered`` are those of which nothing is known.
    """
    outcomes: dict[int, Outcome] = {}
    waiting = list(range(len(batch.events)))
    backoff = Backoff(conversation.patience, now())
    while waiting:
        try:
            found = await _sent(conversation, [batch.written[number] for number in waiting])
        except ClientError as error:
            error.unanswered = [batch.events[number] for number in waiting]
            raise
        outcomes |= zip(waiting, found, strict=True)
        passing = {
            number: outcome
            for number in waiting
            if isinstance(outcome := outcomes[number], Refused) and outcome.is_transient
        }
        waiting = list(passing)
        if waiting:
            pause_s = backoff.pause(now(), asked_s(passing[waiting[0]]))
            if pause_s is None:
                break
            await conversation.wire.pause(pause_s)
    return [(event, outcomes[number]) for number, event in enumerate(batch.events)]


async def _sent(conversation: Conversation, written: Sequence[bytes]) -> Sequence[Outcome]:
    call = Call(
        method="POST",
        path="/events",
        body=b"[" + b",".join(written) + b"]",
        answer=list[msgspec.Raw],
    )
    results = [_outcome(bytes(raw)) for raw in await conversation.answer(call)]
    if len(results) != len(written):
        raise AnswerUnreadable(f"{len(written)} events were sent, {len(results)} answers came")
    return results


def _outcome(raw: bytes) -> Outcome:
    if isinstance(decoded(raw, _Status).status, int):
        return refusal(decoded(raw, ProblemResponse))
    return decoded(raw, AnswerResponse)

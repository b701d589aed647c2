"""Routes: events, one at a time or many."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, assert_never

import msgspec
from aiohttp import web
from msgspec import UNSET

from statekeep.controller.api import bodies, cloudevents, requests
from statekeep.controller.api.actors import standing
from statekeep.controller.api.admission import PLACE, overloaded
from statekeep.controller.api.authorization import renew
from statekeep.controller.api.batcher import MAX_BATCH, Overloaded, Process
from statekeep.controller.api.contract import NDJSON
from statekeep.controller.api.observation import note_stream
from statekeep.controller.api.problems import Problem, invalid, logged, missing, translated
from statekeep.controller.api.state import state
from statekeep.engine.errors import StoreUnavailable
from statekeep.engine.ids import ActorId, EventType, Namespace
from statekeep.engine.statechart.events import refusal
from statekeep.engine.store.events import (
    ActorMissing,
    Answer,
    Attempt,
    Busy,
    ContextRefused,
    Event,
    Failed,
    KeyReused,
    Outcome,
    SeqDiffers,
    Unhandled,
    Unstable,
)

_log = logging.getLogger(__name__)

MAX_ITEMS = 20_000
"""Events of one array: their results are held until the last one is there."""

MAX_LINE_BYTES = 2 * 1024 * 1024
"""One line of an NDJSON stream."""

MAX_DATA_BYTES = 1024 * 1024
"""One event's payload, as JSON; a page of a history holds up to a thousand of them."""

Read = Callable[[Any], bodies.BatchEvent]
"""Makes an event of an item, or raises a problem."""


async def send(request: web.Request) -> web.Response:
    """Send an event.

    Answers with where the actor then stands: act on `stateValue`. An event that no transition takes changes nothing
    and is answered with `"handled": false`; one for an actor that is done is too, with `"status": "done"`.
    """
    body = await requests.body(request, bodies.EventRequest)
    key = requests.idempotency_key(request)
    return await _submitted(request, request.match_info["id"], body, key)


async def _submitted(
    request: web.Request, actor_id: str, body: bodies.EventRequest, key: str | None
) -> web.Response:
    """Process one event, on the conditions that its headers name."""
    event = _event(
        requests.namespace(request),
        actor_id,
        body,
        key=key,
        if_seq=requests.if_match(request),
        strict=requests.is_strict(request),
    )
    try:
        outcome = await state(request).batcher.submit(event)
    except Overloaded as error:
        raise overloaded() from error
    answer = _answer(outcome)
    headers = {"ETag": f'"{answer.seq}"'}
    if isinstance(outcome, Answer) and outcome.repeated:
        headers["Idempotency-Replayed"] = "true"
    return requests.json_response(answer, headers=headers)


async def send_many(request: web.Request) -> web.StreamResponse:
    """Send many events.

    For many actors. One result each, in order: an answer, or a problem of its own, which fails no other event. A
    JSON array is answered with one, as a whole; NDJSON may have any length and is answered line by line as it
    arrives. Events for one actor keep their order. Give each event an `id` to make a retry safe.

    CloudEvents are taken too: an array of them is answered as one, a single one (structured, or with its attributes
    in `ce-` headers) as a single event is. `subject` names the actor; `source` and `id` make a retry safe. To a
    single one `If-Match` and `Prefer` mean what they mean to `POST /actors/{id}/events`.
    """
    if cloudevents.is_single(request):
        one = await cloudevents.read(request)
        return await _submitted(request, one.actor, one, requests.idempotency_key(request))
    for header, field in (("Idempotency-Key", "id"), ("If-Match", "ifSeq")):
        if header in request.headers:
            raise invalid(f"{header} cannot stand for many events: give each one its own {field}")
    if request.content_type == NDJSON:
        return await _stream(request)
    read: Read = _batch_event
    items: Sequence[Any]
    if request.content_type == cloudevents.BATCH:
        items, read = (
            requests.decode(await requests.whole_body(request), list[Any]),
            cloudevents.convert,
        )
    else:
        items = _items(await requests.json_body(request))
    if len(items) > MAX_ITEMS:
        raise invalid(f"an array has at most {MAX_ITEMS} events; {NDJSON} takes any number")
    submission = _Submission(request, read)
    results: list[Any] = []
    for start in range(0, len(items), MAX_BATCH):
        results += await submission.results(items[start : start + MAX_BATCH])
    return requests.json_response(results)


def _items(raw: bytes) -> Sequence[Any]:
    """Return the events of an array; JSON values where not all of them can be read as events."""
    try:
        events = msgspec.json.decode(raw, type=list[bodies.BatchEvent])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return requests.decode(raw, list[Any])
    for event in events:
        requests.refuse_depth([[event.data, event.context]])
    return events


async def _stream(request: web.Request) -> web.StreamResponse:
    """Answer NDJSON as it arrives, never holding more than a batch of it.

    The status has been sent by the time a later line is read: if the stream cannot be read on, or the
    database does not answer, the last line of the answer is the problem.
    """
    submission = _Submission(request, _batch_event)
    response = web.StreamResponse(headers={"Content-Type": NDJSON})
    note_stream(request)
    await response.prepare(request)
    try:
        async for lines in _lines(request):
            await renew(request)  # a stream may go on for days
            await _write(response, await submission.results(lines))
            if submission.outage is not None:
                raise submission.outage
    except ConnectionError:
        raise
    except Exception as error:
        await _write(response, [logged(error, request).document()])
    await response.write_eof()
    return response


async def _write(response: web.StreamResponse, results: Sequence[Any]) -> None:
    await response.write(b"".join(msgspec.json.encode(result) + b"\n" for result in results))


async def _lines(request: web.Request) -> AsyncIterator[list[bytes]]:
    """Yield the lines that are not blank, as they arrive, at most a batch at a time.

    An endless line becomes a bad one.
    """
    place = request[PLACE]
    rest = b""
    async for block in request.content.iter_any():
        place.hold(len(rest) + len(block))
        *complete, rest = (rest + block).split(b"\n")
        lines = [line for line in complete if line.strip()]
        for start in range(0, len(lines), MAX_BATCH):
            yield lines[start : start + MAX_BATCH]
        rest = rest[: MAX_LINE_BYTES + 1]
        place.hold(len(rest))
    if rest.strip():
        yield [rest]


class _Submission:
    """The events of one request, a batch at a time.

    One that could not be stored holds up those of its actor behind it: they would overtake it. After an
    outage nothing is taken any more.
    """

    def __init__(self, request: web.Request, read: Read) -> None:
        self._namespace = requests.namespace(request)
        self._state = state(request)
        self._read = read
        self._failed: dict[ActorId, Failed] = {}
        self.outage: StoreUnavailable | None = None

    async def results(self, items: Sequence[Any]) -> list[Any]:
        """Return one result for every item, an event, a JSON value or a line: an answer, or a problem of its own."""
        results: list[Any] = [None] * len(items)
        wanted: dict[int, Event] = {}
        for number, item in enumerate(items):
            try:
                event = self._event(item)
            except Problem as problem:
                results[number] = problem.document()
                continue
            failed = Failed(self.outage) if self.outage else self._failed.get(event.actor_id)
            if failed is None:
                wanted[number] = event
            else:
                results[number] = _item(failed)
        outcomes = await self._outcomes(list(wanted.values()))
        for (number, event), outcome in zip(wanted.items(), outcomes, strict=True):
            results[number] = _item(outcome)
            if isinstance(outcome, Failed):
                self._failed[event.actor_id] = outcome
                if isinstance(outcome.error, StoreUnavailable):
                    self.outage = outcome.error
        return results

    async def _outcomes(self, events: Sequence[Event]) -> Sequence[Outcome]:
        """Process events in a turn of the namespace; those whose machine is held wait without one."""
        done: dict[int, Outcome] = {}

        async def go_on(process: Process[Attempt]) -> dict[int, Outcome] | Busy:
            left = [number for number in range(len(events)) if number not in done]
            outcomes = await process([events[number] for number in left])
            busy = None
            for number, outcome in zip(left, outcomes, strict=True):
                if isinstance(outcome, Busy):
                    busy = outcome
                else:
                    done[number] = outcome
            return busy or done

        await self._state.waits.through(
            partial(go_on, self._attempt), partial(go_on, self._state.process)
        )
        return [done[number] for number in range(len(events))]

    async def _attempt(self, events: Sequence[Event]) -> Sequence[Attempt]:
        async with self._state.bulk.turn(self._namespace):
            return await self._state.attempt(events)

    def _event(self, item: Any) -> Event:
        body = self._read(item)
        if_seq = None if body.if_seq is UNSET else body.if_seq
        return _event(
            self._namespace, body.actor, body, key=None, if_seq=if_seq, strict=body.strict
        )


def _batch_event(item: Any) -> bodies.BatchEvent:
    if isinstance(item, bodies.BatchEvent):
        return item
    if not isinstance(item, bytes):
        return requests.convert(item, bodies.BatchEvent)
    if len(item) > MAX_LINE_BYTES:
        raise invalid(f"a line has at most {MAX_LINE_BYTES} bytes")
    return requests.decode(item, bodies.BatchEvent)


def _item(outcome: Outcome) -> Any:
    try:
        return _answer(outcome)
    except Exception as error:
        problem = translated(error)
        if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("an event of a batch failed", exc_info=error)
        return problem.document()


def _event(
    namespace: Namespace,
    actor_id: str,
    body: bodies.EventRequest,
    *,
    key: str | None,
    if_seq: int | None,
    strict: bool,
) -> Event:
    """Return the event that a body asks for."""
    if (reason := refusal(body.type)) is not None:
        raise invalid(f"type: {reason}")
    if body.id is not UNSET:
        if key not in (None, body.id):
            raise invalid(
                f"the Idempotency-Key is {key} and the event's id is {body.id}: give one of them, "
                "or both alike"
            )
        key = body.id
    data = None if body.data is UNSET else requests.encode(body.data)
    if data is not None and len(data) > MAX_DATA_BYTES:
        raise invalid(f"data: {len(data)} bytes, the limit is {MAX_DATA_BYTES}")
    context = None if body.context is UNSET else body.context
    return Event(
        namespace=namespace,
        actor_id=ActorId(actor_id),
        type=EventType(body.type),
        data=data,
        context=context,
        idempotency_key=key,
        body_digest=None
        if key is None
        else requests.digest([body.type, data and data.decode(), context]),
        if_seq=if_seq,
        strict=strict,
    )


def _answer(outcome: Outcome) -> bodies.AnswerResponse:
    """Return what an event led to, or raise what it met."""
    match outcome:
        case Answer():
            return _shown(outcome)
        case ActorMissing(actor_id):
            raise missing(f"actor {actor_id[:253]}")
        case SeqDiffers(expected, found):
            raise Problem(
                HTTPStatus.PRECONDITION_FAILED,
                "seq-differs",
                f"the actor has seq {found}, not {expected}: read it again",
                seq=found,
            )
        case Unhandled(answer):
            done = answer.configuration.done
            why = "the actor is done and takes" if done else "no transition takes"
            what = "no event any more" if done else f"the event in {answer.configuration.label}"
            raise Problem(
                HTTPStatus.CONFLICT, "unhandled", f"{why} {what}", state=answer.configuration.label
            )
        case KeyReused(key):
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                f"the key {key} belongs to an event with another body: use a new one",
            )
        case Unstable(label):
            raise Problem(
                HTTPStatus.CONFLICT,
                "unstable",
                f"the event would never come to rest in {label}; nothing was changed",
                state=label,
            )
        case ContextRefused(reason):
            raise Problem(HTTPStatus.CONFLICT, "context-refused", reason)
        case Failed(error):
            raise error
        case other:
            assert_never(other)


def _shown(answer: Answer) -> bodies.AnswerResponse:
    return bodies.AnswerResponse(
        id=answer.actor_id,
        **standing(answer.configuration),
        seq=answer.seq,
        fingerprint=answer.fingerprint,
        handled=answer.handled,
    )

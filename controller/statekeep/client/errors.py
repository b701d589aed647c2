"""What a call may end in; each class says whose move is next.

ClientError
├── Refused                 the API said no; ``code`` says why
│   ├── Invalid             400, 413, 415, 422, 431: the request is wrong; only its author can help
│   │   └── KeyReused       422: the key belongs to a call with another body; use a new one
│   ├── Unauthenticated     401: the token is not accepted, or there is none
│   ├── Forbidden           403: the caller lacks a right; whoever grants rights can help
│   ├── NotFound            404: there is no such actor, version or deployment
│   ├── Conflict            409: it cannot be done to this actor as it stands
│   │   ├── ActorExists     the id was spawned with another body
│   │   └── Unhandled       strict handling, and no transition takes the event
│   ├── CursorGone          410: the log no longer holds the change; begin anew
│   ├── SeqDiffers          412: the actor has moved on; read it again
│   └── Unavailable         408, 429, 502, 503, 504: not now; it was tried again for as long as ``Patience`` says
├── NoAnswer                nobody answered, or the answer broke off, for as long
├── AnswerUnreadable        the answer is none of this API's; is this the right URL?
└── TokenUnreadable         the token file holds no token; its owner can help

Of a call that changes something, ``Unavailable`` and ``NoAnswer`` leave it unknown whether it was done. Make the same
call again with ``key``: if it was done you get the first answer, and else it is done now.
"""

from collections.abc import Mapping, Sequence

from statekeep.controller.api.bodies import BatchEvent, ErrorResponse, ProblemResponse
from statekeep.controller.api.kinds import TYPE_BASE

TRANSIENT = frozenset({408, 429, 502, 503, 504})
"""Statuses that say nothing of the request itself: the same one may succeed a little later."""


class ClientError(Exception):
    """A call did not succeed."""

    is_transient = False
    """Whether the same call may succeed a little later."""

    key: str | None = None
    """The idempotency key of the call, where it had one."""

    unanswered: Sequence[BatchEvent] = ()
    """The events taken from the iterable that ``send_many`` was given which have no answer yet, with their keys."""


class Refused(ClientError):
    """The API said no; takes the problem (RFC 9457) that it answered with."""

    def __init__(self, problem: ProblemResponse, retry_after_s: float | None = None) -> None:
        super().__init__(problem, retry_after_s)
        self.is_transient = problem.status in TRANSIENT
        self.problem = problem
        self.retry_after_s = retry_after_s
        """How long the API asks to wait, if it says so."""

    def __str__(self) -> str:
        lines = [f"{self.detail} ({self.status} {self.code})"]
        lines += [f"  {error.pointer}: {error.detail}" for error in self.errors]
        return "\n".join(lines)

    @property
    def status(self) -> int:
        """Return the status of HTTP."""
        return self.problem.status

    @property
    def code(self) -> str:
        """Return the kind of problem, as docs/api.md lists them: ``seq-differs``."""
        return self.problem.type.removeprefix(TYPE_BASE)

    @property
    def detail(self) -> str:
        """Return what went wrong this time, for people."""
        return self.problem.detail

    @property
    def errors(self) -> Sequence[ErrorResponse]:
        """Return each thing that is wrong with a definition."""
        errors = self.problem.errors
        return errors if isinstance(errors, list) else ()


class Invalid(Refused):
    """The request is wrong."""


class KeyReused(Invalid):
    """The key belongs to a call with another body."""


class Unauthenticated(Refused):
    """There is no token, or it is not accepted."""


class Forbidden(Refused):
    """The caller lacks a right."""


class NotFound(Refused):
    """There is no such thing."""


class Conflict(Refused):
    """It cannot be done to this actor as it stands."""


class ActorExists(Conflict):
    """The id was spawned with another body."""


class Unhandled(Conflict):
    """Under strict handling: no transition takes the event, or the actor is done."""

    @property
    def state(self) -> str:
        """Return where the actor is."""
        state = self.problem.state
        return state if isinstance(state, str) else ""


class CursorGone(Refused):
    """The database no longer holds the change that the cursor names."""


class SeqDiffers(Refused):
    """The actor has moved on."""

    @property
    def seq(self) -> int:
        """Return where the actor is."""
        seq = self.problem.seq
        assert isinstance(seq, int)
        return seq


class Unavailable(Refused):
    """Not now; it was tried again for as long as ``Patience`` says."""


class NoAnswer(ClientError):
    """Nobody answered, or the answer broke off."""

    is_transient = True


class AnswerUnreadable(ClientError):
    """What answered is none of this API's answers."""


class TokenUnreadable(ClientError):
    """The token file holds no token."""


_BY_CODE: Mapping[str, type[Refused]] = {
    "actor-exists": ActorExists,
    "unhandled": Unhandled,
    "idempotency-key-reused": KeyReused,
    "seq-differs": SeqDiffers,
}

_BY_STATUS: Mapping[int, type[Refused]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: CursorGone,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    431: Invalid,
} | dict.fromkeys(TRANSIENT, Unavailable)


def refusal(problem: ProblemResponse, retry_after_s: float | None = None) -> Refused:
    """Return a problem as an error."""
    code = problem.type.removeprefix(TYPE_BASE)
    kind = _BY_CODE.get(code) or _BY_STATUS.get(problem.status, Refused)
    return kind(problem, retry_after_s)

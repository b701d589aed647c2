"""The event API for backends in Python: ``Client``, ``AsyncClient``, and what their calls take, return and raise.

Importing it loads nothing of the server but the types of its bodies. What is named here is meant for others and stays.
"""

from statekeep.client.asynchronous import AsyncClient
from statekeep.client.blocking import Client
from statekeep.client.calls import ChangeKind
from statekeep.client.delivery import Outcome
from statekeep.client.errors import (
    ActorExists,
    AnswerUnreadable,
    ClientError,
    Conflict,
    CursorGone,
    Forbidden,
    Invalid,
    KeyReused,
    NoAnswer,
    NotFound,
    Refused,
    SeqDiffers,
    TokenUnreadable,
    Unauthenticated,
    Unavailable,
    Unhandled,
)
from statekeep.client.following import Change
from statekeep.client.patience import Patience
from statekeep.controller.api.bodies import (
    ActorChangeResponse,
    ActorResponse,
    AnswerResponse,
    BatchEvent,
    DecisionResponse,
    DeploymentChangeResponse,
    LoggedResponse,
    SnapshotResponse,
)
from statekeep.controller.api.version_bodies import (
    MigrationRequest,
    PreviewRequest,
    PreviewResponse,
    VersionResponse,
)

__all__ = [
    "ActorChangeResponse",
    "ActorExists",
    "ActorResponse",
    "AnswerResponse",
    "AnswerUnreadable",
    "AsyncClient",
    "BatchEvent",
    "Change",
    "ChangeKind",
    "Client",
    "ClientError",
    "Conflict",
    "CursorGone",
    "DecisionResponse",
    "DeploymentChangeResponse",
    "Forbidden",
    "Invalid",
    "KeyReused",
    "LoggedResponse",
    "MigrationRequest",
    "NoAnswer",
    "NotFound",
    "Outcome",
    "Patience",
    "PreviewRequest",
    "PreviewResponse",
    "Refused",
    "SeqDiffers",
    "SnapshotResponse",
    "TokenUnreadable",
    "Unauthenticated",
    "Unavailable",
    "Unhandled",
    "VersionResponse",
]

"""A caller, what they ask for, and what stands against it."""

from dataclasses import dataclass
from typing import Protocol

from statekeep.engine.ids import Namespace


@dataclass(frozen=True, slots=True)
class Question:
    """May somebody do this? In the words of Kubernetes RBAC."""

    verb: str
    resource: str
    """A resource of the API group ``statekeep.io``, with its subresource: ``actors/events``."""

    namespace: Namespace
    name: str
    """Of the actor, version or deployment; empty where the request names none."""


@dataclass(frozen=True, slots=True)
class Objection:
    """Why not."""

    message: str
    """A clause that says what is missing, and nothing of what there is in the namespace."""


class Caller(Protocol):
    """Somebody who has shown who they are."""

    @property
    def namespace(self) -> Namespace | None:
        """Their own, which a path without one means; ``None``: the server's."""

    async def objection(self, question: Question) -> Objection | None:
        """Return what stands against it; ``None``: they may.

        Raises:
            StatekeepError: nobody can tell at the moment, so they may not.
        """


class Guard(Protocol):
    """Knows one kind of credentials."""

    @property
    def wanted(self) -> str:
        """What to send, as a noun: to those who sent nothing."""

    @property
    def refusal(self) -> str:
        """Why a token may be nobody's: to those who sent one."""

    async def identify(self, token: str) -> Caller | None:
        """Return whose token it is; ``None``: nobody's, or not any more.

        Raises:
            StatekeepError: nobody can tell at the moment.
        """

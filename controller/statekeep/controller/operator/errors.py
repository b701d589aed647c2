"""Every error of the operator's own; each class says whose move is next.

StatekeepError
├── ClusterUnavailable  the API server did not do what it was asked; try again
├── StatusRefused       the object has changed since it was read, or went; read it and decide again
└── OperatorEnded       the watch ended by itself; only a new process helps
"""

from statekeep.engine.errors import StatekeepError


class ClusterUnavailable(StatekeepError):
    """The API server did not answer, or refused for the moment."""


class StatusRefused(StatekeepError):
    """A status was not written, since it belongs to an object that is not there in this form any more."""


class OperatorEnded(StatekeepError):
    """A part of the operator that runs for ever has ended."""

"""Every error of the operator's own; each class says whose move is next.

StatekeepError
├── StatusRefused       the object has changed since it was read, or went; read it and decide again
└── OperatorEnded       the watch ended by itself; only a new process helps
"""

from statekeep.engine.errors import StatekeepError


class StatusRefused(StatekeepError):
    """A status was not written, since it belongs to an object that is not there in this form any more."""


class OperatorEnded(StatekeepError):
    """A part of the operator that runs for ever has ended."""

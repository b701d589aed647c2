"""Processes that end with the test process, however that ends."""

import sys
from collections.abc import Sequence

# A child that outlives its parent is killed by the kernel; the setting survives the exec.
_TIED = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
os.execv(sys.argv[1], sys.argv[1:])
"""


def tied(*command: str) -> Sequence[str]:
    """Return the command line that runs a command, named by its path, for as long as we live."""
    return [sys.executable, "-c", _TIED, *command]


def tied_statekeep(*arguments: str) -> Sequence[str]:
    """Return the command line that runs ``statekeep`` for as long as we live."""
    return tied(sys.executable, "-m", "statekeep.controller.cli.main", *arguments)

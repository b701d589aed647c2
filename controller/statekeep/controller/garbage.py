"""When Python looks for garbage: seldom, and never among what a server needs as long as it lives.

Most of what is made goes away by itself; only what refers to itself in a circle has to be looked for. By its defaults
Python looks through everything that is alive several times a second where there is much to do, for 50 to 180 ms each
time: while every request waits, or a machine that is being deployed to.
"""

import gc

YOUNG = 20_000
"""Objects more than there were after the last look, until the young ones are looked at; Python's default: 700."""


def settle() -> None:
    """Take all that there is now for what the process needs; look through the rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)

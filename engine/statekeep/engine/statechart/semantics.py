"""Which meaning this release gives to definitions."""

SEMANTICS = 1
"""Counted up with every change of the compiler or the interpreter that any definition could notice: another start,
another step, another document for a configuration. A test digests what the interpreter makes of the corpus, so that
such a change cannot be made without noticing."""

FIRST = 1
"""That of what was stored before the meaning was written down."""

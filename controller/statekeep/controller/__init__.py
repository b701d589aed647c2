"""Everything that faces outwards: the reconciler, the event API, the command line, dev mode.

Decisions are the engine's; this package gathers what they need and carries them out.
"""

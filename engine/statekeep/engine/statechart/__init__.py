"""XState v5 machine configs as finite automata: read, validate, compile, interpret.

Pure and synchronous: no clock, no I/O, no randomness. Everything that a definition does once its
guards are false and its actions do nothing is decided here; what happens *between* versions is not.
"""

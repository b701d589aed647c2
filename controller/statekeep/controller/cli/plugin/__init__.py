"""``kubectl statekeep``: one module a command, and what they share: ``kubectl`` itself, and a version as it is live.

What the event API answers is asked for by the commands of ``statekeep``, which this front lends a way to it.
"""

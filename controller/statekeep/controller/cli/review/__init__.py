"""``statekeep review``: what a pull request changes, what would come of it, and the comment that says so.

Gathered from git and from the event API, decided in ``verdict``, told in ``report``, posted by ``forge`` and its like.
"""

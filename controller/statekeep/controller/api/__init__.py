"""The event API: aiohttp in front of the store.

A handler reads a request into a value, asks the store, and shows the answer; it decides nothing.
Every error leaves as an RFC 9457 problem.
"""

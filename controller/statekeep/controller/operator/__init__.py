"""The operator: ``reconcile`` for the ``MachineVersion`` objects of a Kubernetes API server.

::

    kopf (own thread) ──watch──▶ index ──▶ queue ──▶ turn: gather ─ decide ─ act
    sweep, refresh, children ─────────────▶ queue          │
                                              status subresource, Events

kopf watches and reconnects; it stores nothing on the objects. What was seen only wakes a *turn*, which reads the
object afresh, so a turn may be lost, repeated or late without harm. The only thing ever written to an object is its
status, and only against the very ``resourceVersion`` that was read.

What decides belongs in ``statekeep.controller.reconcile``; what serves actors belongs in the API.
"""

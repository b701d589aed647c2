"""What StateKeep decides and stores, free of Kubernetes and HTTP.

The pure packages ``statechart``, ``history`` and ``routing`` take values and return values.
``store`` is the only one that knows Postgres. Nothing that faces a caller belongs here.
"""

"""StateKeep without a cluster: an embedded Postgres and a watched folder of manifests.

The same reconciler and the same API as on Kubernetes; only where manifests come from differs.
"""

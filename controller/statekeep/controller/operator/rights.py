"""What an operator may do: a Role for each of its namespaces, or a ClusterRole with the same rules."""

from collections.abc import Mapping, Sequence

RULES: Sequence[Mapping[str, Sequence[str]]] = (
    {
        "apiGroups": ["statekeep.io"],
        "resources": ["machineversions"],
        "verbs": ["get", "list", "watch"],
    },
    {
        "apiGroups": ["statekeep.io"],
        "resources": ["machineversions/status"],
        "verbs": ["patch"],
    },
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
)

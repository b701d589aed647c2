"""What can go wrong between us and the API server.

StatekeepError
└── ClusterUnavailable  the API server did not do what it was asked; try again
    └── PathUnknown     it serves nothing there; a CustomResourceDefinition is missing
"""

from statekeep.engine.errors import StatekeepError


class ClusterUnavailable(StatekeepError):
    """The API server did not answer, or refused for the moment."""


class PathUnknown(ClusterUnavailable):
    """The API server has no resource at a path."""

"""Why actors stay: a word for machines, which every front shows as it is."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a cohort stays."""

    COMPLETED = "Completed"
    """Its actors are done."""

    PATH_NOT_IN_HISTORY = "PathNotInHistory"
    """Its history does not contain the version's history path."""

    NEEDS_RESCUE = "NeedsRescue"
    """The new version does not handle an event that the cohort has lived through."""

    NOT_IN_PREVIEW = "NotInPreview"
    """The approved preview did not show this kind of move."""

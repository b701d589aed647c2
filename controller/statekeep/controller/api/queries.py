"""What stands in a URL: the parameters of paths and of queries, as values.

A parameter that is not here is refused: a misspelt filter must not match all.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from statekeep.controller.api.scalars import ActorId, Cursor, DeploymentId, Name

MAX_PAGE = 1_000
"""Items of one page."""

DEFAULT_PAGE = 100

Limit = Annotated[int, Meta(description="Items of a page at most.", ge=1, le=MAX_PAGE)]

Filter = Annotated[str, Meta(max_length=253, pattern=r"^[^\x00]*$")]


class Parameters(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """The parameters of one path, or of one query."""


class Nothing(Parameters):
    """No parameter at all."""


class OfActor(Parameters):
    """Which actor."""

    id: ActorId


class OfVersion(Parameters):
    """Which version."""

    name: Name


class OfDeployment(Parameters):
    """Which deployment."""

    id: DeploymentId


class Page(Parameters, kw_only=True):
    """Which page of a list."""

    limit: Limit = DEFAULT_PAGE
    cursor: Cursor | UnsetType = UNSET


class ActorFilter(Page, kw_only=True):
    """Which actors to list."""

    version: Annotated[Filter, Meta(description="On this version.")] | UnsetType = UNSET
    machine: Annotated[Filter, Meta(description="On any version of this machine.")] | UnsetType = (
        UNSET
    )
    state: (
        Annotated[
            str,
            Meta(
                description="In this state, given as a label, or in one inside it: `review` also "
                "matches `review.pending`.",
                max_length=4_000,
                pattern=r"^[^\x00]*$",
            ),
        ]
        | UnsetType
    ) = UNSET
    status: Annotated[Literal["active", "done"], Meta(description="Only these.")] | UnsetType = (
        UNSET
    )


class VersionFilter(Page, kw_only=True):
    """Which versions to list."""

    machine: Annotated[Filter, Meta(description="Of this machine.")] | UnsetType = UNSET


class PreviewPages(Parameters, kw_only=True):
    """Which page of each of a preview's two lists."""

    limit: Limit = DEFAULT_PAGE
    migrate_cursor: (
        Annotated[
            Cursor,
            Meta(
                description="The `nextCursor` of `migration.wouldMigrate`: that list's next page."
            ),
        ]
        | UnsetType
    ) = UNSET
    stay_cursor: (
        Annotated[
            Cursor,
            Meta(description="The `nextCursor` of `migration.wouldStay`: that list's next page."),
        ]
        | UnsetType
    ) = UNSET


CHANGE_KINDS = ("spawn", "event", "deployment", "migration")
"""What the change feed tells of."""

_ANY_KIND = "|".join(CHANGE_KINDS)


class ChangeFilter(Parameters, kw_only=True):
    """Which changes to follow, and how far."""

    after: (
        Annotated[
            str,
            Meta(
                description="Begin behind the change with this cursor, or with what is to come: `now`. Without it, "
                "with the first change there is.",
                max_length=1_000,
                pattern=r"^[A-Za-z0-9_-]*$",
            ),
        ]
        | UnsetType
    ) = UNSET
    machine: Annotated[Filter, Meta(description="Of this machine.")] | UnsetType = UNSET
    kinds: (
        Annotated[
            str,
            Meta(
                description="Only these kinds, with commas between them: of "
                + ", ".join(f"`{kind}`" for kind in CHANGE_KINDS)
                + ".",
                extra_json_schema={"pattern": rf"^({_ANY_KIND})(,({_ANY_KIND}))*$"},
            ),
        ]
        | UnsetType
    ) = UNSET
    follow: Annotated[
        bool, Meta(description="Whether to stay and wait for more when all that is there was read.")
    ] = True
    limit: (
        Annotated[
            int, Meta(description="Changes after which the answer ends.", ge=1, le=999_999_999)
        ]
        | UnsetType
    ) = UNSET


class DecisionPage(Page, kw_only=True):
    """How to list a deployment's decisions."""

    actors: Annotated[
        bool,
        Meta(description="One row for every actor instead of one for every cohort."),
    ] = False

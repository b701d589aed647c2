"""Routes: versions with their actors, previews of versions that need not exist, deployments."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC

import msgspec
from aiohttp import web
from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncConnection

from statekeep.controller.api import actors as actor_routes
from statekeep.controller.api import bodies, queries, requests, scalars, version_bodies
from statekeep.controller.api.cursors import Cursors
from statekeep.controller.api.problems import invalid, missing
from statekeep.controller.api.state import state
from statekeep.controller.conditions import approval_line
from statekeep.controller.status import migration_document, preview_counts
from statekeep.engine import finding
from statekeep.engine.errors import DefinitionInvalid
from statekeep.engine.finding import Finding
from statekeep.engine.history.fingerprint import show
from statekeep.engine.ids import ActorId, MachineName, Namespace, VersionName
from statekeep.engine.routing.decision import Migrate, Stay, state_label
from statekeep.engine.routing.evaluation import Decided
from statekeep.engine.routing.policy import (
    CompletedActors,
    MigrationPolicy,
    UnhandledEvents,
    UnseenMoves,
)
from statekeep.engine.routing.preview import Preview, summarize
from statekeep.engine.routing.replay import Walk
from statekeep.engine.routing.version import Version, in_canonical_order, read_version
from statekeep.engine.statechart.comparison import lost_events
from statekeep.engine.statechart.validation import validate
from statekeep.engine.store import (
    actors,
    audit,
    deployments,
    passengers,
    populations,
    takeover,
    versions,
)
from statekeep.engine.store.deployments import Deployment
from statekeep.engine.store.previews import compute
from statekeep.engine.store.takeover import Reading
from statekeep.engine.store.versions import StoredVersion

SIDES: Mapping[str, passengers.Outcome] = {"would_migrate": Migrate, "would_stay": Stay}
"""The two lists of a preview, and what is decided of who is in them."""


async def index(request: web.Request) -> web.Response:
    """List versions.

    With their actors by state, oldest first.
    """
    query = requests.query(request, queries.VersionFilter)
    namespace, limit = requests.namespace(request), query.limit
    held = state(request)
    cursors = await held.cursors.ready()
    after = cursors.read(namespace, query.cursor, tuple[scalars.RowId])

    async def work(connection: AsyncConnection) -> version_bodies.VersionsResponse:
        reading = Reading(held.catalogue)
        counts = await _counts(connection, namespace)
        found = await versions.find_all(
            connection,
            namespace,
            None if query.machine is UNSET else MachineName(query.machine),
            after=after[0] if after else 0,
            limit=limit + 1,
        )
        shown = [_shown(stored, counts, reading) for stored in found[:limit]]
        reading.end()
        return version_bodies.VersionsResponse(
            versions=shown,
            next_cursor=cursors.write(namespace, found[limit - 1].id)
            if len(found) > limit
            else UNSET,
        )

    return requests.json_response(await takeover.read(held.database, held.catalogue, work))


async def read(request: web.Request) -> web.Response:
    """Read a version.

    It comes with its definition; a proposed one also comes with what its deployment would do now, an applied one with
    what it did.
    """
    namespace, name = requests.namespace(request), VersionName(request.match_info["name"])
    held = state(request)

    async def work(connection: AsyncConnection) -> version_bodies.VersionResponse:
        reading = Reading(held.catalogue)
        stored = await versions.find(connection, namespace, name) if "\0" not in name else None
        if stored is None:
            raise missing(f"version {name[:253]}")
        shown = _shown(stored, await _counts(connection, namespace), reading)
        reading.end()
        shown.definition = stored.version.definition
        deployment = await deployments.find(connection, stored.id)
        if isinstance(deployment, Deployment):
            shown.migration = msgspec.convert(
                migration_document(deployment), version_bodies.MigrationResponse
            )
        if not stored.is_applied and stored.parent_id is not None:
            parent = await versions.by_id(connection, stored.parent_id)
            shown.preview = _summary(await compute(connection, stored.version, parent))
        return shown

    return requests.json_response(await takeover.read(held.database, held.catalogue, work))


Counts = dict[VersionName, list[version_bodies.StateCount]]


async def _counts(connection: AsyncConnection, namespace: Namespace) -> Counts:
    counts: Counts = {}
    for name, value, label, number in await actors.count_by_state(connection, namespace):
        row = version_bodies.StateCount(state_value=json.loads(value), state=label, actors=number)
        counts.setdefault(name, []).append(row)
    return counts


def _standing(stored: StoredVersion, reading: Reading) -> version_bodies.Standing:
    if not stored.is_applied:
        return "Proposed"
    return "Reinterpreted" if reading.differs(stored) else "Applied"


def _shown(
    stored: StoredVersion, counts: Counts, reading: Reading
) -> version_bodies.VersionResponse:
    version = stored.version
    states = counts.get(version.name, [])
    return version_bodies.VersionResponse(
        name=version.name,
        machine=stored.machine,
        standing=_standing(stored, reading),
        created_at=stored.created_at.astimezone(UTC),
        applied_at=UNSET if stored.applied_at is None else stored.applied_at.astimezone(UTC),
        parent_id=version.parent or UNSET,
        history_path=list(version.path.elements) or UNSET,
        actors=sum(row.actors for row in states),
        states=states,
    )


def _summary(preview: Preview) -> version_bodies.PreviewSummary:
    line = approval_line(preview.id)
    document = {"id": preview.id, "approve": line, **preview_counts(preview)}
    return msgspec.convert(document, version_bodies.PreviewSummary)


async def preview(request: web.Request) -> web.Response:
    """Preview a version.

    It need not exist. Computed by the function that migrates, so it is what deploying it now would do. Nothing is
    stored. `migration` lists the actors that would migrate and those that would stay, each list paged on its own.
    A page may hold fewer actors than `limit`, even none, and there be more: the last one has no `nextCursor`. With a
    cursor the answer holds the next page of its list and nothing else; the rest was in the first answer.
    """
    body = await requests.body(request, version_bodies.PreviewRequest)
    query = requests.query(request, queries.PreviewPages)
    namespace, limit = requests.namespace(request), query.limit
    shared = state(request)
    cursors = await shared.cursors.ready()
    turned = {
        side: ActorId(place[0])
        for side, cursor in (
            ("would_migrate", query.migrate_cursor),
            ("would_stay", query.stay_cursor),
        )
        if (place := cursors.read(namespace, cursor, tuple[scalars.ActorId])) is not None
    }

    async def work(connection: AsyncConnection) -> version_bodies.PreviewResponse:
        parent = await versions.find(connection, namespace, VersionName(body.parent_id))
        if parent is None or not parent.is_applied:
            raise invalid(f"parentId: version {body.parent_id} is not applied in this namespace")
        if turned:
            pages = await _pages(connection, Walk(version), parent, turned, limit)
            return version_bodies.PreviewResponse(migration=_lists(pages, cursors, namespace))
        walk = await populations.histories(connection, version, parent)
        everything = await populations.decided(connection, walk, parent)
        pages = await _pages(connection, walk, parent, dict.fromkeys(SIDES), limit)
        ancestors = await versions.lineage(connection, parent)
        lost = lost_events(version.machine, ancestors, skips=version.policy.skips)
        return _previewed(
            version,
            [*warnings, *lost],
            summarize(version, everything),
            _lists(pages, cursors, namespace),
        )

    async with shared.previews.turn(namespace):
        # A large definition takes a second, in which others want to be answered.
        version, warnings = await asyncio.to_thread(_version, body)
        return requests.json_response(await shared.database.read(work))


def _version(body: version_bodies.PreviewRequest) -> tuple[Version, Sequence[Finding]]:
    """Return the version that a body describes, and the warnings about it."""
    definition = in_canonical_order(body.definition)
    findings = validate(definition)
    if errors := finding.errors(findings):
        where = [found.under("/definition") for found in errors]
        raise invalid(str(DefinitionInvalid(where)), where)
    migration = body.migration
    version = read_version(
        VersionName(body.id),
        parent=VersionName(body.parent_id),
        path=() if body.history_path is UNSET else tuple(body.history_path),
        policy=MigrationPolicy(
            unhandled_events=UnhandledEvents(migration.unhandled_events),
            completed_actors=CompletedActors(migration.completed_actors),
            unseen_moves=UnseenMoves(migration.unseen_moves),
        ),
        definition=definition,
    )
    return version, finding.warnings(findings)


async def _pages(
    connection: AsyncConnection,
    walk: Walk,
    parent: StoredVersion,
    places: Mapping[str, ActorId | None],
    limit: int,
) -> Mapping[str, passengers.Page]:
    """Return a page of each list, the one behind its place."""
    return {
        side: await passengers.page(connection, walk, parent, SIDES[side], after=after, limit=limit)
        for side, after in places.items()
    }


def _lists(
    pages: Mapping[str, passengers.Page], cursors: Cursors, namespace: Namespace
) -> version_bodies.MigrationPreview:
    return version_bodies.MigrationPreview(
        **{
            side: version_bodies.PassengerPage(
                actors=[_passenger(actor_id, one) for actor_id, one in page.passengers],
                next_cursor=UNSET if page.last is None else cursors.write(namespace, page.last),
            )
            for side, page in pages.items()
        }
    )


def _passenger(actor_id: ActorId, one: Decided) -> version_bodies.Passenger:
    shown = version_bodies.Passenger(id=actor_id, state=state_label(one.cohort.value))
    match one.decision:
        case Migrate(move=move):
            shown.to = state_label(move.target)
        case Stay(reason, detail):
            shown.reason, shown.detail = reason, detail
    return shown


def _previewed(
    version: Version,
    warnings: Sequence[Finding],
    preview: Preview,
    migration: version_bodies.MigrationPreview,
) -> version_bodies.PreviewResponse:
    summary = _summary(preview)
    prefix_hash = version.path.prefix_hash
    return version_bodies.PreviewResponse(
        **{field: getattr(summary, field) for field in summary.__struct_fields__},
        prefix_hash=UNSET if prefix_hash is None else show(prefix_hash),
        warnings=[
            version_bodies.WarningResponse(
                code=f.code, pointer="/definition" + f.pointer, message=f.message
            )
            for f in warnings
        ],
        migration=migration,
    )


async def decisions(request: web.Request) -> web.Response:
    """Read a deployment's decisions.

    By cohort, which is all actors with one history, or actor by actor. A page may hold fewer than `limit`,
    even none, and there be more, where it met decisions that concerned nobody, or actors that were elsewhere or came
    later: the last one has no `nextCursor`.
    """
    query = requests.query(request, queries.DecisionPage)
    raw = request.match_info["id"]
    number = int(raw) if raw.isascii() and raw.isdigit() and len(raw) <= 9 else 0
    namespace, limit, shared = requests.namespace(request), query.limit, state(request)
    cursors = await shared.cursors.ready()

    async def work(connection: AsyncConnection) -> bodies.DecisionsResponse:
        found = await deployments.by_number(connection, namespace, number)
        if found is None:
            raise missing(f"deployment {raw[:20]}")
        deployment_id = found[0].id
        if query.actors:
            after = cursors.read(namespace, query.cursor, tuple[scalars.ActorId])
            return await _by_actor(connection, deployment_id, after, limit)
        place = cursors.read(namespace, query.cursor, tuple[scalars.RowId, scalars.RowId])
        page = await audit.of_deployment(
            connection, shared.catalogue, deployment_id, after=place, limit=limit
        )
        return bodies.DecisionsResponse(
            decisions=[actor_routes.decision(one, actors=count) for one, count in page.decisions],
            next_cursor=UNSET if page.last is None else cursors.write(namespace, *page.last),
        )

    async def _by_actor(
        connection: AsyncConnection, deployment_id: int, after: tuple[str, ...] | None, limit: int
    ) -> bodies.DecisionsResponse:
        found = await audit.of_deployment_by_actor(
            connection,
            shared.catalogue,
            deployment_id,
            after=ActorId(after[0]) if after else None,
            limit=limit,
        )
        shown = []
        for actor_id, one in found.decisions:
            row = actor_routes.decision(one)
            row.actor = actor_id
            shown.append(row)
        return bodies.DecisionsResponse(
            decisions=shown,
            next_cursor=UNSET if found.last is None else cursors.write(namespace, found.last),
        )

    return requests.json_response(await shared.database.read(work))

"""A turn: read the object afresh, reconcile its version, write what is new.

Whatever goes wrong, the turn is repeated later; nothing it does hurts when it is done twice.
"""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime

from statekeep.controller.conditions import actors
from statekeep.controller.kubernetes.errors import ClusterUnavailable
from statekeep.controller.manifest.errors import ManifestInvalid
from statekeep.controller.manifest.manifest import Manifest
from statekeep.controller.manifest.parse import parse
from statekeep.controller.operator.cluster import Cluster
from statekeep.controller.operator.decision import Announcement, Decision, decide, held
from statekeep.controller.operator.errors import StatusRefused
from statekeep.controller.operator.events import event_document
from statekeep.controller.operator.index import Index
from statekeep.controller.operator.metrics import Metrics
from statekeep.controller.operator.queue import Queue
from statekeep.controller.operator.quotes import with_lost_quotes
from statekeep.controller.operator.resource import Key, Resource, ready_reason
from statekeep.controller.outcome import Outcome, Tell
from statekeep.controller.reconcile import reconcile
from statekeep.controller.standing import Applied, DatabaseUnavailable, Invalid
from statekeep.engine.errors import SchemaOutdated, StatekeepError, StoreUnavailable
from statekeep.engine.ids import Namespace
from statekeep.engine.store import versions
from statekeep.engine.store.database import Database, check

RECONCILE_TIMEOUT_S = 600.0
"""Longer than any deployment; a database that swallows requests must not hold a worker for ever."""

log = logging.getLogger(__name__)


class Turns:
    """Gives every object that is due its turn."""

    def __init__(
        self,
        identity: str,
        *,
        cluster: Cluster,
        database: Database,
        index: Index,
        queue: Queue[Key],
        metrics: Metrics,
    ) -> None:
        self._identity = identity
        self._cluster = cluster
        self._database = database
        self._index = index
        self._queue = queue
        self._metrics = metrics
        self._schema_is_ours = False
        self._outages: dict[Key, tuple[int | None, str]] = {}
        """Of which generation of each object we have said that we reach no database, and why."""

    async def work(self) -> None:
        """Give turns for ever; several of these may run at once."""
        while True:
            key = await self._queue.next()
            try:
                finished = await self._turn(key)
            except StatusRefused as error:
                log.info("%s has changed meanwhile and is looked at again", key)
                self._fail(key, error)
            except StatekeepError as error:
                log.warning("%s is not finished: %s", key, error)
                self._fail(key, error)
            except Exception as error:
                # The outermost loop: one object that upsets us must not hold up the others.
                log.exception("%s is not finished", key)
                self._fail(key, error)
            else:
                if finished:
                    self._queue.done(key)
                else:
                    self._queue.retry(key)

    def _fail(self, key: Key, error: Exception) -> None:
        self._metrics.errors.labels(type(error).__name__).inc()
        self._queue.retry(key)

    async def _turn(self, key: Key) -> bool:
        """Bring one object up to date; return whether nothing is left to do for now."""
        resource = await self._cluster.find(key)
        if resource is None:
            await self._withdraw(key)
            return True
        self._note(resource)
        if resource.deleting:  # what it asks for is not wanted any more
            if (status := held(resource)) is not None:
                self._note(await self._cluster.write_status(resource, status))
                self._metrics.status_writes.inc()
            return True
        told = resource

        async def tell(outcome: Outcome) -> None:
            nonlocal told
            try:
                told, _ = await self._write(told, outcome)
            except (ClusterUnavailable, StatusRefused) as error:
                log.warning("%s is being applied, which its status does not say: %s", key, error)

        outcome = await self._outcome(resource, tell)
        if self._is_repetition(told, outcome):
            return False
        _, decision = await self._write(told, outcome)
        if isinstance(outcome.standing, DatabaseUnavailable):
            self._outages[key] = _said(resource, outcome.standing)
        return not decision.again

    async def _write(self, resource: Resource, outcome: Outcome) -> tuple[Resource, Decision]:
        """Write what is new; return the object as it is then."""
        decision = decide(resource, outcome, datetime.now(UTC))
        if decision.status is not None:
            resource = await self._cluster.write_status(resource, decision.status)
            self._metrics.status_writes.inc()
            self._note(resource)
        if decision.announcement is not None:
            await self._announce(resource, decision.announcement)
        return resource, decision

    def _is_repetition(self, resource: Resource, outcome: Outcome) -> bool:
        """Whether we have said before that we reach no database, and somebody who does has written since.

        Two operators, one of them without its database, would else write against each other for ever.
        """
        match outcome.standing:
            case DatabaseUnavailable(problem) as outage:
                is_said = self._outages.get(resource.key) == _said(resource, outage)
            case _:
                self._outages.pop(resource.key, None)
                return False
        if is_said and ready_reason(resource.status) != DatabaseUnavailable.__name__:
            log.warning(
                "%s is looked after by another operator too; ours: %s", resource.key, problem
            )
            return True
        return False

    def _note(self, resource: Resource) -> None:
        """Note what an object is now; what it changed into may be what its relatives wait for."""
        for relative in self._index.put(resource):
            self._queue.add(relative)

    async def _withdraw(self, key: Key) -> None:
        """Forget a version whose object went, unless it is in force."""
        if await self._database.transact(lambda connection: versions.withdraw(connection, *key)):
            log.info("%s went before it was applied: withdrawn", key)
            self._metrics.withdrawals.inc()
        self._outages.pop(key, None)
        for relative in self._index.remove(key):
            self._queue.add(relative)

    async def _outcome(self, resource: Resource, tell: Tell) -> Outcome:
        """Reconcile; a document that is no manifest is as invalid as a bad definition."""
        with self._metrics.reconcile_seconds.time():
            try:
                manifest = replace(parse(resource.document), approver=resource.approver)
            except ManifestInvalid as error:
                outcome = Outcome(Invalid(error.findings), None)
            else:

                async def complete(outcome: Outcome) -> None:
                    await tell(self._completed(resource, outcome))

                outcome = await self._reconcile(resource.key.namespace, manifest, complete)
        outcome = self._completed(resource, outcome)
        self._count(resource.key, outcome)
        return outcome

    def _completed(self, resource: Resource, outcome: Outcome) -> Outcome:
        """Return an outcome with what only the object, and the others beside it, can tell."""
        if outcome.machine is None:  # the parent is not stored, but may be declared
            outcome = replace(outcome, machine=self._index.machine(resource.key))
        return with_lost_quotes(outcome, resource.document)

    async def _reconcile(self, namespace: Namespace, manifest: Manifest, tell: Tell) -> Outcome:
        if not self._schema_is_ours:
            # Once it is, it stays so: a later one is as good.
            try:
                await check(self._database)
            except (StoreUnavailable, SchemaOutdated) as error:
                log.warning("the database cannot be used yet: %s", error)
                return Outcome(DatabaseUnavailable.after(error), manifest.machine)
            self._schema_is_ours = True
        async with asyncio.timeout(RECONCILE_TIMEOUT_S):
            return await reconcile(
                manifest,
                self._index.parents(namespace),
                self._database,
                roots=self._index.roots(namespace),
                tell=tell,
            )

    def _count(self, key: Key, outcome: Outcome) -> None:
        reason = type(outcome.standing).__name__
        self._metrics.reconciles.labels(reason).inc()
        if outcome.preview is None:
            return
        self._metrics.previews.inc()
        match outcome.standing:
            case Applied(deployment) if outcome.deployed and deployment is not None:
                self._metrics.deployments.inc()
                seconds = (deployment.at - deployment.started_at).total_seconds()
                self._metrics.deployment_seconds.observe(seconds)
                log.info("%s was applied: %s migrated", key, actors(deployment.migrated))

    async def _announce(self, resource: Resource, announcement: Announcement) -> None:
        """Post an Event; it is for people, and the status says the same, so it may be lost."""
        log.info("%s is %s: %s", resource.key, announcement.reason, announcement.message)
        event = event_document(resource, announcement, self._identity, datetime.now(UTC))
        try:
            await self._cluster.post_event(resource.key.namespace, event)
        except ClusterUnavailable as error:
            log.warning("the Event for %s was not posted: %s", resource.key, error)


def _said(resource: Resource, outage: DatabaseUnavailable) -> tuple[int | None, str]:
    return resource.generation, outage.problem

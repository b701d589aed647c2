"""Kubernetes Events: what ``kubectl describe`` shows of the past."""

from datetime import UTC, datetime

from statekeep.controller.manifest.schema import API_VERSION, KIND
from statekeep.controller.operator.decision import Announcement
from statekeep.controller.operator.resource import Resource
from statekeep.controller.operator.settings import COMPONENT
from statekeep.engine.json import JsonObject

MAX_INSTANCE = 128
"""Characters of a reporting instance; the API server refuses more."""


def event_document(
    resource: Resource, announcement: Announcement, identity: str, now: datetime
) -> JsonObject:
    """Return the Event that announces a change of an object."""
    moment = now.astimezone(UTC)
    to_the_second = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": "statekeep-", "namespace": resource.key.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": resource.key.name,
            "namespace": resource.key.namespace,
            "uid": resource.uid,
            "resourceVersion": resource.revision,
        },
        "type": "Warning" if announcement.is_warning else "Normal",
        "reason": announcement.reason,
        "message": announcement.message,
        "action": "Reconcile",
        "reportingComponent": COMPONENT,
        "reportingInstance": identity[:MAX_INSTANCE],
        "source": {"component": COMPONENT},
        "firstTimestamp": to_the_second,
        "lastTimestamp": to_the_second,
        "eventTime": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "count": 1,
    }

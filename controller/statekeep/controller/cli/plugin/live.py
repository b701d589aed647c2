"""A MachineVersion as it is on the cluster, as far as people are shown it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION
from statekeep.engine.ids import Namespace, PreviewId, VersionName

_LABELS = {
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "argocd.argoproj.io/instance": "Argo CD",
}
_TRACKING = "argocd.argoproj.io/tracking-id"
_MANAGERS = {
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
    "argocd-controller": "Argo CD",
}


@dataclass(frozen=True, slots=True)
class Live:
    """One object at one moment."""

    namespace: Namespace
    name: VersionName
    revision: str
    is_current: bool
    """Whether the status speaks of the spec as it is now."""

    machine: str
    parent: str
    reason: str
    """Of ``Ready``: where the version stands; empty while nobody has looked."""

    message: str
    approved: str | None
    """What the annotation names."""

    validity: str
    """The message of ``Valid``, which counts the warnings."""

    errors: Sequence[Any]
    warnings: Sequence[Any]
    preview: Any | None
    """As the status has it; its id is there, and its lists may be missing."""

    migration: Any | None
    gitops: str | None
    """What applies the object from git, if that can be seen."""

    @property
    def finding(self) -> str:
        """Return the message without the annotation, which is shown apart."""
        return self.message.partition("; to approve, ")[0]

    @property
    def preview_id(self) -> PreviewId | None:
        """Return what an approval has to name."""
        return None if self.preview is None else PreviewId(self.preview["id"])


def read_live(value: Any) -> Live:
    """Return the object that ``kubectl get`` printed."""
    metadata, spec, status = value["metadata"], value["spec"], value.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions", ())}
    ready = conditions.get("Ready", {"reason": "", "message": ""})
    return Live(
        namespace=Namespace(metadata["namespace"]),
        name=VersionName(metadata["name"]),
        revision=metadata["resourceVersion"],
        is_current=status.get("observedGeneration") == metadata.get("generation"),
        machine=status.get("machine") or spec.get("machine") or "",
        parent=spec.get("parentId") or "",
        reason=ready["reason"],
        message=ready["message"],
        validity=conditions.get("Valid", {}).get("message", ""),
        approved=(metadata.get("annotations") or {}).get(APPROVE_ANNOTATION),
        errors=status.get("errors", ()),
        warnings=status.get("warnings", ()),
        preview=_preview(status.get("preview")),
        migration=status.get("migration"),
        gitops=_gitops(metadata),
    )


def _preview(preview: Any) -> Any | None:
    """Return a preview with everything in it that tables show."""
    return preview and {"moves": [], "stays": [], **preview}


def _gitops(metadata: Any) -> str | None:
    labels = metadata.get("labels") or {}
    for label, tool in _LABELS.items():
        if label in labels:
            return f"{tool}, {labels[label]}"
    tracking = (metadata.get("annotations") or {}).get(_TRACKING)
    if tracking:
        return f"Argo CD, {tracking.partition(':')[0]}"
    managers = (entry.get("manager") for entry in metadata.get("managedFields") or ())
    return next((_MANAGERS[manager] for manager in managers if manager in _MANAGERS), None)

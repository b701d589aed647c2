"""Approvals that the manifests carry before the story comes to them: they would be applied behind its back."""

from collections.abc import Collection, Iterable

from statekeep.controller.cli.calls import CallFailed
from statekeep.controller.manifest.folder import Source
from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION


def refuse_early(sources: Iterable[Source], *, applied: Collection[str] = ()) -> None:
    """Refuse to play where a version is approved that is not applied yet; say in which file, and what to do."""
    early = [
        f"{source.manifest.name} ({source.path})"
        for source in sources
        if source.manifest.approved_preview and source.manifest.name not in applied
    ]
    if early:
        raise CallFailed(
            f"an approval is there already, for {', '.join(early)}: remove the annotation {APPROVE_ANNOTATION} first "
            "(git checkout examples), since the story approves what it has shown"
        )

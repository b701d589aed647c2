"""Whoever writes versions and approves them: one new version after the other, for as long as the world turns."""

import threading
from collections.abc import Callable
from random import Random
from typing import Any

from tests.faults.definitions import MACHINES, RING, draw_spec
from tests.operator.kubernetes import Kubernetes

from statekeep.controller.manifest.manifest import APPROVE_ANNOTATION

NAMESPACE = "default"
LOOK_S = 0.05
"""Between two looks at a status."""


class Reviewer:
    """A thread that applies manifests, and approves what their status shows.

    The API server's front door may be shut to operators; this one speaks to the objects themselves.
    """

    def __init__(
        self,
        kubernetes: Kubernetes,
        chance: Random,
        wait_for_traffic: Callable[[threading.Event], None],
    ) -> None:
        """Begin.

        Args:
            kubernetes: where the objects are.
            chance: draws what versions say.
            wait_for_traffic: returns once some events have been processed, or the argument is set.
        """
        self._kubernetes, self._chance = kubernetes, chance
        self._wait_for_traffic = wait_for_traffic
        self._over = threading.Event()
        self._newest: dict[str, str] = {}
        self.approved: dict[str, set[str]] = {}
        """By version, noted before it is said."""

        self.applied = 0
        """Versions that their status calls applied."""

        self.waits_for = ""
        self._thread = threading.Thread(target=self._review, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join(60)

    def _review(self) -> None:
        for number in range(1, 1_000_000):
            for machine in MACHINES:
                if number > 1:
                    self._wait_for_traffic(self._over)
                if self._over.is_set():
                    return
                self._bring(machine, f"{machine}-v{number}")

    def _bring(self, machine: str, name: str) -> None:
        """Apply a version and see to it until it is in force."""
        parent = self._newest.get(machine)
        spec: dict[str, Any] = (
            {"machine": machine, "definition": RING}
            if parent is None
            else draw_spec(self._chance, parent)
        )
        self.waits_for = name
        self._apply(name, spec, {})
        while not self._over.is_set():
            reason, preview_id = self._standing(name)
            if reason == "Applied":
                self._newest[machine] = name
                self.applied += 1
                return
            if reason in ("AwaitingApproval", "PreviewChanged") and preview_id:
                if preview_id not in self.approved.setdefault(name, set()):
                    self.approved[name].add(preview_id)
                    self._apply(name, spec, {APPROVE_ANNOTATION: preview_id})
                elif reason == "PreviewChanged":
                    self._apply(name, spec, {APPROVE_ANNOTATION: preview_id})
            self._over.wait(LOOK_S)

    def _standing(self, name: str) -> tuple[str, str]:
        status = self._kubernetes.get((NAMESPACE, name))["status"]
        reasons = [one["reason"] for one in status.get("conditions", []) if one["type"] == "Ready"]
        return (reasons or [""])[0], status.get("preview", {}).get("id", "")

    def _apply(self, name: str, spec: dict[str, Any], annotations: dict[str, str]) -> None:
        metadata: dict[str, Any] = {"namespace": NAMESPACE, "name": name}
        if annotations:
            metadata["annotations"] = annotations
        self._kubernetes.apply(
            {
                "apiVersion": "statekeep.io/v1alpha1",
                "kind": "MachineVersion",
                "metadata": metadata,
                "spec": spec,
            }
        )

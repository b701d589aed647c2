"""What a backend knows that has nothing but the feed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Mirror:
    """Every actor as the lines so far leave it; a line that cannot follow the others is an error."""

    actors: dict[str, Any] = field(default_factory=dict)
    histories: dict[str, list[str]] = field(default_factory=dict)
    migrations: dict[str, list[int]] = field(default_factory=dict)
    deployments: list[int] = field(default_factory=list)
    moved: dict[int, int] = field(default_factory=dict)
    """How many actors each deployment has said that it moved."""

    cursors: list[str] = field(default_factory=list)

    def take_all(self, lines: Iterable[Any]) -> None:
        for line in lines:
            self.take(line)

    def take(self, line: Any) -> None:
        if line["kind"] == "bookmark":
            return
        assert line["cursor"] not in self.cursors[-5000:], line
        self.cursors.append(line["cursor"])
        if line["kind"] == "deployment":
            assert line["deployment"] not in self.deployments
            self.deployments.append(line["deployment"])
            self.moved[line["deployment"]] = line["migrated"]
            return
        name: str = line["actor"]
        before: Any = self.actors.get(name)
        match line["kind"]:
            case "spawn":
                assert before is None, line
                assert line["seq"] == 0
                self.histories[name], self.migrations[name] = [], []
            case "event":
                assert line["seq"] == before["seq"] + 1, (before, line)
                assert line["version"] == before["version"], (before, line)
                self.histories[name].append(line["type"])
            case "migration":
                assert line["seq"] == before["seq"], (before, line)
                assert line["fingerprint"] == before["fingerprint"]
                assert line["deployment"] == self.deployments[-1]
                here = {key: before[key] for key in ("version", "stateValue", "state")}
                assert line["before"] == here, (before, line)
                self.migrations[name].append(line["deployment"])
            case kind:
                raise AssertionError(kind)
        self.actors[name] = line

    def standings(self) -> dict[str, tuple[str, str, str, int, str]]:
        return {name: standing(line) for name, line in self.actors.items()}


def standing(actor: Any) -> tuple[str, str, str, int, str]:
    """Return what the feed and the actor itself must agree on."""
    return (
        actor["version"],
        actor["state"],
        actor["status"],
        actor["seq"],
        actor["fingerprint"],
    )

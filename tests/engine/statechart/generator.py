"""Random machine definitions with every feature of XState v5, and events worth sending to them."""

import random
from dataclasses import dataclass, field

from statekeep.engine.json import JsonObject, JsonValue

PLAIN = ["a", "b", "c", "d", "e", "idle", "review", "paid"]
WEIRD = [
    "10",
    "2",
    "007",
    "v1.2",
    "a.b",
    "back\\slash",
    "é",
    "状態",
    "x y",
    "*",
    "on",
    "constructor",
    "1.5",
    "true",
]
EVENTS = ["A", "B", "C", "a.b", "a.b.c", "order.paid", "order"]
DESCRIPTORS = [*EVENTS, "*", "a.*", "a.b.*", "order.*", "*.b", "a*", "xstate.done.state.*"]
JUNK = ["A.", ".A", "a.bc", "orderx", "toString", "a.b.c.d", "Ünknown"]
GUARDS: list[JsonValue] = ["g", {"type": "g"}, {"type": "not", "guards": ["g"]}]
EMPTY: list[JsonValue] = [{}, [], ""]
ACTIONS: list[JsonValue] = ["log", ["log", {"type": "xstate.raise", "event": {"type": "A"}}]]
DELAYS = ["1000", "LONG", "1e3", "0.5"]


@dataclass(eq=False)
class Plan:
    """A state before its transitions are written."""

    key: str
    kind: str
    parent: "Plan | None"
    children: list["Plan"] = field(default_factory=list)
    custom_id: str | None = None

    @property
    def line(self) -> list["Plan"]:
        """The state and its ancestors, root last."""
        return [self, *(self.parent.line if self.parent else [])]

    @property
    def real(self) -> list["Plan"]:
        return [child for child in self.children if child.kind != "history"]


def definition(rng: random.Random, *, size: int = 12) -> JsonObject:
    """Return a definition that is valid but for what chance makes of it: cycles of ``always``, mostly."""
    return _Writer(rng, size).machine()


def events(rng: random.Random, written: JsonObject, count: int = 30) -> list[str]:
    """Return event types that the definition mentions, and a few that it does not."""
    mentioned = sorted(_mentioned(written))
    return [
        rng.choice(mentioned) if mentioned and rng.random() < 0.85 else rng.choice(JUNK)
        for _ in range(count)
    ]


def _mentioned(written: JsonObject) -> set[str]:
    found: set[str] = set()
    pending: list[tuple[JsonValue, str]] = [(written, str(written.get("id", "(machine)")))]
    while pending:
        config, path = pending.pop()
        assert isinstance(config, dict)
        name = str(config.get("id") or path)
        on, after, states = (config.get(member) or {} for member in ("on", "after", "states"))
        assert isinstance(on, dict)
        assert isinstance(after, dict)
        assert isinstance(states, dict)
        for event in on:
            found.add(event.replace(".*", ".z").replace("*", "Z"))
        for delay in after:
            found.add(f"xstate.after.{ {'1e3': '1000'}.get(delay, delay) }.{name}")
        invoke = config.get("invoke") or []
        for number, actor in enumerate(invoke if isinstance(invoke, list) else [invoke]):
            assert isinstance(actor, dict)
            actor_id = actor.get("id", f"{number}.{name}")
            found |= {f"xstate.done.actor.{actor_id}", f"xstate.error.actor.{actor_id}"}
        pending += [(part, f"{path}.{key}") for key, part in states.items()]
    return {event for event in found if not event.startswith("xstate.done.state")}


class _Writer:
    def __init__(self, rng: random.Random, size: int) -> None:
        self.rng = rng
        self.left = rng.randint(1, size)
        self.all: list[Plan] = []
        self.always = rng.choice([0.0, 0.1, 0.3])
        self.guard = rng.choice([0.0, 0.2, 0.5])
        self.history = rng.choice([0.0, 0.3, 0.6])
        self.weird = rng.choice([0.0, 0.0, 0.5])
        self.finals = rng.choice([0.1, 0.4])
        self.parallel = rng.choice([0.1, 0.3, 0.6])

    def machine(self) -> JsonObject:
        root = Plan("", "root", None)
        root.custom_id = self.rng.choice(["m", "m", "loan", "m.v1", "(machine)"])
        self.grow(root, 0)
        return self.write(root)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def grow(self, plan: Plan, depth: int) -> None:
        rng = self.rng
        self.all.append(plan)
        if plan.parent and self.chance(0.15):
            plan.custom_id = rng.choice(["id", "x.", "node ", "é", "#"]) + str(len(self.all))
        inner = depth < 5 and self.left > 1 and self.chance(1.0 if depth == 0 else 0.5)
        if not inner:
            if plan.parent and plan.parent.kind != "parallel":
                plan.kind = "final" if self.chance(self.finals / 2) else "atomic"
            else:
                plan.kind = "atomic"
            return
        plan.kind = "parallel" if self.chance(self.parallel) else "compound"
        names = PLAIN + (WEIRD if self.chance(self.weird) else [])
        count = rng.randint(1, 4)
        self.left -= count
        for key in rng.sample(names, count):
            child = Plan(key, "", plan)
            plan.children.append(child)
            self.grow(child, depth + 1)
        if self.chance(self.finals) and plan.kind == "compound":
            self.leaf(plan, "f", "final")
        for key in ["h", "hd"]:
            if self.chance(self.history):
                self.leaf(plan, key, "history")
        rng.shuffle(plan.children)

    def leaf(self, parent: Plan, key: str, kind: str) -> None:
        child = Plan(key, kind, parent)
        parent.children.append(child)
        self.all.append(child)

    def write(self, plan: Plan) -> JsonObject:
        rng = self.rng
        config: JsonObject = {}
        if plan.custom_id and plan.custom_id != "(machine)":
            config["id"] = plan.custom_id
        if plan.kind == "history":
            return self.history_state(plan, config)
        if plan.kind in ("parallel", "final") or self.chance(0.05):
            config["type"] = plan.kind
        if plan.kind == "compound":
            first = rng.choice(plan.real).key
            config["initial"] = {"target": first} if self.chance(0.1) else first
        on: JsonObject = {}
        for event in rng.sample(DESCRIPTORS, rng.choice([0, 1, 2, 2, 3, 4])):
            on[event] = self.slot(plan)
        if on:
            config["on"] = on
        if self.chance(self.always):
            config["always"] = self.slot(plan)
        if plan.kind in ("compound", "parallel") and self.chance(0.5):
            config["onDone"] = self.slot(plan)
        if self.chance(0.1):
            config["after"] = {
                delay: self.slot(plan) for delay in rng.sample(DELAYS, rng.randint(1, 2))
            }
        if self.chance(0.1):
            actor: JsonObject = {
                "src": "work",
                "onDone": self.slot(plan),
                "onError": self.slot(plan),
            }
            if self.chance(0.5):
                actor["id"] = f"job.{len(self.all)}"
            config["invoke"] = [actor] if self.chance(0.5) else actor
        if self.chance(0.1):
            config |= {
                "tags": ["t"],
                "entry": "log",
                "exit": [{"type": "assign"}],
                "meta": {"x": 1},
            }
        if plan.children:
            config["states"] = {child.key: self.write(child) for child in plan.children}
        return config

    def history_state(self, plan: Plan, config: JsonObject) -> JsonObject:
        assert plan.parent is not None
        shallow: JsonValue = "shallow" if self.chance(0.5) else True
        depth = "deep" if plan.key == "hd" or self.chance(0.2) else shallow
        if self.chance(0.7):
            config["type"] = "history"
        config["history"] = depth
        if self.chance(0.6):
            inside = [p for p in self.all if plan.parent in p.line[1:] and p.kind != "history"]
            anywhere = [p for p in self.all if p.kind != "history"]
            target = self.rng.choice(inside if inside and self.chance(0.9) else anywhere)
            if plan.parent in target.line[1:] and self.chance(0.7):
                config["target"] = self.path(target, plan.parent)
            else:
                config["target"] = self.absolute(target)
        return config

    def slot(self, plan: Plan) -> JsonValue:
        roll = self.rng.random()
        if roll < 0.05:
            return self.rng.choice(EMPTY)
        if roll < 0.7:
            return self.transition(plan)
        return [self.transition(plan) for _ in range(self.rng.randint(1, 3))]

    def transition(self, plan: Plan) -> JsonValue:
        rng = self.rng
        target: JsonValue = self.spell(plan, rng.choice(self.all))
        parallels = [p for p in self.all if p.kind == "parallel" and len(p.real) > 1]
        if parallels and self.chance(0.15):
            regions = rng.sample(rng.choice(parallels).real, 2)
            inside = [[p for p in self.all if region in p.line] for region in regions]
            target = [self.spell(plan, rng.choice(found)) for found in inside]
        guarded = self.chance(self.guard)
        if isinstance(target, str) and not guarded and self.chance(0.4):
            return target
        written: JsonObject = {}
        if self.chance(0.9):
            written["target"] = target
        if guarded:
            written["guard"] = rng.choice(GUARDS)
        if self.chance(0.2):
            written["reenter"] = rng.choice([True, False])
        if self.chance(0.2):
            written["actions"] = rng.choice(ACTIONS)
        return written

    def spell(self, source: Plan, target: Plan) -> str:
        options = [self.absolute(target)]
        if source in target.line[1:] and not set(source.key) & set(".\\#"):
            options += ["." + self.path(target, source)] * 2
        if source.parent and source.parent in target.line[1:]:
            options += [self.path(target, source.parent)] * 2
        return self.rng.choice(options)

    def path(self, target: Plan, above: Plan) -> str:
        keys = []
        for plan in target.line:
            if plan is above:
                break
            keys.append(_escaped(plan.key))
        return ".".join(reversed(keys))

    def absolute(self, target: Plan) -> str:
        for plan in target.line:
            if plan.custom_id or plan.parent is None:
                name = plan.custom_id or "(machine)"
                rest = self.path(target, plan)
                return f"#{_escaped(name)}" + (f".{rest}" if rest else "")
        raise AssertionError


def _escaped(key: str) -> str:
    return key.replace("\\", "\\\\").replace(".", "\\.")

"""What the store holds, compared with what the model holds: each question is put to both."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection
from tests.store.conftest import World
from tests.store.model import (
    Change,
    Model,
    ModelDeployment,
    Ruling,
    answer,
    fingerprint,
    place,
)
from tests.store.test_changes import Reader

from statekeep.engine.ids import ActorId
from statekeep.engine.json import canonical
from statekeep.engine.routing.reason import Reason
from statekeep.engine.store import actors, audit, deployments, pruning, takeover, versions
from statekeep.engine.store.actors import Actor, Selection
from statekeep.engine.store.audit import Explained
from statekeep.engine.store.changes import ActorChanged, VersionDeployed
from statekeep.engine.store.counting import Uncounted
from statekeep.engine.store.deployments import AppliedBefore, Deployment, Held
from statekeep.engine.store.events import (
    ActorMissing,
    Answer,
    KeyReused,
    Outcome,
    SeqDiffers,
    Unhandled,
)
from statekeep.engine.store.keyring import context_place, event_place
from statekeep.engine.store.spawning import Spawned, Taken

PAGE = 3
"""Actors of one page: small, so that there are several."""


class Disagreement(AssertionError):
    """The store and the model say different things of one matter."""


def agree(matter: str, store: object, model: object) -> None:
    if store == model:
        return
    if isinstance(store, dict) and isinstance(model, dict):
        differing = {key for key in store.keys() | model.keys() if store.get(key) != model.get(key)}
        store, model = (
            {key: one.get(key) for key in sorted(differing, key=str)} for one in (store, model)
        )
    raise Disagreement(f"{matter}:\n  the store says {store}\n  the model says {model}")


def stands(actor: Actor) -> str:
    now = actor.configuration
    return place(now.version, now.value, actor.seq, actor.fingerprint)


def told(outcome: Outcome) -> str:
    """Return what somebody who sent an event is told, in the model's words."""
    match outcome:
        case Unhandled(said):
            return _answered(said, strict=True)
        case Answer() as said:
            return _answered(said, strict=False)
        case ActorMissing():
            return "no such actor"
        case KeyReused():
            return "key reused"
        case SeqDiffers(_, found):
            return f"seq is {found}"
        case _:
            return str(outcome)


def _answered(said: Answer, *, strict: bool) -> str:
    now = said.configuration
    where = place(now.version, now.value, said.seq, said.fingerprint)
    return answer(where, handled=said.handled, strict=strict, again=said.repeated)


def granted(outcome: Spawned | Taken | KeyReused) -> str:
    """Return what somebody who wished for an actor is told, in the model's words."""
    match outcome:
        case KeyReused():
            return "key reused"
        case Taken(actor):
            return f"taken {stands(actor)}"
        case Spawned(actor, created, repeated):
            return f"{'again' if repeated else 'new' if created else 'there'} {stands(actor)}"


def applied(outcome: object) -> object:
    """Return what a deployment did, in the model's words."""
    match outcome:
        case (Deployment() as done) | AppliedBefore(done):
            return done.migrated, done.stayed, done.needs_rescue
        case Uncounted():
            return "not counted"
        case Held(unseen):
            return "held", sorted(map(str, unseen))
        case _:
            return type(outcome).__name__


async def everybody(world: World, model: Model) -> None:
    """Compare where every actor stands, and how many are where."""
    found = await world.database.read(
        lambda connection: actors.select(
            connection, world.catalogue, Selection(world.namespace), after=None, limit=1000
        )
    )
    agree(
        "where everybody stands",
        {actor.id: stands(actor) for actor in found},
        {name: model.place(name) for name in sorted(model.actors)},
    )
    rows = await world.database.read(
        lambda connection: actors.count_by_state(connection, world.namespace)
    )
    agree(
        "how many are in each state",
        {(version, value): number for version, value, _, number in rows},
        dict(
            Counter(
                (actor.version, canonical(model.where(actor).value).decode())
                for actor in model.actors.values()
            )
        ),
    )


async def everything(world: World, model: Model, reader: Reader) -> None:
    """Compare all that there is."""
    await everybody(world, model)
    for name in model.actors:
        await _life(world, model, name)
    await _versions(world, model)
    for deployment in model.deployments.values():
        await _deployment(world, model, deployment)
    await _feed(world, model, reader)
    await _index(world)


async def _life(world: World, model: Model, name: str) -> None:
    """Compare an actor's log, payloads, context and decisions."""
    expected, actor = model.actors[name], await world.actor(name)
    log, keys = await world.log(name), world.database.keys
    agree(f"the log of {name}", [one.event_type for one in log], expected.events)
    agree(f"the numbers in the log of {name}", [e.seq for e in log], [*range(1, len(log) + 1)])
    chains = [fingerprint(expected.events[:seq]) for seq in range(1, len(log) + 1)]
    agree(f"the fingerprints in the log of {name}", [one.fingerprint for one in log], chains)
    payloads = [
        e.data and json.loads(keys.open(e.data, event_place(actor.key, e.seq))) for e in log
    ]
    agree(f"the payloads of {name}", payloads, expected.payloads)
    context = actor.context and json.loads(keys.open(actor.context, context_place(actor.key)))
    agree(f"the context of {name}", context, expected.context)
    said = [ruled(one) for one in await world.decisions(name)]
    agree(f"the decisions about {name}", said, expected.rulings)


def ruled(one: Explained) -> Ruling:
    return Ruling(
        one.version,
        one.fingerprint,
        one.events,
        one.before.value,
        one.after.value if one.after else None,
        Reason(one.reason) if one.reason else None,
        dict(one.skipped),
    )


async def _versions(world: World, model: Model) -> None:
    names = await world.database.read(versions.names)
    known = {name: is_applied for (_, name), is_applied in names.items()}
    agree("the versions", known, {name: name in model.applied for name in model.versions})
    found = await world.database.read(pruning.candidates)
    needs = {one.name: one.need for one in found}
    agree("what keeps them", needs, {name: model.need(name) for name in model.applied})


async def _deployment(world: World, model: Model, expected: ModelDeployment) -> None:
    """Compare a deployment's numbers, what it decided of whom, and of how many."""
    name = expected.version
    done = await deployment_of(world, name)
    numbers = expected.numbers if expected.counted else "not counted"
    agree(f"what the deployment of {name} did", applied(done), numbers)
    rulings = {
        actor_id: ruling
        for actor_id, actor in sorted(model.actors.items())
        for ruling in actor.rulings
        if ruling.version == name
    }
    agree(f"whom {name} concerned", await _by_actor(world, done.id), rulings)
    if expected.counted:
        page = await world.database.read(
            lambda connection: audit.of_deployment(
                connection, world.catalogue, done.id, after=None, limit=1000
            )
        )
        counted = {_shown(ruled(one)): number for one, number in page.decisions}
        agree(f"the counts of {name}", counted, dict(Counter(map(_shown, rulings.values()))))


def _shown(ruling: Ruling) -> str:
    return f"{ruling.before}→{ruling.after} {ruling.reason} {sorted(ruling.skipped.items())} {ruling.fingerprint}"


async def deployment_of(world: World, name: str) -> Deployment | Uncounted:
    [(version_id,)] = await world.rows("select id from version where name = :name", {"name": name})
    found = await world.database.read(lambda connection: deployments.find(connection, version_id))
    assert found is not None
    return found


async def _by_actor(world: World, deployment_id: int) -> dict[str, Ruling]:
    found: dict[str, Ruling] = {}
    last: ActorId | None = None
    while True:
        page = await world.database.read(
            lambda connection, last=last: audit.of_deployment_by_actor(  # type: ignore[misc]
                connection, world.catalogue, deployment_id, after=last, limit=PAGE
            )
        )
        found |= {actor_id: ruled(one) for actor_id, one in page.decisions}
        if (last := page.last) is None:
            return found


Line = tuple[str, str | None, object]


async def _feed(world: World, model: Model, reader: Reader) -> None:
    """Compare the change feed in the order of each actor, and what somebody believes who has only that."""
    await reader.look()
    lines: dict[str, list[Line]] = defaultdict(list)
    beliefs: dict[str, str] = {}
    for change in reader.seen:
        match change:
            case ActorChanged(_, _, name, event, now, seq, chain):
                beliefs[name] = place(now.version, now.value, seq, chain)
                lines[name].append((name, event, beliefs[name]))
            case VersionDeployed():
                numbers = (change.migrated, change.stayed, change.needs_rescue)
                for follower, already in lines.items():
                    already.append((change.version, follower, numbers))
                for moved, ruling in (await _by_actor(world, change.deployment_id)).items():
                    if ruling.after is not None:
                        beliefs[moved] = place(
                            change.version, ruling.after, ruling.events, ruling.fingerprint
                        )
    agree("the change feed", dict(sorted(lines.items())), _expected(model))
    if all(deployment.counted for deployment in model.deployments.values()):
        believed = {name: model.place(name) for name in sorted(model.actors)}
        agree("what followers of the feed believe", dict(sorted(beliefs.items())), believed)


def _expected(model: Model) -> Mapping[str, Sequence[Line]]:
    """Return the lines of each actor, and the deployments between them; nothing behind what is not counted."""
    lines: dict[str, list[Line]] = defaultdict(list)
    for entry in model.feed:
        match entry:
            case Change(name, event, where):
                lines[name].append((name, event, where))
            case ModelDeployment(counted=False):
                break
            case ModelDeployment(version, met) if met:
                for name, already in lines.items():
                    already.append((version, name, entry.numbers))
    return dict(sorted(lines.items()))


ASTRAY = """
select s.id, e.event_type, t.id
  from edge e join cohort s on s.id = e.cohort_id join cohort t on t.id = e.target_id
  join history h on h.id = t.history_id
 where s.version_id <> t.version_id or h.parent_id is distinct from s.history_id
    or h.event_type <> e.event_type or not t.canonical
"""
"""Edges that lead to another version, to another history, or where nobody may arrive."""


async def _index(world: World) -> None:
    agree("edges that lead astray", await world.rows(ASTRAY), [])
    await world.database.read(partial(_ask_again, world))


async def _ask_again(world: World, connection: AsyncConnection) -> None:
    """Ask the interpreter again for all that is stored, as a release with another meaning would.

    Raises:
        SemanticsDiffer: something is stored that it does not say.
    """
    for stored in await versions.find_all(connection, world.namespace):
        if stored.is_applied:
            await takeover.compare(connection, stored)


async def arrivals(world: World, names: Sequence[str]) -> None:
    """Look whether those who have just taken an event are where one may arrive."""
    query = (
        "select a.id from actor a join cohort c on c.id = a.cohort_id"
        " where not c.canonical and a.id = any(cast(:names as text[])) order by 1"
    )
    rows = await world.rows(query, {"names": list(names)})
    agree("who has arrived in a retired cohort", [row.id for row in rows], [])


async def secrets(world: World, model: Model) -> None:
    """Compare every context and payload, opened with the keys that the process has."""
    for name in model.actors:
        await _life(world, model, name)

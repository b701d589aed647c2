"""What can happen to versions and to the store as a whole, as rules beside those of ``tests/store/life.py``."""

import hashlib
import itertools
from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from tests.conftest import KEYS
from tests.store import agreement
from tests.store.agreement import agree, applied
from tests.store.life import Life
from tests.store.model import Kind, Model, ModelDeployment
from tests.store.sent import Sent
from tests.store.strategies import CHANGES, CHARTS, PATHS, POLICIES, Chart
from tests.store.test_counting import Died, dying

from statekeep.engine.ids import PreviewId, VersionName
from statekeep.engine.routing.reason import Reason
from statekeep.engine.store import collection, deployments, pruning, versions
from statekeep.engine.store.keyring import KeyRing
from statekeep.engine.store.rebuilding import rebuild
from statekeep.engine.store.rotation import Progress, census, rotate

NOW = "now"
"""The preview of this moment, instead of an earlier one's id."""

LEFT = """
select c.id, v.machine_id from cohort c join version v on v.id = c.version_id
 where c.canonical
   and not exists (select from actor a
                    where a.cohort_id = c.id and a.id <> all(cast(:names as text[])))
"""
"""Cohorts that arrivals join and in which is nobody but these actors."""

EMPTY = "select c.id from cohort c where not exists (select from actor a where a.cohort_id = c.id)"


class Story(Life):
    """One story, of everything that can happen."""

    def __init__(self, url: str, model: Model) -> None:
        super().__init__(url, model)
        self.shown: dict[str, list[str]] = {}
        """The ids of all previews by version, also of those that were withdrawn or edited since."""

        self.keys = dict(KEYS.keys)
        """With which anything may be sealed now."""

        self.numbers = itertools.count(1)

    @property
    def waiting(self) -> list[str]:
        """Versions that can be applied: their parents are."""
        applied = self.model.applied
        family = self.model.versions.values()
        return [v.name for v in family if v.name not in applied and v.parent in applied]

    @property
    def stuck(self) -> list[str]:
        """Actors that their last deployment left behind in need of a rescue."""
        return [
            name
            for name, actor in self.model.actors.items()
            if actor.rulings and actor.rulings[-1].reason is Reason.NEEDS_RESCUE
        ]

    @property
    def withdrawable(self) -> list[str]:
        """Versions that were never applied and are nobody's parent."""
        parents = {version.parent for version in self.model.versions.values()}
        return [n for n in self.model.versions if n not in self.model.applied and n not in parents]

    def children(self, parent: str) -> st.SearchStrategy[str]:
        """Draw a name for a child: a new one, one that is gone, or one that is to be edited."""
        machine, family = parent[0], self.model.versions
        gone = [n for n in self.charts if n[0] == machine and n not in family and n[1:] != "0"]
        edited = [n for n in self.withdrawable if n != parent and family[n].parent == parent]
        return st.sampled_from([self._unused(machine), *gone, *edited])

    def proposals(self) -> st.SearchStrategy[tuple[str, str]]:
        """Draw (name, parent); the parent is mostly one that is applied."""
        parents = [*self.model.applied[::-1], *self.model.applied, *self.model.versions]
        return st.sampled_from(parents).flatmap(
            lambda parent: st.tuples(self.children(parent), st.just(parent))
        )

    # Versions come and go.

    @precondition(lambda self: "w0" not in self.model.versions)
    @rule(chart=CHARTS)
    def found(self, chart: Chart) -> None:
        """Begin a second machine, maybe where there was one before."""
        self.play(self.declared("w0", chart, None))

    @rule(
        names=st.runner().flatmap(lambda story: story.proposals()),
        change=CHANGES,
        path=PATHS,
        policy=POLICIES,
    )
    def propose(
        self, names: tuple[str, str], change: tuple[str, str], path: str, policy: str
    ) -> None:
        name, parent = names
        self.play(self.declared(name, self.charts[parent].changed(*change), parent, path, policy))

    @precondition(lambda self: self.withdrawable)
    @rule(name=st.runner().flatmap(lambda story: st.sampled_from(story.withdrawable)))
    def withdraw(self, name: str) -> None:
        self.play(self._withdraw(name))

    async def _withdraw(self, name: str) -> None:
        world = self.worlds["p"]
        gone = await world.database.transact(
            lambda connection: versions.withdraw(connection, world.namespace, VersionName(name))
        )
        agree(f"withdraw {name}", gone, model=True)
        self.model.forget(name)

    @rule(name=st.runner().flatmap(lambda story: st.sampled_from(story.model.applied)))
    def prune(self, name: str) -> None:
        """Delete an applied version, which happens if nothing needs it."""
        self.play(self._prune(name))

    async def _prune(self, name: str) -> None:
        database, need = self.worlds["q"].database, self.model.need(name)
        found = await database.read(pruning.candidates)
        [candidate] = [one for one in found if one.name == name]
        agree(f"what keeps {name}", candidate.need, need)
        agree(f"prune {name}", await pruning.prune(database, candidate), need is None)
        if need is None:
            self.model.forget(name)

    # They are shown and applied.

    @precondition(lambda self: self.waiting)
    @rule(
        process=st.sampled_from("pq"),
        name=st.runner().flatmap(lambda story: st.sampled_from(story.waiting)),
    )
    def preview(self, process: str, name: str) -> None:
        self.play(self._preview(process, name))

    async def _preview(self, process: str, name: str) -> str:
        shown, expected = await self.worlds[process].preview(name), self.model.kinds(name)
        rows: Counter[Kind] = Counter({Kind(move, None): count for move, count in shown.moves})
        for stay, count in shown.stays:
            rows[Kind(None, stay.reason)] += count
        agree(f"the preview of {name}", dict(rows), dict(expected))
        agree(f"how many the preview of {name} looked at", shown.evaluated, expected.total())
        self.model.versions[name].shown[shown.id] = self.model.moves(name)
        ids = self.shown.setdefault(name, [])
        if shown.id not in ids:
            ids.append(shown.id)
        return shown.id

    def approvals(self) -> st.SearchStrategy[tuple[str, str]]:
        """Draw (version, the id of a preview): mostly of one that can be applied and as it is now."""
        new = [(name, NOW) for name in self.waiting]
        old = [(name, id_) for name in self.waiting for id_ in self.shown.get(name, [])]
        other = [(name, id_) for name in self.waiting for id_ in self._foreign(name)]
        again = [(name, "anything") for name in self.model.deployments]
        kinds = [kind for kind in (new, old, old, other, again) if kind]
        return st.sampled_from(kinds).flatmap(st.sampled_from)

    def _foreign(self, name: str) -> list[str]:
        return [ids[-1] for other, ids in self.shown.items() if other != name]

    def inhabited(self) -> st.SearchStrategy[str]:
        """Draw a version, where most actors are most often."""
        return st.sampled_from([actor.version for actor in self.model.actors.values()])

    @rule(
        process=st.sampled_from("pq"),
        parent=st.runner().flatmap(lambda story: story.inhabited()),
        change=CHANGES,
        path=PATHS,
        policy=POLICIES,
        meanwhile=st.runner().flatmap(lambda story: story.new_batches(size=3)),
        around=st.runner().flatmap(lambda story: st.lists(story.plain(), max_size=3)),
    )
    def deploy(
        self,
        process: str,
        parent: str,
        change: tuple[str, str],
        path: str,
        policy: str,
        meanwhile: list[Sent],
        around: list[Sent],
    ) -> None:
        """Propose, preview and apply a version; while somebody looks at the preview, life goes on.

        What was sent before is sent again afterwards, one by one: it leads elsewhere by then.
        """
        for sent in around:
            self.send(process, [sent])
        name = self._unused(parent[0])
        self.play(self.declared(name, self.charts[parent].changed(*change), parent, path, policy))
        shown = self.play(self._preview(process, name))
        self.send(process, meanwhile)
        self.play(self._apply(process, name, shown))
        for sent in around:
            self.send(process, [sent])

    @precondition(lambda self: self.waiting or self.model.deployments)
    @rule(
        process=st.sampled_from("pq"),
        approval=st.runner().flatmap(lambda story: story.approvals()),
        is_counted=st.sampled_from([True, True, True, False]),
    )
    def apply(self, process: str, approval: tuple[str, str], is_counted: bool) -> None:
        """Apply a version as a preview showed it; who applies it may die before the actors are counted."""
        self.play(self._apply(process, *approval, is_counted=is_counted))

    async def _apply(self, process: str, name: str, shown: str, *, is_counted: bool = True) -> None:
        if shown == NOW:
            shown = await self._preview(process, name)
        known = self.model.deployments.get(name)
        moves = self.model.versions[name].shown.get(shown)
        expected: object
        if known is not None:
            known.counted = True
            is_counted, expected = True, known.numbers
        elif moves is None:
            expected = "NotShown"
        else:
            expected = self._expected(self.model.apply(name, moves, counted=is_counted))
        done = await self._outcome(process, name, shown, is_counted=is_counted)
        agree(f"apply {name}", done, expected)
        if known is None and isinstance(expected, tuple):
            await agreement.everything(self.worlds[process], self.model, self.reader)

    def _expected(self, outcome: object) -> object:
        match outcome:
            case ModelDeployment(counted=False):
                return "died"
            case ModelDeployment():
                return outcome.numbers
            case unseen:
                assert isinstance(unseen, frozenset)
                return "held", sorted(map(str, unseen))

    async def _outcome(self, process: str, name: str, shown: str, *, is_counted: bool) -> object:
        world, id_ = self.worlds[process], PreviewId(shown)
        if is_counted:
            return applied(await world.apply(name, id_))
        try:
            with dying():
                return applied(await world.apply(name, id_))
        except Died:
            return "died"

    @rule(process=st.sampled_from("pq"))
    def count_all(self, process: str) -> None:
        """Make up for the counts that were broken off."""
        uncounted = [one for one in self.model.deployments.values() if not one.counted]
        number = self.play(deployments.count_all(self.worlds[process].database))
        agree("how many counts were made up for", number, len(uncounted))
        for deployment in uncounted:
            deployment.counted = True

    @rule(changes=st.lists(CHANGES, min_size=2, max_size=3), policy=POLICIES)
    def chain(self, changes: list[tuple[str, str]], policy: str) -> None:
        """Apply the child of the child of the newest version, without anything in between."""
        for change in changes:
            parent = self.model.applied[-1]
            name = self._unused(parent[0])
            self.play(self.declared(name, self.charts[parent].changed(*change), parent, "", policy))
            self.play(self._apply("p", name, NOW))

    def _unused(self, machine: str) -> str:
        return f"{machine}{sum(name[0] == machine for name in self.charts)}"

    @precondition(lambda self: self.stuck)
    @rule(
        process=st.sampled_from("pq"),
        actor=st.runner().flatmap(lambda story: st.sampled_from(story.stuck)),
        change=CHANGES,
    )
    def rescue(self, process: str, actor: str, change: tuple[str, str]) -> None:
        """Lead somebody on who is stuck, and whoever began like them."""
        stuck = self.model.actors[actor]
        name, parent = self._unused(stuck.version[0]), stuck.version
        chart, path = self.charts[parent].changed(*change), " ".join(stuck.events)
        self.play(self.declared(name, chart, parent, path, "Skip Migrate Hold"))
        self.play(self._apply(process, name, NOW))
        agree(f"where {actor} is led", stuck.version, name)

    # Upkeep.

    @rule(process=st.sampled_from("pq"))
    def collect(self, process: str) -> None:
        """Collect cohorts; afterwards there is somebody in each."""
        world = self.worlds[process]
        self.play(collection.collect(world.database))
        agree("cohorts with nobody in them", self.play(world.rows(EMPTY)), [])

    @rule(
        process=st.sampled_from("pq"),
        among=st.runner().flatmap(
            lambda story: st.sets(st.sampled_from(list(story.model.actors)), max_size=2).map(sorted)
        ),
    )
    def collect_half(self, process: str, among: list[str]) -> None:
        """Retire cohorts, in which some have arrived just now, and die."""
        self.play(self._collect_half(process, among))

    async def _collect_half(self, process: str, among: list[str]) -> None:
        world = self.worlds[process]
        rows = await world.rows(LEFT, {"names": among})
        for machine_id in {row.machine_id for row in rows}:
            cohorts = [row.id for row in rows if row.machine_id == machine_id]
            await collection.retire(world.database, machine_id, cohorts, patient=True)

    @rule()
    def rebuild_index(self) -> None:
        rebuilt = self.play(rebuild(self.worlds["p"].database))
        agree("actors that the index had elsewhere than the log", rebuilt.misplaced, 0)

    @rule(process=st.sampled_from("pq"))
    def new_key(self, process: str) -> None:
        """One process seals under a new key already; both open what it has sealed."""
        number = next(self.numbers)
        new = f"key{number}"
        self.keys[new] = hashlib.sha256(bytes([number])).digest()
        for name, world in self.worlds.items():
            first = new if name == process else world.database.keys.sealing
            world.database.holder.ring = KeyRing({first: self.keys[first], **self.keys})

    @rule(process=st.sampled_from("pq"))
    def rotate_keys(self, process: str) -> None:
        """Seal everything under one key, and do away with the others."""
        self.play(self._rotate(self.worlds[process].database.keys.sealing))

    async def _rotate(self, key: str) -> None:
        for world in self.worlds.values():
            world.database.holder.ring = KeyRing({key: self.keys[key], **self.keys})
        database, progress = self.worlds["q"].database, Progress()
        async for _ in rotate(database, progress):
            pass
        agree("values that do not open", progress.shown, [])
        async for counted in census(database):
            found = counted
        agree("keys that are in use", {*found.contexts, *found.payloads} - {key}, set())
        for world in self.worlds.values():
            world.database.holder.ring = KeyRing({key: self.keys[key]})
        self.keys = {key: self.keys[key]}
        await agreement.secrets(self.worlds["p"], self.model)

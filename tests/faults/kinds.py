"""What goes wrong: each function does one kind of harm to a world, lets it last, mends it, and waits for recovery.

When something strikes is drawn in events, not in seconds: after so many more answers. So it means the same on a busy
machine, and a seed draws the same faults in the same order with the same force. What they hit is left to chance.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import psutil
from tests.faults import next_release
from tests.faults.clock import JUMP_S
from tests.faults.proxy import Cut
from tests.faults.world import World
from tests.operator.objects import Name

Harm = Callable[[World, Random], None]


def worker_killed(world: World, chance: Random) -> None:
    """SIGKILL to a worker of the API; its supervisor starts another one."""
    world.traffic(chance.randrange(80))
    world.until(world.workers, "a worker")
    with suppress(psutil.NoSuchProcess):
        chance.choice(world.workers()).kill()
    world.recovers()


def api_killed(world: World, chance: Random) -> None:
    """SIGKILL to the API's supervisor; the kubelet starts it again."""
    world.traffic(chance.randrange(80))
    world.api.kill()
    world.recovers()


def client_killed(world: World, chance: Random) -> None:
    """SIGKILL to a client; it comes back and asks for what it had no answer to."""
    world.traffic(chance.randrange(80))
    world.clients[chance.choice(sorted(world.clients))].kill()
    world.recovers()


def operator_killed(world: World, chance: Random) -> None:
    """SIGKILL to the operator, whatever it is at."""
    world.traffic(chance.randrange(200))
    world.operator.kill()
    world.recovers(deployments=1)


def operator_killed_before_status(world: World, chance: Random) -> None:
    """SIGKILL to the operator when a deployment is committed and the status does not say so yet."""
    struck = threading.Event()

    def loses(name: Name, status: dict[str, Any]) -> bool:
        deployed = any(one["reason"] == "Applied" for one in status["conditions"])
        if not deployed or "migration" not in status or struck.is_set():
            return False
        world.operator.kill()
        struck.set()
        return True

    world.kubernetes.lose_writes(loses)
    world.until(struck.is_set, "a deployment whose status was not written")
    world.kubernetes.lose_writes(None)
    world.recovers(deployments=1)


def two_operators(world: World, chance: Random) -> None:
    """A second operator at the same time, and one of them is killed."""
    second = world.new_operator("second")
    world.recovers(deployments=2)
    if chance.random() < 0.5:
        world.operator.kill()
        world.recovers(deployments=1)
    second.end()
    world.recovers(deployments=1)


def postgres_killed(world: World, chance: Random) -> None:
    """SIGKILL to all processes of Postgres, or to one that serves a client."""
    world.traffic(chance.randrange(150))
    chance.choice((world.postgres.kill, world.postgres.kill, world.postgres.kill_backend))()
    world.recovers(deployments=1)


def postgres_restarted(world: World, chance: Random) -> None:
    """A restart in good order: sessions are ended in the middle of what they do."""
    world.traffic(chance.randrange(150))
    world.postgres.restart()
    world.recovers(deployments=1)


def failover(world: World, chance: Random) -> None:
    """The primary is killed, and its synchronous standby takes over at another address."""
    with world.postgres.standby():
        world.recovers()
        world.traffic(chance.randrange(200))
    world.back.lead_to(world.postgres.socket)
    world.recovers(deployments=1)


def commit_cut(world: World, chance: Random) -> None:
    """Connections that end in the middle of a commit: before it arrives, after it was done, or amid."""
    for cut in chance.sample(list(Cut), len(Cut)):
        world.traffic(chance.randrange(40))
        cuts = world.back.cuts + chance.randint(1, 4)
        world.back.cut = cut
        world.until(lambda cuts=cuts: world.back.cuts >= cuts, f"a cut {cut}")  # type: ignore[misc]
        world.back.cut = None
    world.recovers()


def disk_full(world: World, chance: Random) -> None:
    """No room on the disk of Postgres, until something has failed."""
    world.traffic(chance.randrange(80))
    with world.disk.full():
        for _ in range(chance.randint(1, 20)):
            world.failing()
    world.postgres.ensure()
    world.recovers(deployments=1)


def clock_jumped(world: World, chance: Random) -> None:
    """The wall clocks of Postgres, API and operator jump forward and back by up to a day."""
    for _ in range(2):
        world.clock.set(chance.randint(-JUMP_S, JUMP_S))
        world.recovers()
        world.traffic(chance.randrange(100))
    world.recovers(deployments=1)
    world.clock.set(0)
    world.recovers()


def network_slow(world: World, chance: Random) -> None:
    """Latency on the way to the API and to Postgres, and connections that are reset."""
    for proxy in (world.front, world.back):
        proxy.latency_s = chance.uniform(0.001, 0.02)
        proxy.resets = chance.uniform(0.001, 0.01)
    world.recovers()
    world.traffic(chance.randrange(50, 150))
    for proxy in (world.front, world.back):
        proxy.latency_s = proxy.resets = 0.0
    world.recovers(deployments=1)


def network_frozen(world: World, chance: Random) -> None:
    """Nothing passes between the API and Postgres, and nobody is told, until the connections are reset."""
    world.traffic(chance.randrange(80))
    with world.back.frozen():
        world.until(world.hangs, "a call that hangs")
    world.recovers(deployments=1)


def cluster_gone(world: World, chance: Random) -> None:
    """The API server of Kubernetes cannot be reached, or answers with errors; events go on."""
    if chance.random() < 0.5:
        with world.cluster.closed():
            world.recovers()
            world.traffic(chance.randrange(100, 300))
    else:
        world.kubernetes.break_down(broken=True)
        world.recovers()
        world.traffic(chance.randrange(100, 300))
        world.kubernetes.break_down(broken=False)
    world.recovers(deployments=1)


def schema_upgraded(world: World, chance: Random) -> None:
    """A later release's change of the schema, while this release goes on."""
    world.traffic(chance.randrange(80))
    next_release.apply(world.postgres.url)
    world.recovers(deployments=1)
    next_release.take_back(world.postgres.url)
    world.recovers(deployments=1)


KINDS: dict[str, Harm] = {
    "API worker killed": worker_killed,
    "API killed": api_killed,
    "client killed": client_killed,
    "operator killed": operator_killed,
    "operator killed before the status": operator_killed_before_status,
    "two operators": two_operators,
    "Postgres killed": postgres_killed,
    "Postgres restarted": postgres_restarted,
    "Postgres failed over": failover,
    "connection cut in a commit": commit_cut,
    "disk full": disk_full,
    "clock jumped": clock_jumped,
    "network slow": network_slow,
    "network frozen": network_frozen,
    "Kubernetes gone": cluster_gone,
    "schema upgraded": schema_upgraded,
}


def impossible(world: World, kind: str) -> str:
    """Return why a kind of fault cannot be had on this machine; empty where it can."""
    return {"disk full": world.disk.problem, "clock jumped": world.clock.problem}.get(kind, "")

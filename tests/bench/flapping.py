"""`make bench ARGS="--only flapping"`: what a pass takes while a thousand nodes come and go.

Sites of three nodes with two policies each, kept by the fold. Each node is silent for 36 s of each
90 s, at its own phase, so that no site goes dark as a whole for long. Nothing that is decided is
carried out: each pass meets everything that is due, which is more than a real one does. Ratios are
to a pass of the same world in which every agent reports and nothing else happens.
"""

import dataclasses
import random
import resource
import time
from datetime import timedelta
from typing import Final

from builders import large
from builders import planning as build
from foreshore_operator import flaps
from foreshore_planner import quarantine, snapshot
from foreshore_planner.world import delta, fold
from harness import process

SITES: Final = 334
NODES: Final = 3
POLICIES: Final = 2
PERIOD: Final = 90
SILENT: Final = 36
STEP: Final = 3
PASSES: Final = 60
QUIET: Final = 20


class FlappingFleet:
    """A fleet whose nodes fall silent by a timetable, in whole seconds."""

    def __init__(self, sites: int, seed: int = 7) -> None:
        chance = random.Random(seed)
        self.time = 0
        self.seen = large.placed(large.world(sites, NODES, POLICIES, policies=POLICIES))
        self.flaps = flaps.NodeFlaps(lambda: float(self.time))
        self.phases = {
            node.name: chance.randrange(PERIOD) for node in self.seen.nodes if node.site is not None
        }
        self.silent: dict[str, int] = {}
        """Since when."""
        for node in self.seen.nodes:
            self.flaps.heard(node.name, node.site)

    def advance(self, *, flapping: bool) -> snapshot.Snapshot:
        """Let a step of time pass, and return what is seen then."""
        self.time += STEP
        now, monotonic = self.seen.now + timedelta(seconds=STEP), self.seen.monotonic + STEP
        for name, phase in self.phases.items() if flapping else ():
            if (self.time + phase) % PERIOD >= SILENT:
                self.silent.pop(name, None)
            else:
                self.silent.setdefault(name, self.time)
        for node in self.seen.nodes:
            if node.name in self.silent:
                self.flaps.fell(node.name, node.site)
            else:
                self.flaps.heard(node.name, node.site)
        self.flaps.settle()
        assert self.seen.fleet is not None
        agents = [
            agent.model_copy(update={"age_seconds": 0.5 + self._silence(agent.node)})
            for agent in self.seen.fleet.agents
        ]
        self.seen = dataclasses.replace(
            self.seen,
            now=now,
            monotonic=monotonic,
            nodes=tuple(map(self._node, self.seen.nodes)),
            replicas=tuple(pod.older(STEP) for pod in self.seen.replicas),
            fleet=build.fleet(agents, self.seen.fleet.renewals),
        )
        return self.seen

    def quarantined(self) -> int:
        """Return how many nodes nothing new goes to."""
        return sum(map(quarantine.is_quarantined, self.seen.nodes))

    def _silence(self, name: str) -> int:
        return self.time - self.silent.get(name, self.time)

    def _node(self, node: snapshot.Node) -> snapshot.Node:
        is_up, silence = node.name not in self.silent, self._silence(node.name)
        return dataclasses.replace(
            node,
            is_ready=is_up,
            silent_age=None if is_up else float(silence),
            lease_age=1.0 + silence,
            flaps=self.flaps.ages(node.name),
        )


def report(sites: int = SITES, passes: int = PASSES) -> None:
    """Let the nodes come and go, and print what the passes took."""
    fleet, world = FlappingFleet(sites), fold.KeptWorld()
    before = timed(world, None, fleet.seen)[1]
    quiet = []
    for _ in range(QUIET):
        seconds, before = timed(world, before, fleet.advance(flapping=False))
        quiet.append(seconds)
    process.say(f"bench: {len(fleet.phases)} nodes begin to flap")
    held, taken = resident(), []
    for _ in range(passes):
        seconds, before = timed(world, before, fleet.advance(flapping=True))
        taken.append(seconds)
    usual, ordered = sorted(quiet)[len(quiet) // 2], sorted(taken)
    middle, late = ordered[len(ordered) // 2], ordered[int(0.99 * len(ordered))]
    print(
        f"{len(fleet.phases)} nodes that flap, {sites * POLICIES} placements, {passes} passes"
        f" {STEP} s apart:"
    )
    print(f"  a quiet pass {usual * 1000:.0f} ms; of one that meets flaps, processor time:")
    for words, seconds in (("p50", middle), ("p99", late), ("max", ordered[-1])):
        print(f"    {words} {seconds * 1000:.0f} ms ({seconds / usual:.1f} times)")
    print(f"  {fleet.quarantined()} nodes in quarantine; memory {resident() - held:+.0f} MiB")


def timed(
    world: fold.KeptWorld, before: snapshot.Snapshot | None, seen: snapshot.Snapshot
) -> tuple[float, snapshot.Snapshot]:
    """Return the processor seconds that a pass takes, and what it saw.

    To find what changed is the mirrors' work, and not timed.
    """
    change = delta.between(before, seen)
    began = time.process_time()
    fold.fold(world, change)
    return time.process_time() - began, seen


def resident() -> float:
    """Return the most memory that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

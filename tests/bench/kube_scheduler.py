"""A real kube-scheduler on tight instances, beside the engine and the plain schedulers.

It runs as it ships, on a real API server. Nodes are objects that no kubelet keeps. A replica is a
Pod of the same requests with a required affinity to the nodes that it may use and a preferred
anti-affinity to the rest of its group; pods come one after the other, in the order of their names.
It knows no latency: once the nodes within the budget are given to it as affinity, once all nodes
that the replica's site may use, so that misses of the budget show.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy

from bench import plain_schedulers
from builders import fleets
from foreshore_planner.placement.solve import batch, problem
from harness import process
from scale import plane

SEEDS: Final = (0, 7, 14, 21)
"""One instance of each shape, at 74, 80, 85 and 90 % of the CPU."""
SECONDS: Final = 600.0
"""For an instance: on a busy machine some hundred pods take a minute or two."""
CHUNK: Final = 100
"""Pods created by one command."""
HOSTNAME: Final = "kubernetes.io/hostname"
GROUP: Final = "group"
TITLE: Final = "kube-scheduler on tight instances"


@dataclass(slots=True)
class Tally:
    """What one scheduler made of all instances."""

    replicas: int = 0
    unplaced: int = 0
    misses: int = 0
    cost: float = 0.0

    def add(self, asked: problem.PlacementProblem, chosen: problem.Integers) -> None:
        """Add an instance: the position of the candidate of every requested slot, or NOWHERE."""
        placed = chosen[chosen != problem.NOWHERE]
        self.replicas += chosen.size
        self.unplaced += chosen.size - placed.size
        self.misses += int(numpy.count_nonzero(asked.grades[placed]))
        self.cost += float(asked.costs[placed].sum())


def report(folder: Path) -> None:
    """Place, read the bindings, and print; say so where the programs cannot be had."""
    try:
        with plane.ControlPlane(folder) as control:
            control.run_scheduler()
            tallies, seconds = _measured(control)
    except process.MissingRequirementError as missing:
        print(f"{TITLE}: NOT MEASURED. {missing}")
        return
    print(f"{TITLE}: {len(SEEDS)} of up to 400 replicas, 74–90 % of the CPU asked")
    print(f"  {'':42}{'cost':>9}{'a replica':>11}{'unplaced':>10}{'over budget':>13}")
    for name, tally in tallies.items():
        mean = tally.cost / max(1, tally.replicas - tally.unplaced)
        print(f"  {name:42}{tally.cost:9.1f}{mean:11.3f}{tally.unplaced:10d}{tally.misses:13d}")
    print(
        f"  {next(iter(tallies.values())).replicas} replicas; kube-scheduler {seconds:.0f} s, ",
        end="",
    )
    print("most of it the API server's\n", flush=True)


def _measured(control: plane.ControlPlane) -> tuple[Mapping[str, Tally], float]:
    tallies: dict[str, Tally] = {}
    begun = time.monotonic()
    for seed in SEEDS:
        process.say(f"{TITLE}: seed {seed}")
        every = fleets.crowded(seed, has_hard_budgets=False)
        within = fleets.within_budget(every)
        for name, asked, chosen in (
            ("ours", within, batch.solve(within).candidates),
            ("cheapest first, in arrival order", within, plain_schedulers.cheapest(within)),
            ("most free (our model of kube's)", within, plain_schedulers.most_free(within)),
            ("kube-scheduler, the budget as affinity", within, scheduled(control, within)),
            ("kube-scheduler, the budget not known to it", every, scheduled(control, every)),
        ):
            tallies.setdefault(name, Tally()).add(asked, chosen)
    return tallies, time.monotonic() - begun


def scheduled(control: plane.ControlPlane, asked: problem.PlacementProblem) -> problem.Integers:
    """Return the candidate that kube-scheduler binds each requested slot to, or NOWHERE.

    Raises:
        HarnessError: it did not come to an end with every pod in time.
    """
    with control.namespace("tight") as namespace:
        control.apply(*(node(number, room.tolist()) for number, room in enumerate(asked.free)))
        pods = [pod(asked, slot, namespace) for slot in asked.requested.tolist()]
        for begin in range(0, len(pods), CHUNK):
            control.apply(*pods[begin : begin + CHUNK])
        seen = process.eventually(
            lambda: settled(control.get("pods", "-n", namespace)["items"], len(pods)),
            what="kube-scheduler has tried every pod",
            timeout=SECONDS,
            interval=1.0,
        )
    control.kubectl("delete", "nodes", "--all", "--wait=false")
    return bound(asked, seen)


def node(number: int, room: Sequence[int]) -> dict[str, Any]:
    """A node of this much CPU (millicores) and memory (bytes) for any number of pods."""
    cpu, memory = room
    capacity = {"cpu": f"{cpu}m", "memory": str(memory), "pods": "10000"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node_name(number), "labels": {HOSTNAME: node_name(number)}},
        "status": {"capacity": capacity, "allocatable": capacity},
    }


def pod(asked: problem.PlacementProblem, slot: int, namespace: str) -> dict[str, Any]:
    """The replica of a slot, for any of the nodes among its candidates."""
    cpu, memory = asked.demand[slot].tolist()
    candidates = asked.nodes[int(asked.starts[slot]) : int(asked.starts[slot + 1])].tolist()
    names = [node_name(number) for number in candidates] or ["nowhere"]
    labels = {GROUP: f"g{int(asked.group[slot])}"}
    on_its_nodes = {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": names}]}
    beside_its_group = {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": labels}}
    ignoring = "DuringSchedulingIgnoredDuringExecution"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod_name(slot), "namespace": namespace, "labels": labels},
        "spec": {
            "containers": [
                {
                    "name": "inference",
                    "image": "inference.invalid/none",
                    "resources": {"requests": {"cpu": f"{cpu}m", "memory": str(memory)}},
                }
            ],
            # nobody reports for these nodes, so that the API server marks each at its creation
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}],
            "affinity": {
                "nodeAffinity": {f"required{ignoring}": {"nodeSelectorTerms": [on_its_nodes]}},
                "podAntiAffinity": {
                    f"preferred{ignoring}": [{"weight": 100, "podAffinityTerm": beside_its_group}]
                },
            },
        },
    }


def settled(pods: Sequence[Mapping[str, Any]], count: int) -> dict[str, str] | None:
    """Return the node of each pod by its name, "" for none; None before every pod was tried."""
    tried = {
        seen["metadata"]["name"]: seen["spec"].get("nodeName", "")
        for seen in pods
        if seen["spec"].get("nodeName") or _is_refused(seen)
    }
    return tried if len(tried) == count else None


def _is_refused(seen: Mapping[str, Any]) -> bool:
    return any(
        condition["type"] == "PodScheduled" and condition["status"] == "False"
        for condition in seen["status"].get("conditions", ())
    )


def bound(asked: problem.PlacementProblem, seen: Mapping[str, str]) -> problem.Integers:
    """Return the position of the candidate of every requested slot, or NOWHERE.

    Raises:
        ValueError: a pod is on a node that is none of its candidates.
    """
    chosen = numpy.full(asked.requested.size, problem.NOWHERE, numpy.int64)
    for place, slot in enumerate(asked.requested.tolist()):
        if name := seen[pod_name(slot)]:
            begin, end = int(asked.starts[slot]), int(asked.starts[slot + 1])
            names = [node_name(number) for number in asked.nodes[begin:end].tolist()]
            chosen[place] = begin + names.index(name)
    return chosen


def node_name(number: int) -> str:
    """The name of a node; names are in the order of numbers."""
    return f"n{number:04d}"


def pod_name(slot: int) -> str:
    """The name of the pod of a slot; names are in the order of slots."""
    return f"r{slot:04d}"

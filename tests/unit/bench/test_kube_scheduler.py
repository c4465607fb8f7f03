"""What is asked of a real kube-scheduler, and how its bindings are read."""

from typing import Any

import numpy
import pytest

from bench import kube_scheduler, plain_schedulers
from builders import fleets
from foreshore_planner.placement.solve import problem

ASKED = fleets.crowded(0, placements=20)


def seen(slot: int, node: str | None, *, is_refused: bool = False) -> dict[str, Any]:
    """A pod as the API server shows it: bound, refused, or not tried yet."""
    refusal = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    return {
        "metadata": {"name": kube_scheduler.pod_name(slot)},
        "spec": {} if node is None else {"nodeName": node},
        "status": {"conditions": [refusal] if is_refused else []},
    }


def test_bindings_are_read_as_the_candidates_that_they_are() -> None:
    chosen = plain_schedulers.cheapest(ASKED)
    chosen[3] = problem.NOWHERE
    bindings = {
        kube_scheduler.pod_name(slot): kube_scheduler.node_name(int(ASKED.nodes[position]))
        if position != problem.NOWHERE
        else ""
        for slot, position in zip(ASKED.requested.tolist(), chosen.tolist(), strict=True)
    }
    assert kube_scheduler.bound(ASKED, bindings).tolist() == chosen.tolist()


def test_a_binding_to_a_node_that_was_not_offered_is_an_error() -> None:
    bindings = {kube_scheduler.pod_name(slot): "n9999" for slot in ASKED.requested.tolist()}
    with pytest.raises(ValueError, match="n9999"):
        kube_scheduler.bound(ASKED, bindings)


@pytest.mark.parametrize(
    ("last", "is_settled"),
    [
        (seen(1, "n0001"), True),
        (seen(1, None, is_refused=True), True),
        (seen(1, None), False),
    ],
    ids=["bound", "refused", "not tried yet"],
)
def test_the_bindings_count_once_every_pod_was_tried(
    last: dict[str, Any], *, is_settled: bool
) -> None:
    nodes = kube_scheduler.settled([seen(0, "n0000"), last], 2)
    assert (nodes is not None) is is_settled


def test_a_pod_asks_what_its_slot_asks_of_the_nodes_among_its_candidates() -> None:
    slot = len(ASKED.order) - 1
    made = kube_scheduler.pod(ASKED, slot, "tight")["spec"]
    cpu, memory = ASKED.demand[slot].tolist()
    requests = made["containers"][0]["resources"]["requests"]
    affinity = made["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    (term,) = affinity["nodeSelectorTerms"]
    span = slice(int(ASKED.starts[slot]), int(ASKED.starts[slot + 1]))
    assert requests == {"cpu": f"{cpu}m", "memory": str(memory)}
    assert term["matchExpressions"][0]["values"] == [
        kube_scheduler.node_name(number) for number in ASKED.nodes[span].tolist()
    ]


def test_a_tally_counts_cost_misses_and_what_is_left_out() -> None:
    every = fleets.crowded(0, placements=20, has_hard_budgets=False)
    over = int(numpy.flatnonzero(every.grades)[0])
    chosen = numpy.array([int(every.starts[0]), over, problem.NOWHERE])
    tally = kube_scheduler.Tally()
    tally.add(every, chosen)
    assert (tally.replicas, tally.unplaced, tally.misses) == (3, 1, 1)
    assert tally.cost == pytest.approx(every.costs[[int(every.starts[0]), over]].sum())

"""The placement engine at full size: how fast, how near the optimum, how few moves.

Beside it, in the same run and on the same instances: HiGHS (the linear program over the same
candidates, the same over pools of alike nodes, a mixed-integer program for the tight ones) and two
plain schedulers in the order of arrival. Times are processor time, since all of them use a single
thread; each of ours is the median of five.
"""

import statistics
import time
import tracemalloc
from collections.abc import Iterator
from typing import Final

import numpy

from bench import plain_schedulers
from builders import exact, fleets, repairs
from foreshore_planner.placement.solve import batch, problem

REPEATS: Final = 5
INSTANCES: Final = 3
TIGHT: Final = 60
LP_SECONDS: Final = 1800.0
MIP_SECONDS: Final = 60.0
LARGE: Final = fleets.Shape(sites=2000, region_nodes=400, placements=100_000)
EDGE_FIRST: Final = fleets.Shape(cloud_price=1.4)
"""The cloud is dearer than the edge and takes what the edge cannot: the usual policy."""
CLOUD_FIRST: Final = fleets.Shape()
"""The cloud is cheaper and full: the harder case, where a lost node makes others move."""
COLUMNS: Final = f"  {'':34}{'seconds':>9}{'cost':>11}{'unplaced':>10}{'over budget':>13}"


def report(*, is_quick: bool = False) -> None:
    """Print the tables."""
    instances = 1 if is_quick else INSTANCES
    with numpy.errstate(all="raise"):
        for seed in range(instances):
            _full_size(seed, is_quick)
        _tight(12 if is_quick else TIGHT)
        for name, shape in (("edge first", EDGE_FIRST), ("cloud first, full", CLOUD_FIRST)):
            _repairs(name, shape, 10 if is_quick else 1)
        if not is_quick:
            _large()


def _full_size(seed: int, is_quick: bool) -> None:
    """One instance: ours, exact bounds, plain schedulers."""
    asked = fleets.fleet(seed, CLOUD_FIRST)
    print(
        f"full size, seed {seed}: {CLOUD_FIRST.placements} placements, {len(asked.order)} ", end=""
    )
    print(f"replicas, {len(asked.free)} nodes, {len(asked.nodes)} candidates")
    print(COLUMNS)
    solution, seconds = _timed(asked)
    _line("ours", seconds, asked, solution.candidates)
    for name, answer in (
        ("cheapest first, in arrival order", plain_schedulers.cheapest),
        ("most free (our model of kube's)", plain_schedulers.most_free),
    ):
        begun = time.process_time()
        candidates = answer(asked)
        _line(name, time.process_time() - begun, asked, candidates)
    cost = exact.cost(asked, solution.candidates)
    _against(
        "HiGHS LP over pools of nodes",
        exact.relaxed(fleets.pooled(asked, CLOUD_FIRST), LP_SECONDS),
        cost,
        seconds,
    )
    if not is_quick:
        _against(
            "HiGHS LP, the same candidates", exact.relaxed(asked, LP_SECONDS), cost, seconds, 50
        )
    print(f"  memory beyond the problem {_memory(asked):.0f} MB   (limit 200)\n", flush=True)


def _against(
    name: str, answer: exact.ExactAnswer, cost: float, seconds: float, least: int | None = None
) -> None:
    if not answer.is_proven:
        print(f"  {name:34}{answer.seconds:9.2f}   not solved in {LP_SECONDS:g} s")
        return
    gap, ratio = 100 * (cost / answer.value - 1), answer.seconds / seconds
    limit = "" if least is None else f" (limit {least})"
    print(f"  {name:34}{answer.seconds:9.2f}{answer.value:11.1f}   ours costs ", end="")
    print(f"{gap:.2f} % more (limit 1) and is {ratio:.0f} × faster{limit}", flush=True)


def _line(
    name: str, seconds: float, asked: problem.PlacementProblem, chosen: problem.Integers
) -> None:
    placed = chosen[chosen != problem.NOWHERE]
    misses = int(numpy.count_nonzero(asked.grades[placed]))
    cost, missing = float(asked.costs[placed].sum()), chosen.size - placed.size
    print(f"  {name:34}{seconds:9.2f}{cost:11.1f}{missing:10d}{misses:13d}", flush=True)


def _tight(instances: int) -> None:
    """Small instances that fill their nodes; the exact solver is asked where something is left."""
    ours, allowed, beaten, cheapest, most_free, unproven = 0, 0, 0, 0, 0, 0
    begun, largest = time.process_time(), 0
    for seed in range(instances):
        asked = fleets.crowded(seed)
        largest = max(largest, len(asked.order))
        unplaced = batch.solve(asked).unplaced
        cheapest += int(numpy.count_nonzero(plain_schedulers.cheapest(asked) < 0))
        most_free += int(numpy.count_nonzero(plain_schedulers.most_free(asked) < 0))
        ours += unplaced
        if unplaced:
            answer = exact.fewest_unplaced(asked, MIP_SECONDS)
            allowed += int(answer.value)
            beaten += int(answer.value < unplaced)
            unproven += int(not answer.is_proven)
    print(f"tight: {instances} instances of up to {largest} replicas, 74–95 % of the CPU asked")
    print(f"  unplaced: ours {ours}, the MIP {allowed} (asked where ours is not 0; ", end="")
    print(f"{unproven} without a proof), cheapest first {cheapest}, most free {most_free}")
    print(f"  instances where the MIP places more: {beaten} (limit 0)", end="")
    print(f"   {time.process_time() - begun:.1f} s\n", flush=True)


def _repairs(name: str, shape: fleets.Shape, step: int) -> None:
    """Nodes and sites that are lost from a settled fleet, and demands that change."""
    asked = fleets.fleet(0, shape)
    settled = fleets.settled(asked, batch.solve(asked))
    print(f"repair in place, {name}:")
    nodes = range(0, len(settled.free), 2 * step)
    _losses("node", settled, ((node,) for node in nodes), 2)
    sites = range(0, shape.sites, step)
    width = shape.nodes
    _losses("site", settled, (range(at * width, (at + 1) * width) for at in sites), 12)
    ratios: list[float] = []
    for seed in range(REPEATS):
        change = repairs.changed(settled, 0.05, seed, shape)
        solution, seconds = _timed(change.asked, repeats=1)
        ratios.append(len(solution.moves) / change.fewest_moves)
        print(f"  5 % of demands changed: {len(solution.moves)} moves, at least ", end="")
        print(
            f"{change.fewest_moves} forced (by site, MIP), {len(solution.overfull)} nodes ", end=""
        )
        print(f"still too full, {1000 * seconds:.0f} ms")
    print(
        f"  moves over forced moves, median: {statistics.median(ratios):.3f} (limit 1.02)\n",
        flush=True,
    )


def _losses(
    what: str,
    settled: problem.PlacementProblem,
    losses: Iterator[tuple[int, ...] | range],
    limit: int,
) -> None:
    taken: list[float] = []
    slots = unplaced = moved = 0
    for nodes in losses:
        asked = repairs.lost(settled, nodes)
        solution, seconds = _timed(asked)
        taken.append(1000 * seconds)
        slots, unplaced = slots + asked.requested.size, unplaced + solution.unplaced
        moved += len(solution.moves)
    middle, high = numpy.percentile(taken, (50, 99)).tolist()
    print(f"  one {what} lost: p50 {middle:.2f}, p99 {high:.2f} ms (limit {limit})   ", end="")
    print(
        f"{slots} replicas, {unplaced} unplaced, {moved} others moved, n {len(taken)}", flush=True
    )


def _large() -> None:
    """The tenfold beside the full size; the two take turns, so that a busy moment meets both."""
    full = [fleets.fleet(seed, CLOUD_FIRST) for seed in range(INSTANCES)]
    asked = fleets.fleet(0, LARGE)
    taken: list[float] = []
    ratios: list[float] = []
    for _ in range(REPEATS):
        before = [_timed(instance, repeats=1)[1] for instance in full]
        solution, seconds = _timed(asked, repeats=1)
        after = [_timed(instance, repeats=1)[1] for instance in full]
        taken.append(seconds)
        ratios.append(seconds / statistics.median([*before, *after]))
    print(f"{LARGE.placements} placements on {len(asked.free)} nodes: ", end="")
    print(
        f"{statistics.median(taken):.2f} s, {statistics.median(ratios):.1f} × the full size ",
        end="",
    )
    print(f"beside it ({min(ratios):.1f}–{max(ratios):.1f}, limit 12), ", end="")
    print(
        f"{solution.unplaced} unplaced, memory beyond the problem {_memory(asked):.0f} MB",
        flush=True,
    )


def _memory(asked: problem.PlacementProblem) -> float:
    tracemalloc.start()
    batch.solve(asked)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 1e6


def _timed(
    asked: problem.PlacementProblem, repeats: int = REPEATS
) -> tuple[problem.PlacementSolution, float]:
    """Our answer, and the median of the processor seconds that it takes."""
    taken: list[float] = []
    for _ in range(repeats):
        begun = time.process_time()
        solution = batch.solve(asked)
        taken.append(time.process_time() - begun)
    return solution, statistics.median(taken)

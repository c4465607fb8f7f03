"""Exact answers to a placement problem, by HiGHS: oracles of the solver's tests and its bench.

Failure domains are left out: both oracles may do more than the product, so their answers bound it.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import highspy
import numpy

from foreshore_planner.placement.solve import problem

MISS: Final = 20.0
"""The price of a slot over its budget, beside its cost; the dearest candidate costs less than 4."""
UNPLACED: Final = 500.0
SCALE: Final = 1 << 30
"""Bytes are counted in GiB and millicores in cores, so that the numbers of a row are alike."""


@dataclass(frozen=True, slots=True)
class ExactAnswer:
    """What a solver found and what it took."""

    value: float
    """The cost of the best, or the number of unplaced slots."""
    is_proven: bool
    seconds: float
    """Processor time."""
    bound: float
    """Nothing is better than this."""


def relaxed(asked: problem.PlacementProblem, seconds: float) -> ExactAnswer:
    """Return the cost of the linear relaxation: no placement of whole slots costs less."""
    costs = asked.costs + MISS * asked.grades
    model, begun = _model(asked, costs, UNPLACED), time.process_time()
    model.setOptionValue("time_limit", seconds)
    _run(model)
    value: float = model.getInfo().objective_function_value
    proven = model.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return ExactAnswer(value, proven, time.process_time() - begun, value)


def fewest_unplaced(asked: problem.PlacementProblem, seconds: float) -> ExactAnswer:
    """Return how few slots a mixed-integer program leaves unplaced, as far as it gets."""
    return _whole(asked, numpy.zeros_like(asked.costs), 1.0, seconds)


def fewest_moves(asked: problem.PlacementProblem, nodes: Sequence[int], seconds: float) -> int:
    """Return a bound on the moves that relieve these nodes: no plan has fewer.

    Only what runs on `nodes` moves, there or to an unlimited node beyond, to no worse grade. Give
    nodes that offer
    each other room, such as those of a site.
    """
    slots = [slot for node in nodes for slot in asked.occupants.get(node, ())]
    numbers = {node: number for number, node in enumerate(nodes)}
    rows = []
    for slot in slots:
        span = slice(int(asked.starts[slot]), int(asked.starts[slot + 1]))
        home = int(asked.held[slot])
        listed, grades = asked.nodes[span], asked.grades[span]
        no_worse = listed[grades <= grades[listed == home].max()].tolist()
        allowed = {numbers.get(node, len(nodes)) for node in no_worse}
        offers = tuple(
            problem.Offer(number, number, cost=float(number != numbers[home]))
            for number in sorted(allowed)
        )
        rows.append(problem.SlotRow(f"{slot:09d}", tuple(asked.demand[slot].tolist()), offers))
    free = asked.free[list(nodes)].copy()
    for slot in slots:
        free[numbers[int(asked.held[slot])]] += asked.demand[slot]
    room = [*free.tolist(), asked.demand.sum(axis=0).tolist()]
    inner = problem.assembled(room, rows)
    return round(_whole(inner, inner.costs, UNPLACED, seconds).bound)


def cost(asked: problem.PlacementProblem, candidates: problem.Integers) -> float:
    """Return what an answer costs by the measure of `relaxed`."""
    placed = candidates[candidates != problem.NOWHERE]
    misses = int(asked.grades[placed].sum())
    missing = int(candidates.size - placed.size)
    return float(asked.costs[placed].sum()) + MISS * misses + UNPLACED * missing


def _whole(
    asked: problem.PlacementProblem, costs: problem.Costs, unplaced: float, seconds: float
) -> ExactAnswer:
    """The best placement of whole slots."""
    model, begun = _model(asked, costs, unplaced), time.process_time()
    columns = model.getNumCol()
    whole = numpy.full(columns, highspy.HighsVarType.kInteger)
    model.changeColsIntegrality(columns, numpy.arange(columns, dtype=numpy.int32), whole)
    model.setOptionValue("time_limit", seconds)
    _run(model)
    info = model.getInfo()
    proven = model.getModelStatus() == highspy.HighsModelStatus.kOptimal
    taken = time.process_time() - begun
    bound = math.ceil(info.mip_dual_bound - 1e-6)
    return ExactAnswer(round(info.objective_function_value), proven, taken, bound)


def _run(model: Any) -> None:
    """Solve it; an oracle that could not even begin must not answer nought."""
    status = model.run()
    if status == highspy.HighsStatus.kError:
        raise RuntimeError(f"HiGHS: {model.modelStatusToString(model.getModelStatus())}")


def _model(
    asked: problem.PlacementProblem, costs: problem.Costs, unplaced: float
) -> Any:  # highspy has no types
    """A column a candidate and one a slot for being nowhere; a row a slot and one a resource."""
    slots, nodes = len(asked.order), len(asked.free)
    count = len(asked.nodes)
    owner = numpy.repeat(numpy.arange(slots), numpy.diff(asked.starts))
    unit = numpy.where(asked.demand.max(axis=0, initial=1) > SCALE // 64, SCALE, 1000)
    kinds = asked.demand.shape[1]
    width = 1 + kinds
    index = numpy.empty((count, width), numpy.int32)
    value = numpy.ones((count, width))
    index[:, 0] = owner
    for kind in range(kinds):
        index[:, 1 + kind] = slots + kind * nodes + asked.nodes
        value[:, 1 + kind] = asked.demand[owner, kind] / unit[kind]
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = count + slots, slots + kinds * nodes
    lp.col_cost_ = numpy.concatenate((costs, numpy.full(slots, unplaced)))
    lp.col_lower_, lp.col_upper_ = numpy.zeros(count + slots), numpy.ones(count + slots)
    most = (numpy.maximum(asked.free, 0) / unit).T.ravel()
    lp.row_lower_ = numpy.concatenate(
        (numpy.ones(slots), numpy.full(most.size, -highspy.kHighsInf))
    )
    lp.row_upper_ = numpy.concatenate((numpy.ones(slots), most))
    matrix = lp.a_matrix_
    matrix.format_ = highspy.MatrixFormat.kColwise
    ends = numpy.concatenate(
        (numpy.arange(0, count * width, width), count * width + numpy.arange(slots + 1))
    )
    matrix.start_ = ends.astype(numpy.int32)
    matrix.index_ = numpy.concatenate((index.ravel(), numpy.arange(slots, dtype=numpy.int32)))
    matrix.value_ = numpy.concatenate((value.ravel(), numpy.ones(slots)))
    model = highspy.Highs()  # type: ignore[no-untyped-call]
    model.setOptionValue("output_flag", False)
    model.setOptionValue("threads", 1)
    if model.passModel(lp) == highspy.HighsStatus.kError:
        raise RuntimeError("HiGHS takes no such model")
    return model

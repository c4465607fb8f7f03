"""How far predictions are off: it widens them, and is said once it lasts."""

import dataclasses
from typing import Any

import pytest

from builders import planning as build
from foreshore_api import meta, node_class, v1alpha1
from foreshore_api.wire import histogram, report
from foreshore_planner import plan as planning
from foreshore_planner import pooling, priors, residuals, snapshot
from foreshore_planner.world import delta, fold

PLACE = ("hq", node_class.UNKNOWN)


def measured(stage: histogram.Stage, seconds: float, node: str | None = None) -> report.StageReport:
    return report.StageReport(
        namespace="hq",
        policy="ventilate",
        stage=stage,
        node=node,
        histogram=histogram.Histogram.of([seconds] * 100),
    )


def off_by(seen: snapshot.Snapshot, ratio: float) -> snapshot.Snapshot:
    """Stages take 40 ms together, the whole so many times that."""
    node = build.where(planning.plan(seen))["r0"]
    lines = (
        measured(histogram.Stage.NETWORK, 0.0178, node),
        measured(histogram.Stage.INFERENCE, 0.0178, node),
        measured(histogram.Stage.END_TO_END, 0.0356 * ratio),
    )
    agents = [build.agent(name, probes=build.FAST, stages=lines[:]) for name in ("edge-1",)]
    return dataclasses.replace(seen, fleet=build.fleet(agents))


def budget(made: planning.Plan) -> v1alpha1.inferenceplacement.Budget:
    (placement,) = made.placements
    assert placement.budget is not None
    return placement.budget


def shown_error(made: planning.Plan) -> tuple[str, str] | None:
    return build.condition(made, "InferencePlacement", "ventilate.hq", "ModelError")


def test_an_error_is_shown_at_once_and_said_when_it_has_lasted_for_ten_minutes() -> None:
    seen = off_by(build.settle(build.world()), 1.6)
    made = planning.plan(seen)
    error = budget(made).model_error
    assert error is not None
    assert error.percent == pytest.approx(60, abs=15)
    assert shown_error(made) is None
    seen = build.applied(seen, made)
    soon = planning.plan(build.later(seen, residuals.PERSISTS - 1))
    assert shown_error(soon) is None
    assert budget(soon).model_error == error, "it began when it began"
    late = planning.plan(build.later(seen, residuals.PERSISTS))
    assert shown_error(late) == ("True", "PredictedTooLow")
    well = off_by(build.later(seen, residuals.PERSISTS), 1.0)
    assert shown_error(planning.plan(well)) is None
    assert budget(planning.plan(well)).model_error is None


def test_what_takes_less_than_predicted_is_said_too() -> None:
    seen = off_by(build.settle(build.world()), 0.5)
    seen = build.applied(seen, planning.plan(seen))
    assert shown_error(planning.plan(build.later(seen, 700.0))) == ("True", "PredictedTooHigh")


@pytest.mark.parametrize("ratio", [0.93, 1.0, 1.08])
def test_what_is_as_predicted_is_no_news(ratio: float) -> None:
    seen = off_by(build.settle(build.world()), ratio)
    assert budget(planning.plan(seen)).model_error is None


def test_the_fold_says_it_after_ten_minutes_in_which_nothing_changed() -> None:
    world, before = fold.KeptWorld(), None
    seen = off_by(build.aged(build.settle(build.world()), 9000.0), 1.6)
    seen = build.applied(seen, planning.plan(seen))
    subject = ("InferencePlacement", ("hq", "ventilate.hq"))
    told: list[bool] = []
    for _ in range(3):
        made = fold.fold(world, delta.between(before, seen))
        assert made.wake_after is not None
        rows, _ = world.rows([subject])
        told.append(any(row.type == "ModelError" for row in rows[0][3].conditions))
        before, seen = seen, later_heard(seen, residuals.PERSISTS / 2)
    assert told == [False, False, True]


def later_heard(seen: snapshot.Snapshot, seconds: float) -> snapshot.Snapshot:
    """So much later, while nodes and agents go on as they were."""
    return dataclasses.replace(
        build.later(seen, seconds),
        nodes=tuple(dataclasses.replace(node, lease_age=1.0) for node in seen.nodes),
        replicas=tuple(pod.older(seconds) for pod in seen.replicas),
        fleet_age=0.0,
    )


def test_predictions_for_nodes_of_a_class_that_is_off_are_wider() -> None:
    """Declared 10 ms of 30 ms; at this site such nodes took three times what was predicted."""
    off = {meta.LABEL_CLASS: "off"}
    nodes = (build.edge("edge-1", labels=off), build.edge("edge-2"))
    known: dict[str, Any] = {"nodes": nodes, "policies": (build.policy(latencyBudget="30ms"),)}
    assert build.where(planning.plan(build.world(**known))) == {"r0": "edge-1"}
    wide = priors.LatencyPriors(residuals={("hq", "off"): 2.9})
    made = planning.plan(build.world(**known, priors=wide))
    assert build.where(made) == {"r0": "edge-2"}
    (rejected,) = made.placements[0].candidates.rejected
    assert rejected.reason == "LatencyBudget"
    alone = planning.plan(build.world(**{**known, "nodes": nodes[:1]}, priors=wide))
    assert budget(alone).margin == 190


def test_a_margin_narrows_nothing_and_has_an_end() -> None:
    node = build.edge("edge-1")
    for ratio, wanted in ((0.5, 1.0), (1.04, 1.0), (1.21, 1.25), (50.0, residuals.WIDEST)):
        before = priors.LatencyPriors(residuals={PLACE: ratio})
        assert residuals.margin(before, "hq", node) == pytest.approx(wanted)


def test_residuals_are_pooled_by_site_and_class() -> None:
    seen = off_by(build.settle(build.world()), 1.6)
    assert pooling.pooled(seen).residuals == {PLACE: pytest.approx(1.6, abs=0.15)}
    assert pooling.pooled(build.settle(build.world())).residuals == {}


def test_a_residual_that_nobody_observes_any_more_fades() -> None:
    life, seen = priors.HALF_LIFE, priors.LatencyPriors(residuals={PLACE: 2.0})
    memory = priors.LatencyMemory()
    for minute in range(60):
        memory = priors.remembered(memory, seen, minute * 60.0)
    last = 59 * 60.0
    off = [
        priors.recalled(memory, priors.NOTHING, last + times * life).residuals[PLACE]
        for times in (0, 1, 2)
    ]
    assert off == pytest.approx([2.0, 1.5, 1.25], abs=0.05)
    assert not priors.remembered(memory, priors.NOTHING, last + priors.FORGOTTEN).residuals

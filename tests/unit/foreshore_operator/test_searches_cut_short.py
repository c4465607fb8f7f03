"""What a pass says of the plans that it made."""

import dataclasses
import logging

import pytest

from builders import planning as build
from foreshore_operator import metrics, passes
from foreshore_planner import plan as planning
from foreshore_planner.placement import matching
from foreshore_planner.world import delta, fold


def test_a_search_that_a_bound_ended_is_counted_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen = build.world()
    made = fold.fold(fold.KeptWorld(), delta.between(None, seen))
    (plan,) = planning.plan(seen).placements
    findings = dataclasses.replace(plan.findings, cut_short=matching.ENDED)
    key = (plan.namespace, plan.name)
    figures = metrics.Metrics()
    with caplog.at_level(logging.WARNING):
        passes.note_cut_short(made, figures)
        assert caplog.messages == []
        ended = {key: dataclasses.replace(plan, findings=findings)}
        passes.note_cut_short(dataclasses.replace(made, placements=ended), figures)
    assert figures.registry.get_sample_value("foreshore_operator_searches_cut_short_total") == 1
    (message,) = caplog.messages
    assert message.startswith(f"placement {plan.namespace}/{plan.name} and 0 others")
    assert message.endswith(matching.ENDED)

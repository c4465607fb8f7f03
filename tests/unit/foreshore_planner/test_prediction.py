"""What is predicted of a placement is what a simulation of its node then measures.

Twenty placements with fixed seeds; two hundred of twenty thousand calls are a part of the bench.
"""

import numpy
import pytest

from builders import servers
from foreshore_planner import contention
from foreshore_planner.placement import load

CALLS = 1500


def off(outcomes: list[servers.Outcome]) -> tuple[list[float], list[float]]:
    return (
        sorted(abs(it.before / it.simulated - 1) for it in outcomes),
        sorted(abs(it.in_place / it.simulated - 1) for it in outcomes),
    )


def test_a_call_alone_on_a_node_takes_what_it_takes() -> None:
    stream = servers.Stream(
        "periodic",
        "lognormal",
        1.0,
        numpy.arange(10, dtype=float),
        numpy.full(10, 0.01),
    )
    (took,) = servers.called(1, [stream])
    assert took == pytest.approx([0.01] * 10)
    both = servers.called(1, [stream, stream])
    assert both[1] == pytest.approx([0.02] * 10), "two share a core"
    assert servers.called(2, [stream, stream])[1] == pytest.approx([0.01] * 10)


def test_twenty_placements_take_about_what_is_predicted() -> None:
    before, in_place = off(list(servers.placements(7, 20, CALLS)))
    assert before[int(0.8 * 20) - 1] <= 0.15, "of so few calls a p99 is uncertain by itself"
    assert in_place[int(0.9 * 20) - 1] <= 0.15


def test_a_model_that_counts_nobody_else_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "stretch", lambda *_: contention.ALONE)
    outcomes = list(servers.placements(7, 20, CALLS))
    crowded = [it for it in outcomes if it.utilisation > 0.4 and it.cores < 3]
    assert crowded
    assert all(it.before < it.simulated for it in crowded)
    before, _ = off(crowded)
    assert before[len(before) // 2] > 0.15


def test_a_model_without_queues_of_their_own_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = list(servers.placements(11, 20, CALLS))
    monkeypatch.setattr(contention, "waits", lambda *_: contention.NO_WAIT)
    without = list(servers.placements(11, 20, CALLS))
    crowded = [
        (it.before, other.before, it.simulated)
        for it, other in zip(outcomes, without, strict=True)
        if it.kind == "bursts" and it.utilisation > 0.4 and it.cores < 3
    ]
    assert crowded
    assert all(blind < 0.8 * simulated for _, blind, simulated in crowded)
    assert all(blind < before - 0.05 * simulated for before, blind, simulated in crowded)

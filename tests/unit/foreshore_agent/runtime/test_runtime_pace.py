"""Who is too slow, by a clock that the test moves."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.engine_rig import DEVICE, OCCUPIED, POLICY, Rig
from foreshore_agent.engine import effects, events
from foreshore_agent.runtime import core, pace

OTHER = events.Key("hq", "other")
BUDGET, ROW = pace.DECISION_SECONDS, pace.IN_A_ROW


class Watch:
    """A pace and its clock."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.pace = pace.DecisionPace(lambda: self.seconds)

    def decide(self, seconds: float, policy: events.Key = POLICY) -> tuple[pace.SlowPolicy, ...]:
        self.pace.start()
        self.seconds += seconds
        self.pace.stop(DEVICE, policy)
        self.seconds += 1.0  # between decisions anything may happen
        return self.pace.take_slow()


def test_so_many_breaks_in_a_row_are_no_chance() -> None:
    watch = Watch()
    assert [watch.decide(2 * BUDGET) for _ in range(ROW - 1)] == [()] * (ROW - 1)
    [slow] = watch.decide(2 * BUDGET)
    assert (slow.device, slow.policy) == (DEVICE, POLICY)
    assert slow.seconds == pytest.approx(2 * BUDGET)


def test_a_decision_within_the_budget_begins_the_count_anew() -> None:
    watch = Watch()
    taken = [2 * BUDGET] * (ROW - 1) + [BUDGET / 2]
    assert not any(watch.decide(seconds) for seconds in taken * 4)


def test_a_fast_policy_does_not_pay_for_the_slow_one_beside_it() -> None:
    watch = Watch()
    found = [
        slow
        for _ in range(ROW)
        for policy, seconds in ((POLICY, BUDGET / 2), (OTHER, 2 * BUDGET))
        for slow in watch.decide(seconds, policy)
    ]
    assert [slow.policy for slow in found] == [OTHER]


def test_what_is_assigned_anew_begins_anew() -> None:
    watch = Watch()
    for _ in range(ROW - 1):
        watch.decide(2 * BUDGET)
    watch.pace.forget()
    assert watch.decide(2 * BUDGET) == ()


@given(st.lists(st.booleans(), max_size=60))
def test_it_is_told_exactly_where_the_row_is_full(breaks: list[bool]) -> None:
    watch, row = Watch(), 0
    for is_broken in breaks:
        row = row + 1 if is_broken else 0
        assert bool(watch.decide(BUDGET * (1.5 if is_broken else 0.5))) is (row == ROW)
        row %= ROW


class Bench:
    """A core with the true engine, on a processor that takes as long as the test says."""

    def __init__(self, *, is_virtual: bool = False) -> None:
        rig = Rig(is_virtual=is_virtual)
        self.taken = 0.0
        self.processor = 0.0
        self.seconds = 2000.0
        self.seen: list[effects.Effect] = []
        clock = SimpleNamespace(
            virtual=is_virtual,
            monotonic=lambda: self.seconds,
            instant=lambda: rig.at,
            identity=lambda: "0198f2c1-0000-7000-8000-000000000000",
        )
        self.rig = rig
        self.core = core.Core(
            cast("Any", clock),
            rig.state,
            cast("Any", SimpleNamespace(**{name: _Silent() for name in core.Ports.__slots__})),
            self.seen.append,
            processor_time=self._processor,
        )

    def _processor(self) -> float:
        self.processor += self.taken
        return self.processor

    def sample(self) -> None:
        self.rig.seconds += 2.0
        self.core.take(events.Sample(*self.core.stamp(), DEVICE, OCCUPIED))
        for infer in [each for each in self.seen if isinstance(each, effects.Infer)][-1:]:
            at, fresh = self.core.stamp()
            outputs = {"probabilities": (0.1, 0.1)}
            self.core.take(events.Inferred(at, fresh, infer.decision_id, POLICY, DEVICE, outputs))

    @property
    def verdicts(self) -> list[str]:
        return [effect.reason for effect in self.seen if isinstance(effect, effects.Decided)]


class _Silent:
    """A port that takes everything and does nothing."""

    has_measured = False

    def measured(self, _most: int) -> tuple[events.Sample, ...]:
        return ()

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: _Silent()

    def __call__(self, *_: Any, **__: Any) -> None:
        return None


def test_the_core_disarms_what_breaks_the_budget_again_and_again() -> None:
    bench = Bench()
    bench.taken = 2 * BUDGET
    for _ in range(ROW):
        bench.sample()
    assert "ExpressionTooSlow" in bench.verdicts
    [notice] = [each for each in bench.seen if isinstance(each, effects.Notice)]
    assert (notice.reason, notice.policy, notice.device) == ("ExpressionTooSlow", POLICY, DEVICE)


def test_the_core_lets_what_keeps_the_budget_decide() -> None:
    bench = Bench()
    bench.taken = BUDGET / 2
    for _ in range(3 * ROW):
        bench.sample()
    assert len(bench.verdicts) == 3 * ROW
    assert "ExpressionTooSlow" not in bench.verdicts


def test_a_rehearsal_disarms_nothing_because_it_repeats_itself_to_the_byte() -> None:
    bench = Bench(is_virtual=True)
    bench.taken = 2 * BUDGET
    for _ in range(3 * ROW):
        bench.sample()
    assert "ExpressionTooSlow" not in bench.verdicts

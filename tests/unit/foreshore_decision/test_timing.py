"""What admission makes of the time that expressions take."""

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from builders import room
from foreshore_api.v1alpha1 import (
    DecisionPolicy,
    DecisionPolicySpec,
    DeviceProfile,
    DeviceProfileSpec,
)
from foreshore_decision import policy

Clock = Callable[[], float]


def spec(**fields: Any) -> DecisionPolicySpec:
    return DecisionPolicy.read(room.changed(room.policy(), **fields)).spec


def profile(**fields: Any) -> DeviceProfileSpec:
    return DeviceProfile.read(room.changed(room.profile(), **fields)).spec


WHOLE = spec(
    spec__variables=[
        {"name": "early", "expression": "co2 * 2.0"},
        {"name": "late", "expression": "score + co2"},
    ],
    spec__matchConditions=[{"name": "close", "expression": "co2 > 1.0"}],
    spec__rules=[
        {
            "name": "occupied",
            "effect": "Permit",
            "expression": "late > early",
            "reason": "Occupied",
            "messageExpression": "'at ' + string(co2)",
        },
        {"name": "never", "effect": "Forbid", "expression": "co2 > 9000.0", "reason": "High"},
    ],
)
CONFIRMED = profile(
    spec__confirmation={"property": "airflow", "expression": "difference < 1.0", "timeout": "90s"}
)


def ticking(seconds: float) -> Clock:
    """A clock on which everything takes so long."""
    return itertools.count(0.0, seconds).__next__


def pausing(seconds: float) -> Clock:
    """A clock on which two evaluations of three take so long, and the third no time."""

    def readings() -> Iterator[float]:
        now = 0.0
        for at in itertools.count():
            yield now
            now += seconds if at % 6 in (0, 2) else 0.0

    return readings().__next__


def written(document: Any, path: str = "spec") -> Iterator[str]:
    """Yield the path of every expression that a policy holds, as problems name it."""
    if isinstance(document, list):
        for each in document:
            yield from written(each, f"{path}[{each['name']}]" if "name" in each else path)
    elif isinstance(document, dict):
        for name, value in document.items():
            if name.lower().endswith("expression"):
                yield f"{path}.{name}"
            elif isinstance(value, dict | list):
                yield from written(value, f"{path}.{name}")


def test_an_everyday_policy_is_within_the_budget() -> None:
    assert policy.check(WHOLE, CONFIRMED, clock=time.thread_time) == ()


def test_every_expression_of_a_policy_is_timed() -> None:
    slow = policy.check(WHOLE, CONFIRMED, clock=ticking(0.0035))
    of_policy = set(written(WHOLE.document()))
    assert len(of_policy) == 7
    assert {each.path for each in slow} == {*of_policy, "profile spec.confirmation.expression"}
    assert {each.reason.value for each in slow} == {"ExpressionTooSlow"}


def test_what_is_said_has_the_time_the_budget_and_the_remedy() -> None:
    [first, *_] = policy.check(WHOLE, CONFIRMED, clock=ticking(0.0035))
    assert "takes 3.5 ms" in first.message
    assert "2 ms is the most: use shorter lists" in first.message


def test_expressions_within_their_budget_can_break_that_of_the_policy() -> None:
    [whole] = policy.check(WHOLE, CONFIRMED, clock=ticking(0.0015))
    assert whole.reason.value == "ExpressionTooSlow"
    assert "together take 12.0 ms" in whole.message
    assert "10 ms is the most" in whole.message


def test_a_machine_that_pauses_is_no_fault_of_the_policy() -> None:
    assert policy.check(WHOLE, CONFIRMED, clock=pausing(1.0)) == ()


@pytest.mark.parametrize(("seconds", "slow"), [(2**-9, 0), (2**-8, 2)], ids=["within", "beyond"])
def test_the_budget_of_an_expression_is_two_milliseconds(seconds: float, slow: int) -> None:
    assert len(policy.check(spec(), profile(), clock=ticking(seconds))) == slow


def test_what_does_not_compile_is_not_timed() -> None:
    def never() -> float:
        raise AssertionError("asked for the time")

    wrong = spec(spec__matchConditions=[{"name": "close", "expression": "co3 > 1.0"}])
    [problem] = policy.check(wrong, profile(), clock=never)
    assert problem.reason.value == "CompileFailed"

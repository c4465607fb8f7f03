"""Problems in the log: once when they come, once when they go."""

import logging

import pytest

from foreshore_agent.runtime import notices
from foreshore_api.wire import report


def problem(name: str) -> report.Problem:
    return report.Problem(
        kind="Device", namespace="hq", name=name, reason="Invalid", message=f"{name}.yaml#1: x"
    )


def test_a_problem_is_said_once_and_once_more_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    problems = [problem("a"), problem("b")]
    seen = notices.Notices(lambda: problems)
    seen.look()
    seen.look()
    assert caplog.messages == [
        "a.yaml#1: x (Device hq/a, Invalid)",
        "b.yaml#1: x (Device hq/b, Invalid)",
    ]
    caplog.clear()
    del problems[0]
    seen.look()
    assert caplog.messages == ["no more: a.yaml#1: x (Device hq/a, Invalid)"]

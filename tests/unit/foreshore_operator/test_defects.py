"""A defect of ours about one object: counted each time, logged once, and nobody else's matter."""

import asyncio
import logging
from typing import Any, cast

import pytest

from builders import planning as build
from foreshore_decision import policy
from foreshore_kube import apply
from foreshore_operator import (
    act,
    compilation,
    defects,
    events,
    metrics,
    status_queue,
    statuses,
    store,
)
from foreshore_planner import plan as planning


class Surprise(Exception):  # noqa: N818 - what nobody thought of
    """Nobody thought of this."""


class Counted:
    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.defects = defects.Defects(self.kinds.append)


def test_a_defect_is_counted_each_pass_and_logged_with_its_traceback_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counted = Counted()
    for _ in range(3):
        counted.defects.note("Device", "hq", "bad", Surprise(), "planning it")
        counted.defects.end_pass()
    assert counted.kinds == ["Device"] * 3
    (line,) = caplog.records
    assert "Device hq/bad" in line.getMessage()
    assert line.levelno == logging.ERROR
    assert line.exc_info


def test_a_defect_that_comes_back_is_logged_anew(caplog: pytest.LogCaptureFixture) -> None:
    counted = Counted()
    counted.defects.note("Device", "hq", "bad", Surprise(), "planning it")
    counted.defects.end_pass()
    counted.defects.end_pass()
    counted.defects.note("Device", "hq", "bad", Surprise(), "planning it")
    assert len(caplog.records) == 2


def test_a_policy_that_cannot_be_compiled_says_so_and_the_next_one_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    works = policy.check

    def surprised(spec: Any, *more: Any, **named: Any) -> Any:
        if spec.latency_budget == "111ms":
            raise Surprise
        return works(spec, *more, **named)

    monkeypatch.setattr(policy, "check", surprised)
    counted = Counted()
    compiler = compilation.Compiler(counted.defects)
    seen = build.world(policies=(build.policy("bad", latencyBudget="111ms"), build.policy("good")))
    for _ in range(2):
        answers = compiler.compile_all(
            compilation.CompilationInput(
                seen.policies, seen.devices, seen.profiles, seen.models, seen.versions
            )
        )
    assert answers["hq", "good"].problem is None
    problem = answers["hq", "bad"].problem
    assert problem is not None
    assert problem[0] == "InternalError"
    assert "Surprise" in problem[1]
    assert counted.kinds == ["DecisionPolicy"] * 2


class FakeWriter:
    """Applies everything, but has not thought of one name."""

    def __init__(self, unthought: str) -> None:
        self.tally: dict[apply.WriteResult, int] = {}
        self.applied: list[tuple[str, str]] = []
        self._unthought = unthought

    async def apply(self, kind: Any, body: Any, **_: Any) -> apply.WriteResult:
        name = body["metadata"]["name"]
        if name == self._unthought:
            raise Surprise
        self.applied.append((kind.kind, name))
        return apply.WriteResult.WRITTEN


class FakeStore:
    """Knows every object as an empty document."""

    def document(self, *_: Any) -> dict[str, Any]:
        return {"metadata": {}}

    def find(self, *_: Any) -> None:
        return None

    def all_of(self, *_: Any) -> tuple[()]:
        return ()

    def undecodable(self) -> tuple[()]:
        return ()


class Silent:
    def record(self, _: Any) -> None:
        """Nobody reads events here."""


async def test_an_object_that_cannot_be_written_stops_no_other() -> None:
    counted = Counted()
    writer = FakeWriter("room-301")
    cast_writer, seen = cast(apply.Writer, writer), cast(store.ClusterMirrors, FakeStore())
    recorder = cast(events.EventRecorder, Silent())
    figures = metrics.Metrics()
    queue = status_queue.StatusQueue(
        statuses.Statuses(cast_writer, seen, recorder), figures, counted.defects
    )
    acting = act.Act(cast_writer, queue, seen, figures, "image", recorder, counted.defects)
    made, rows = build.as_changes(planning.plan(build.world()))
    await acting.carry_out(made)
    acting.offer(rows)
    lane = asyncio.create_task(queue.run())
    assert await queue.drained(5.0)
    lane.cancel()
    assert ("DecisionPolicy", "ventilate") in writer.applied
    assert ("Site", "hq") in writer.applied
    assert set(counted.kinds) == {"Device"}

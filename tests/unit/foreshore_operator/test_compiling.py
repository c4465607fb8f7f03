"""Compiling beside the loop: what a pass sees meanwhile, and that nothing waits for it."""

import asyncio
import contextlib
import dataclasses
import logging
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from builders import planning as build
from foreshore_api import v1alpha1
from foreshore_operator import compilation, compiling
from foreshore_planner import plan as planning
from foreshore_planner import snapshot

NAME = ("hq", "ventilate")


def written(*policies: v1alpha1.DecisionPolicy) -> compilation.CompilationInput:
    seen = build.world()
    chosen = policies or seen.policies
    return compilation.CompilationInput(
        chosen, seen.devices, seen.profiles, seen.models, seen.versions
    )


def edited(generation: int, **spec: Any) -> v1alpha1.DecisionPolicy:
    policy = build.policy(**spec)
    metadata = policy.metadata.model_copy(update={"generation": generation})
    return policy.model_copy(update={"metadata": metadata})


@contextlib.asynccontextmanager
async def running(
    compiler: compilation.Compiler | None = None, heard: list[object] | None = None
) -> AsyncIterator[compiling.Compilations]:
    hears = heard.append if heard is not None else lambda _key: None
    compilations = compiling.Compilations(compiler or compilation.Compiler(), hears)
    task = asyncio.create_task(compilations.run())
    try:
        yield compilations
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_an_answer_comes_and_marks_its_policy() -> None:
    heard: list[object] = []
    async with running(heard=heard) as compilations:
        resources = written()
        compilations.offer(resources)
        assert compilations.answers(resources.policies)[NAME].is_pending
        assert await compilations.settled(10.0)
        answer = compilations.answers(resources.policies)[NAME]
    assert (answer.is_pending, answer.problem) == (False, None)
    assert heard == [("DecisionPolicy", NAME)]


async def test_the_same_again_is_not_compiled_and_marks_nothing() -> None:
    heard: list[object] = []
    async with running(heard=heard) as compilations:
        resources = written()
        for _ in range(3):
            compilations.offer(dataclasses.replace(resources))
            assert await compilations.settled(10.0)
    assert len(heard) == 1


class Stuck(compilation.Compiler):
    """Compiles nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def work(self, seconds: float) -> None:
        self.go.wait(10.0)
        super().work(seconds)


async def test_the_loop_goes_on_while_policies_are_compiled() -> None:
    stuck = Stuck()
    async with running(stuck) as compilations:
        compilations.offer(written())
        assert not await compilations.settled(0.05)
        stuck.go.set()
        assert await compilations.settled(10.0)


async def test_a_newer_edit_is_taken_in_before_the_older_is_settled() -> None:
    stuck = Stuck()
    async with running(stuck) as compilations:
        compilations.offer(written(edited(1)))
        await asyncio.sleep(0.01)
        newest = written(edited(2, latencyBudget="111ms"))
        compilations.offer(newest)
        stuck.go.set()
        assert await compilations.settled(10.0)
        answer = compilations.answers(newest.policies)[NAME]
    assert (answer.generation, answer.is_pending) == (2, False)


async def test_a_first_compilation_that_does_not_end_is_said_and_waited_for_no_longer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stuck = Stuck()
    async with running(stuck) as compilations:
        compilations.offer(written())
        assert not await compilations.whole(0.05)
        stuck.go.set()
        assert await compilations.whole(10.0)
    assert [line.levelno for line in caplog.records] == [logging.ERROR]


def pending(seen: snapshot.Snapshot) -> snapshot.Snapshot:
    answers = {NAME: snapshot.Compiled(1, "", is_pending=True)}
    return dataclasses.replace(seen, compiled=answers)


def test_a_new_policy_that_is_pending_is_not_placed_and_says_why() -> None:
    made = planning.plan(pending(build.world()))
    assert [pod for placement in made.placements for pod in placement.pods] == []
    assert build.condition(made, "DecisionPolicy", "ventilate", "Ready") == ("False", "Compiling")
    assert build.condition(made, "DecisionPolicy", "ventilate", "Stalled") is None


def test_what_runs_for_a_policy_stays_while_its_edit_is_pending() -> None:
    settled = build.settle(build.world())
    running_now = {replica.name for replica in settled.replicas}
    assert running_now
    edit = build.policy(latencyBudget="111ms", mode="Shadow", replicas=1)
    made = planning.plan(pending(dataclasses.replace(settled, policies=(edit,))))
    assert [removal.name for removal in made.removals] == []
    assert made.retired == ()


class Defective(compilation.Compiler):
    """Every policy meets a defect of ours, and takes longer than a slice."""

    def _subjects(self, decision_policy: v1alpha1.DecisionPolicy) -> Any:
        raise RuntimeError(f"a defect with {decision_policy.name}")


async def test_policies_that_meet_a_defect_are_tried_once_an_offer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More of them than a slice holds were tried again and again, at full load, without an end."""
    monkeypatch.setattr(compiling, "SLICE", 0.0)
    compiler = Defective()
    policies = [build.policy(name=f"p{number}") for number in range(5)]
    async with running(compiler) as compilations:
        for _ in range(2):
            compilations.offer(written(*policies))
            assert await compilations.settled(5.0)
            policies.append(build.policy(name="added"))
    assert all(answer.mark is None for answer in compiler.answers.values())

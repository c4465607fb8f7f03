"""A decision from sample to command through ports that speak no protocol at all."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from types import SimpleNamespace
from typing import Any, cast

from builders import engine_rig
from foreshore_agent import clocks, meters
from foreshore_agent.devices import port as devices
from foreshore_agent.engine import effects, events, state
from foreshore_agent.inference import port as inference
from foreshore_agent.runtime import core
from foreshore_api.wire import assignment, record, report
from foreshore_decision import served


class OwnModel:
    """A model in this process: it answers what it is told to, and keeps the questions."""

    def __init__(self, score: float | None) -> None:
        self.score = score
        self.asked: list[effects.Infer] = []

    def assign(self, policies: Sequence[assignment.AssignedPolicy]) -> None:
        pass

    def ask(self, asked: effects.Infer, then: inference.Then) -> None:
        self.asked.append(asked)
        attempt = record.Attempt(slot="own", node="edge-1", result="Answered", seconds=0.0)
        answer: inference.ModelAnswer | inference.Unanswered
        if self.score is None:
            answer = inference.Unanswered("NoEndpoint", (), is_late=False)
        else:
            model = served.Served(asked.model, "occupancy-v1", asked.digest)
            outputs = {"probabilities": (1 - self.score, self.score)}
            answer = inference.ModelAnswer(model, outputs, (attempt,), "edge-1", 0.0, None)
        asyncio.get_running_loop().call_soon(then, answer)

    def reports(self) -> tuple[report.EndpointReport, ...]:
        return ()

    async def watch(self) -> None:
        pass

    def close(self) -> None:
        pass


class Rack:
    """Devices in this process: they take commands as they are."""

    is_connected, problem, denied = True, None, ()
    has_measured = False

    def __init__(self) -> None:
        self.sent: list[effects.SendCommand] = []
        self.advised: list[effects.Advise] = []

    @property
    def reason(self) -> str | None:
        return None

    def assign(
        self,
        site: assignment.AssignedSite | None,
        devices: Iterable[assignment.AssignedDevice],
        windowed: Collection[events.Key] = (),
    ) -> None:
        pass

    def measured(self, most: int) -> Sequence[events.Sample]:
        return ()

    def send(self, command: effects.SendCommand) -> str | None:
        self.sent.append(command)
        return None

    def advise(self, advice: effects.Advise) -> None:
        self.advised.append(advice)

    async def run(self) -> None:
        pass


class Paper:
    """A journal that is durable at once."""

    def append(self, *_: object, is_patient: bool, then: Callable[[None], None]) -> None:
        asyncio.get_running_loop().call_soon(then, None)

    def put(self, *_: object) -> None:
        pass

    def flush(self) -> None:
        pass


def agent(model: inference.InferencePort, rack: devices.DevicesPort) -> core.Core:
    """An engine that holds its devices, on the given ports."""
    clock = clocks.SystemClock()
    ports = core.Ports(
        journal=cast("Any", Paper()),
        inference=model,
        devices=rack,
        meters=meters.Meters(),
        peers=cast("Any", SimpleNamespace(renew=lambda _: None, remember=None)),
        changed=lambda: None,
        failed=lambda error: None,
    )
    who = state.Identity(engine_rig.NODE, clock.boot_id, "journal-1", "0.1.0", virtual=False)
    found = core.Core(clock, state.start(who), ports)
    found.take(events.BrokerChanged(*found.stamp(), connected=True))
    taken = engine_rig.assign(epoch=int(clock.now().timestamp()))
    found.take(events.Assigned(*found.stamp(), taken, is_self_granted=True))
    return found


async def occupied(model: OwnModel, rack: Rack) -> None:
    """Let the room be measured, and the agent come to an end with it."""
    found = agent(model, rack)
    sample = events.Sample(*found.stamp(), engine_rig.DEVICE, engine_rig.OCCUPIED)
    found.take(sample)
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_sample_becomes_a_question_of_tensors_and_a_command_to_a_device() -> None:
    model, rack = OwnModel(0.9), Rack()
    await occupied(model, rack)
    (asked,), (sent,) = model.asked, rack.sent
    assert (asked.policy, asked.device) == (engine_rig.POLICY, engine_rig.DEVICE)
    assert [each.data_type for each in asked.tensors] == ["FP32"]
    assert sent.command_id.startswith(asked.decision_id)
    assert (sent.device, sent.policy, sent.holder) == (
        engine_rig.DEVICE,
        engine_rig.POLICY,
        engine_rig.NODE,
    )
    assert sent.values


async def test_a_model_that_does_not_answer_commands_nothing() -> None:
    model, rack = OwnModel(None), Rack()
    await occupied(model, rack)
    assert len(model.asked) == 1
    assert rack.sent == []

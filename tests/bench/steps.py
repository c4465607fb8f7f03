"""What the engine alone takes of a processor: hot, and with caches emptied before each sample.

    Decode        a telemetry document to a `Sample`'s values
    Sample        a sample that asks a model, or decides without one
    Inferred      the model's answer, to the verdict
    IntentDurable, CommandSent, Acknowledged      the life of a command
    Tick          a look at the devices of which something has become due

At a hundred samples a second other processes use the caches between two of them, so that the cold
figures are nearer to what an agent spends. Ratios are to a loop of plain Python, timed in the same
run; figures are medians of processor time.
"""

import statistics
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from bench import resources
from foreshore_agent.devices.codecs import payload
from foreshore_agent.engine import effects, events, state, step
from foreshore_agent.runtime import pace
from foreshore_api import v1alpha1
from foreshore_api.wire import assignment as wire
from foreshore_api.wire import command, record
from foreshore_decision import assignment, served
from foreshore_decision.instant import Instant

Json = dict[str, Any]

NODE: Final = "bench-1"
DIGEST: Final = "sha256:" + "ab" * 32
STARTED: Final = datetime(2026, 3, 1, tzinfo=UTC)
WARM_SAMPLES: Final = 600
"""Of a device alone, until every window is covered."""
WARM_ROUNDS: Final = 7
"""Of many devices, one sample of each a round."""
CACHE_BYTES: Final = 64 << 20
"""More than the caches of all cores hold."""
LINE_BYTES: Final = 64
ATTEMPT: Final = record.Attempt(slot="r0", node=NODE, result="Answered", seconds=0.0002)
_EVICTION: Final = bytearray(CACHE_BYTES)
_KINDS: Final = {kind.kind: kind for kind in v1alpha1.KINDS}


@dataclass(frozen=True)
class Scene:
    """A policy over devices, and what its model answers."""

    name: str
    policy: Json
    score: float = 0.9
    devices: int = 1
    seconds: float = 0.01
    """Between two samples, whosever they are."""


def commanded() -> Json:
    """The policy of the latency bench: every sample is commanded."""
    return resources.policy()


def routine() -> Json:
    """Windows, several rules, a variable and rate limits; nothing is triggered, 1 % is kept."""
    return {
        **resources.policy(),
        "features": [
            {"name": "co2Mean", "input": "co2", "aggregate": "Mean", "window": "5s"},
            {"name": "co2Slope", "input": "co2", "aggregate": "Slope", "window": "5s"},
            {"name": "lightMaximum", "input": "light", "aggregate": "Maximum", "window": "5s"},
        ],
        "variables": [{"name": "excess", "expression": "co2Mean - 800.0"}],
        "rules": [
            {
                "name": "hot",
                "effect": "Forbid",
                "expression": "temperature > 60.0",
                "reason": "TooHot",
            },
            {
                "name": "occupied",
                "effect": "Permit",
                "expression": "score >= 0.8",
                "reason": "RoomOccupied",
            },
            {
                "name": "stuffy",
                "effect": "Permit",
                "expression": "excess > 500.0 && co2Slope > 0.0",
                "reason": "AirIsStuffy",
            },
        ],
        "record": {"routineSampleRate": "0.01"},
        "rateLimit": {"minimumInterval": "1s"},
    }


def plain() -> Json:
    """Without windows; nothing is triggered, 1 % is kept."""
    return {**resources.policy(), "record": {"routineSampleRate": "0.01"}, **_unmet()}


def shadow() -> Json:
    """The commanded policy, that only records."""
    return {**resources.policy(), "mode": "Shadow"}


def silent() -> Json:
    """The routine policy, evaluated after silence too, so that ticks have to know when."""
    return {**routine(), "trigger": {"properties": ["co2"], "afterSilence": "30s"}}


def _unmet() -> Json:
    rule = {"name": "sure", "effect": "Permit", "expression": "score >= 0.8", "reason": "Sure"}
    return {"rules": [rule]}


SCENES: Final = (
    Scene("commanded", commanded()),
    Scene("plain", plain(), score=0.1),
    Scene("routine", routine(), score=0.1),
    Scene("shadow", shadow()),
    Scene("thousand", silent(), score=0.1, devices=1000, seconds=0.001),
)


@dataclass
class EngineBench:
    """One engine of a scene; every step of it is timed by the kind of its event."""

    scene: Scene
    is_cold: bool
    nanoseconds: dict[str, list[int]] = field(default_factory=dict)
    seconds: float = 1000.0
    counted: int = 0

    def __post_init__(self) -> None:
        self.pace = pace.DecisionPace(time.thread_time)
        self.state = state.start(state.Identity(NODE, "boot-1", "journal-1", "0.1.0"))
        assigned = _assignment(self.scene)
        self.model = served.Served("tiny", "tiny-v1", DIGEST)
        self.devices = tuple(
            events.Key(device.namespace, device.name) for device in assigned.devices
        )
        self.decoder = payload.Decoder(assigned.devices[0].profile.properties)
        self.feed(events.BrokerChanged, connected=True)
        self.feed(events.HubChanged, connected=True)
        self.feed(events.Assigned, assignment=assigned, is_self_granted=True)
        is_cold, self.is_cold = self.is_cold, False
        for number in range(max(WARM_SAMPLES, WARM_ROUNDS * self.scene.devices)):
            self.sample(number)
        self.is_cold = is_cold
        self.nanoseconds.clear()

    def feed(self, kind: Callable[..., events.Event], **fields: Any) -> None:
        """Take one event in and answer its effects, as the runtime would."""
        self.counted += 1
        fresh = str(uuid.UUID(int=(0x0190 << 112) | (7 << 76) | (2 << 62) | self.counted * 7919))
        event = kind(self._at(), fresh, **fields)
        change = self.timed(type(event).__name__, lambda: step.step(self.state, event, self.pace))
        self.state = change.value
        for effect in change.effects:
            self._carry(effect)

    def timed(self, name: str, run: Callable[[], Any]) -> Any:
        """Run, and note the processor time."""
        began = time.thread_time_ns()
        result = run()
        self.nanoseconds.setdefault(name, []).append(time.thread_time_ns() - began)
        return result

    def tick(self) -> None:
        """Let a tick pass."""
        self.feed(events.Tick)

    def sample(self, number: int) -> None:
        """Let the next device measure something, after others have used the caches."""
        if self.is_cold:
            evict()
        self.seconds += self.scene.seconds
        body = b'{"co2": %d.5, "light": %d.25, "temperature": 21.5}' % (
            400 + number % 50,
            number % 997,
        )
        [decoded] = self.timed("Decode", lambda: self.decoder.decode(body))
        device = self.devices[number % len(self.devices)]
        self.feed(events.Sample, device=device, values=decoded.values)
        if number % round(step.TICK_SECONDS / self.scene.seconds) == 0:
            self.tick()

    def _at(self) -> Instant:
        return Instant(STARTED + timedelta(seconds=self.seconds), self.seconds, self.seconds)

    def _carry(self, effect: effects.Effect) -> None:
        match effect:
            case effects.Infer(decision_id, policy, device):
                score = self.scene.score
                self.feed(
                    events.Inferred,
                    decision_id=decision_id,
                    policy=policy,
                    device=device,
                    outputs={"probabilities": (1 - score, score)},
                    attempts=(ATTEMPT,),
                    node=NODE,
                    network=0.0001,
                    inference=0.0001,
                    model=self.model,
                )
            case effects.AppendRecords(intent=intent) if intent is not None:
                self.feed(events.IntentDurable, **intent._asdict())
            case effects.SendCommand():
                of = {"policy": effect.policy, "device": effect.device}
                self.feed(events.CommandSent, command_id=effect.command_id, **of)
                answer = command.Acknowledgement(
                    command_id=effect.command_id, result=command.Result.DONE
                )
                self.feed(events.Acknowledged, device=effect.device, acknowledgement=answer)
            case _:
                pass


def evict() -> None:
    """Push what was used before out of the caches."""
    sum(_EVICTION[::LINE_BYTES])


def calibrated() -> float:
    """Microseconds of a loop of plain Python: attributes, tuples, a dictionary."""

    def loop() -> int:
        kept: dict[int, tuple[int, int]] = {}
        for number in range(1000):
            kept[number & 63] = (number, number + 1)
        return len(kept)

    taken = []
    for _ in range(50):
        began = time.thread_time_ns()
        loop()
        taken.append(time.thread_time_ns() - began)
    return statistics.median(taken) / 1e3


def measure(scene: Scene, samples: int, *, is_cold: bool) -> dict[str, float]:
    """Return the median microseconds of each event of a scene."""
    bench = EngineBench(scene, is_cold)
    for number in range(samples):
        bench.sample(number)
    return {name: statistics.median(taken) / 1e3 for name, taken in bench.nanoseconds.items()}


def report(samples: int = 1000, scenes: Sequence[Scene] = SCENES) -> None:
    """Print a table: microseconds hot and cold by scene and event."""
    unit = calibrated()
    print(f"the engine alone, microseconds of processor time (a loop of Python: {unit:.0f})")
    print(f"{'':12}{'event':16}{'hot':>8}{'cold':>8}{'hot/loop':>10}")
    for scene in scenes:
        hot = measure(scene, samples, is_cold=False)
        cold = measure(scene, max(50, samples // 4), is_cold=True)
        for name, taken in hot.items():
            show(scene.name, name, taken, cold.get(name, 0.0), unit)
        whole, chilled = (
            sum(taken for name, taken in figures.items() if name != "Tick")
            for figures in (hot, cold)
        )
        show(scene.name, "a sample", whole, chilled, unit)


def show(scene: str, name: str, hot: float, cold: float, unit: float) -> None:
    """Print a line of the table."""
    print(f"{scene:12}{name:16}{hot:8.1f}{cold:8.1f}{hot / unit:10.3f}")


def _assignment(scene: Scene) -> wire.Assignment:
    known = assignment.Resources.of(
        _KINDS[document["kind"]].read(document) for document in _documents(scene)
    )
    grants = {(device.namespace, device.name): (NODE, 7) for device in known.devices}
    given = assignment.LocalStatuses(grants=grants)
    compiled = assignment.compile(known, NODE, site=resources.SITE, given=given).assignment
    if not compiled.policies:
        raise RuntimeError(f"the policy of {scene.name} does not compile: {compiled}")
    return compiled


def _documents(scene: Scene) -> Iterable[Json]:
    for document in resources.documents(1883, DIGEST, Path("tiny-v1.onnx")):
        if document["kind"] == "DecisionPolicy":
            yield {**document, "spec": scene.policy}
        elif document["kind"] == "Device":
            for number in range(scene.devices):
                metadata = {**document["metadata"], "name": f"{resources.DEVICE}-{number}"}
                yield {**document, "metadata": metadata}
        elif document["kind"] == "ModelVersion":
            spec = {**document["spec"], "digest": DIGEST}
            yield {**document, "spec": spec}
        else:
            yield document

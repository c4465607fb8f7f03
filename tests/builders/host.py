"""The engine's host with the true engine, on ports that a test moves by hand.

    host = Host((document, ...), answers_at_once=True)
    host.site.put(topic, body); await host.round()

The clock stands still but for what the model, and the engine if asked, take. The journal is durable
when `write` is called.
"""

import asyncio
import json
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import orjson

from builders import engine_rig, room
from foreshore_agent import meters, refusals
from foreshore_agent.devices.mqtt import channel, devices
from foreshore_agent.engine import effects, events, state, view
from foreshore_agent.inference import port as inference
from foreshore_agent.runtime import core
from foreshore_api.reasons import telemetry
from foreshore_api.wire import assignment, record
from foreshore_decision import served
from foreshore_decision.instant import Instant

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


class HandClock:
    """A clock that moves when it is told to."""

    virtual = False
    boot_id = "boot-1"

    def __init__(self) -> None:
        self.seconds = 1000.0
        self._counter = 0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds - 1000.0)

    def monotonic(self) -> float:
        return self.seconds

    def instant(self) -> Instant:
        return Instant(self.now(), self.seconds, self.seconds)

    def identity(self) -> str:
        self._counter += 1
        return str(
            uuid.UUID(int=(0x01900000 << 96) | (0x7 << 76) | (0x2 << 62) | self._counter * 1000)
        )


class Host:
    """One engine's host, its devices behind a broker of no wire, its model and journal."""

    def __init__(
        self,
        documents: Sequence[room.Json] = (),
        *,
        answers_at_once: bool = True,
        is_durable_at_once: bool = True,
        model_seconds: float = 0.0,
    ) -> None:
        self.clock = HandClock()
        self.answers_at_once = answers_at_once
        self.is_durable_at_once = is_durable_at_once
        self.model_seconds = model_seconds
        self.score = 0.1
        self.happened: list[str] = []
        """What the ports were asked for, in order."""
        self.records: list[dict[str, Any]] = []
        self.sent: list[effects.SendCommand] = []
        self.seen: list[effects.Effect] = []
        self.questions: deque[tuple[effects.Infer, inference.Then]] = deque()
        self.writing: list[Callable[[None], None]] = []
        self.failures: list[BaseException] = []
        self.watch: Callable[[effects.Effect], object] = lambda _: None
        """Sees each effect before it is carried out."""
        self.meters = meters.Meters()
        self.topics: list[channel.Subscriber] = []
        self.devices = devices.MqttDevices(
            cast("Any", self),
            None,
            events.EventStamp(lambda: self.clock.instant(), lambda: self.clock.identity()),
            lambda event: self.core.offer(event),
            refusals.Refusals(self.meters.count_telemetry),
            lambda: self.core.wake(),
        )
        ports = core.Ports(
            journal=cast("Any", _Journal(self)),
            inference=cast("Any", SimpleNamespace(ask=self._ask)),
            devices=cast("Any", _Hand(self)),
            meters=self.meters,
            peers=cast("Any", SimpleNamespace(renew=lambda _: None, remember=lambda _: None)),
            changed=lambda: None,
            failed=self.failures.append,
        )
        who = state.Identity(engine_rig.NODE, "boot-1", "journal-1", "0.1.0", virtual=False)
        self.core = core.Core(cast("Any", self.clock), state.start(who), ports, self._see)
        self.core.take(events.BrokerChanged(*self.core.stamp(), connected=True))
        taken = engine_rig.assign(*documents, epoch=int(self.clock.now().timestamp()))
        self.core.take(events.Assigned(*self.core.stamp(), taken, is_self_granted=True))
        site = assignment.AssignedSite.model_validate(taken.site)
        self.devices.assign(site, taken.devices, view.windowed(self.core.state))
        self.happened.clear()

    # The broker.

    def telemetry(self, subscriber: channel.Subscriber) -> Any:
        self.topics.append(subscriber)
        return self

    control = telemetry

    def assign(self, *_: object) -> None:
        pass

    def listen(self, _filters: tuple[str, ...], _renewed: frozenset[str] = frozenset()) -> None:
        pass

    def publish(self, *_: object, **__: object) -> None:
        pass

    # What a test does.

    def measure(self, co2: float = 900.0, device: str = engine_rig.DEVICE.name) -> None:
        """Let a message of an occupied room come."""
        self.put(device, json.dumps({**engine_rig.OCCUPIED, "co2": co2}).encode())

    def put(self, device: str, body: bytes) -> None:
        """Let a message come on the telemetry topic of a device."""
        topic = f"hq/{device}/telemetry"
        message = channel.MqttMessage(topic, body, False, False, self.clock.instant())
        assert self.topics[0].take(message)

    async def round(self, number: int = 1) -> None:
        """Let the loop go round."""
        for _ in range(number):
            await asyncio.sleep(0)

    async def rest(self) -> None:
        """Let the loop go round until nothing is left to do."""
        await self.round(200)

    def tick(self) -> None:
        """Let the engine see that time has passed, as `life` does."""
        self.core.offer(events.Tick(*self.core.stamp()))

    def answer(self) -> None:
        """Answer the oldest question."""
        asked, then = self.questions.popleft()
        then(self._answer(asked))

    def write(self) -> None:
        """Have all that was appended become durable."""
        writing, self.writing = self.writing, []
        for durable in writing:
            durable(None)

    @property
    def decisions(self) -> list[dict[str, Any]]:
        """Data of every recorded decision."""
        return [each["data"] for each in self.records if each["type"] == record.DECISION]

    @property
    def decided(self) -> list[effects.Decided]:
        """Every decision, recorded or not."""
        return [each for each in self.seen if isinstance(each, effects.Decided)]

    def counted(self, result: str) -> int:
        """Messages of one result."""
        value = self.meters.registry.get_sample_value(
            "foreshore_telemetry_messages_total", {"result": result}
        )
        return int(value or 0)

    # The ports.

    def _see(self, effect: effects.Effect) -> None:
        self.seen.append(effect)
        self.watch(effect)
        if isinstance(effect, effects.Count) and effect.labels == (telemetry.ACCEPTED,):
            self.happened.append("accepted")

    def _ask(self, asked: effects.Infer, then: inference.Then) -> None:
        self.happened.append("ask")
        self.clock.seconds += self.model_seconds
        if self.answers_at_once:
            then(self._answer(asked))
        else:
            self.questions.append((asked, then))

    def _answer(self, asked: effects.Infer) -> inference.ModelAnswer:
        model = served.Served(asked.model, "occupancy-v1", asked.digest)
        outputs = {"probabilities": (1 - self.score, self.score)}
        attempt = record.Attempt(slot="own", node="edge-1", result="Answered", seconds=0.0)
        return inference.ModelAnswer(model, outputs, (attempt,), "edge-1", 0.0, None)


class _Journal:
    """A journal on paper."""

    standing = SimpleNamespace(reason=None)

    def __init__(self, host: Host) -> None:
        self._host = host

    def append(
        self,
        entries: Sequence[Any],
        _values: object = (),
        *,
        is_patient: bool = False,
        then: Callable[[None], None],
    ) -> None:
        self._host.happened.append("append")
        bodies = [entry.body for entry in entries if not entry.is_promise]
        self._host.records += [orjson.loads(body) for body in bodies]
        if self._host.is_durable_at_once:
            asyncio.get_running_loop().call_soon(then, None)
        else:
            self._host.writing.append(then)

    def put(self, *_: object) -> None:
        pass

    def flush(self) -> None:
        self._host.happened.append("flush")

    def lose(self, *_: object) -> None:
        raise AssertionError("no record of these is too long")


class _Hand:
    """Devices that take commands as they are."""

    def __init__(self, host: Host) -> None:
        self._host = host

    @property
    def has_measured(self) -> bool:
        return self._host.devices.has_measured

    def measured(self, most: int) -> Sequence[events.Sample]:
        self._host.happened.append("measured")
        return self._host.devices.measured(most)

    def send(self, command: effects.SendCommand) -> str | None:
        self._host.happened.append("send")
        self._host.sent.append(command)
        return None

    def advise(self, _advice: effects.Advise) -> None:
        self._host.happened.append("advise")

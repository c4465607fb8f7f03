"""A rehearsal on a clock that stands still: the agent's own engine, no broker, nothing waits.

    row ──► advance to what is due before it, moment by moment ──► telemetry at its own time
                                                                        │
    settled values, ticks ◄──── device ◄── commands ──── engine ◄───────┘
                                                          │  ▲
                                                  journal ┘  └── model in its child (real time)

The host of the engine is `runtime.core`, as in `run`; only its ports are others. The order of what
happens at one moment is fixed: values that have settled, then (strictly before a row) ticks, then
the row; a model answers at the moment at which it was asked, however long it took. So two runs of
one rehearsal are equal, and no answer is ever late: one that does not come ends the rehearsal.
"""

import asyncio
import dataclasses
import heapq
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib import metadata
from typing import Final, TypeVar

from foreshore_agent import meters
from foreshore_agent.devices.codecs import leaf, payload
from foreshore_agent.engine import effects, events, state, view
from foreshore_agent.play import device as played_device
from foreshore_agent.play import recording, stage
from foreshore_agent.rehearse import clock, ports, score
from foreshore_agent.runtime import core
from foreshore_api.reasons import telemetry
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import assignment, command, report
from foreshore_decision import instant

NODE: Final = "rehearsal"
"""Name of the node in records."""
MAXIMUM_UNWRITTEN: Final = 1024
"""Appends that may wait for the disk before the next row waits for them."""
_RESOLUTION: Final = timedelta(seconds=instant.RESOLUTION)
_NUDGES: Final = 16
"""Steps of the clock's resolution after which what is due must have happened."""
_LAST_WAITS: Final = 5
"""Waits after the last row: a trigger for its interval, then a command for answer, read-back and
the end of a hold."""

_NO_REASONS: Final[Mapping[str, str]] = {}
_Any = TypeVar("_Any")
"""What is said of a property: a value, or a reason."""

_OF_A_DIALECT: Final = {
    name: deviceprofile.Property.model_fields[name].default
    for name in (
        "topic",
        "payload",
        "position",
        "pick",
        "batch",
        "values",
        "scale",
        "offset",
        "decimal",
        "suffix",
        "quality",
        "time",
    )
}
"""How a property is made of what its device says, where that is not simply in a document."""


class Driver:
    """One device and one engine on one clock; `row` plays a row, `finish` what is left after."""

    def __init__(
        self,
        staged: stage.PlayedStage,
        at: clock.FrozenClock,
        log: played_device.DeviceLog,
        recorder: ports.JournalQueue,
        questions: ports.Questions,
        counts: score.Score,
    ) -> None:
        staged = dataclasses.replace(staged, profile=as_recorded(staged.profile))
        self.device: Final = played_device.PlayedDevice(staged, log)
        self.meters: Final = meters.Meters()
        self._clock: Final = at
        self._counts: Final = counts
        self._recorder: Final = recorder
        self._questions: Final = questions
        self._wire: Final = ports.Wire(self.device, at)
        self._key: Final = events.Key(staged.device.namespace, staged.device.name)
        self._decoder: Final = payload.Decoder(staged.profile.properties)
        identity = state.Identity(
            node=NODE,
            boot_id=at.boot_id,
            journal=recorder.journal_id,
            agent_version=metadata.version("foreshore-agent"),
            virtual=True,
        )
        carriers = core.Ports(
            journal=recorder,
            inference=questions,
            devices=self._wire,
            meters=self.meters,
            peers=_NoPeers(),
            changed=lambda: None,
            failed=lambda _: None,  # the exception goes on to whoever plays the row
        )
        self._core: Final = core.Core(at, state.start(identity), carriers, counts.take)

    def begin(self, assigned: assignment.Assignment) -> tuple[report.Problem, ...]:
        """Let an assignment take effect; return what the engine cannot do of it."""
        stamp = self._core.stamp
        self._core.take(events.Assigned(*stamp(), assigned, is_self_granted=True))
        self._core.take(events.BrokerChanged(*stamp(), connected=True))
        self._recorder.answer()
        return view.problems(self._core.state)

    async def row(self, row: recording.RecordedRow) -> None:
        """Play one row at its own time, after everything that is due before it."""
        now = self._clock.now()
        moment = max(now, row.time or now)
        await self._advance(moment)
        self._clock.advance(moment)
        self._counts.begin_row(row, moment)
        own, _ = _by_device(row.message)
        _, others = _by_device(row.values)
        reasons = {name: cell.reason for name, cell in row.refused.items()}
        refused, refused_of_others = _by_device(reasons)
        heard = dict.fromkeys((*others, *refused_of_others))
        for name in heard:
            await self._hear(name, others.get(name, {}), refused_of_others.get(name, {}))
        self.device.tally.published += 1
        await self._deliver(self.device.measure(own, moment), refused)
        if heard:  # what waited for the row, which had nothing of its own for it
            self._core.take(events.Tick(*self._core.stamp()))
            await self._answered()
        await asyncio.sleep(0)  # whoever asks to end is heard also where no model is asked

    async def finish(self) -> None:
        """Go on until what the last rows began has come to its end, and all is written."""
        for _ in range(_LAST_WAITS):
            last = self._last_wait()
            if last is None:
                break
            await self._advance(last + _RESOLUTION)
        self._counts.end_row()
        await self._recorder.catch_up()

    def _last_wait(self) -> datetime | None:
        """Return when the last trigger, command or value that waits has waited long enough."""
        engine = self._core.state
        device = engine.devices.get(self._key)
        seconds = [] if device is None else [intent.due for intent in device.open.values()]
        if (pending := view.due(engine)) is not None:
            seconds.append(pending)
        moments = [_moment(due) for due in seconds if due < math.inf]
        return max((*moments, *(due for due, _, _ in self._wire.settling)), default=None)

    async def _advance(self, to: datetime) -> None:
        """Stop at every moment before `to` at which something is due."""
        while True:
            settles = self._wire.settling[0][0] if self._wire.settling else None
            due = view.next_due(self._core.state)
            tick = None if due is None else max(_moment(due), self._clock.now())
            if settles is not None and settles <= to and (tick is None or settles <= tick):
                self._clock.advance(settles)
                await self._settle()
            elif due is None or tick is None or not await self._tick(due, tick, to):
                return

    async def _tick(self, due: float, moment: datetime, to: datetime) -> bool:
        """Let the engine see that time has passed; False if what is due is not due before `to`.

        A moment that is the sum of two floats may lie a hair after the sum itself: then the clock
        goes on by what it can resolve, until the engine agrees.
        """
        for _ in range(_NUDGES):
            if moment >= to:
                return False
            self._clock.advance(moment)
            self._counts.begin_work()
            self._core.take(events.Tick(*self._core.stamp()))
            await self._answered()
            if view.next_due(self._core.state) != due:
                await asyncio.sleep(0)
                return True
            moment = self._clock.now() + _RESOLUTION
        raise RuntimeError(f"what is due at {due} does not happen")

    async def _settle(self) -> None:
        _, _, settling = heapq.heappop(self._wire.settling)
        settled = self.device.settle(settling, self._clock.now())
        if settled.answer is not None:
            self._wire.answers.append(settled.answer)
        await self._answered()
        if settled.telemetry is not None:
            self.device.tally.published += 1
            await self._deliver(settled.telemetry)

    async def _hear(
        self, name: str, values: Mapping[str, leaf.Value], refused: Mapping[str, str]
    ) -> None:
        """Let the agent hear what another device measured; the row is decided on as a whole."""
        key = events.Key(self._key.namespace, name)
        self._core.take(events.Sample(*self._core.stamp(), key, values, refused, is_followed=True))
        await self._answered()

    async def _deliver(self, body: bytes, reasons: Mapping[str, str] = _NO_REASONS) -> None:
        """Let the agent hear a message of the device, and do all that follows from it at once.

        A refused value of it is a recording's cell, as a text: `reasons` say what is wrong with the
        cell itself.
        """
        self._counts.begin_work()
        try:
            readings = self._decoder.decode(body)
        except leaf.PayloadError as error:
            self.meters.count_telemetry(error.reason)
            return
        if not readings:
            self.meters.count_telemetry(telemetry.NO_PROPERTY)
        for reading in readings:
            if not reading.has_news:  # the device names properties, and says null of them
                self.meters.count_telemetry(telemetry.NULL)
                continue
            refused = {name: reasons.get(name, why) for name, why in reading.refused.items()}
            values, times = reading.values, reading.sampled_at
            sample = events.Sample(*self._core.stamp(), self._key, values, refused, times)
            self._core.take(sample)
            await self._answered()

    async def _answered(self) -> None:
        """Carry answers back until nobody waits for one."""
        while True:
            self._recorder.answer()
            if self._wire.answers:
                answer = command.Acknowledgement.decode(self._wire.answers.popleft())
                self._core.take(events.Acknowledged(*self._core.stamp(), self._key, answer))
            elif not await self._questions.answer():
                break
        await self._recorder.catch_up(MAXIMUM_UNWRITTEN)


def as_recorded(profile: deviceprofile.DeviceProfileSpec) -> deviceprofile.DeviceProfileSpec:
    """Return a profile whose device speaks as a recording does: in properties and their units.

    A column is a property's value already: what makes one of what the device really says, on
    whichever topic, would read it once more.
    """
    if all(
        getattr(declared, name) == default
        for declared in profile.properties
        for name, default in _OF_A_DIALECT.items()
    ):
        return profile
    plain = {**_OF_A_DIALECT, "path": None, "timestamp_path": None}
    properties = tuple(declared.model_copy(update=plain) for declared in profile.properties)
    return profile.model_copy(update={"properties": properties})


def _by_device(values: Mapping[str, _Any]) -> tuple[dict[str, _Any], dict[str, dict[str, _Any]]]:
    """Return what is of the played device, and what is of others, by device and property."""
    own: dict[str, _Any] = {}
    others: dict[str, dict[str, _Any]] = {}
    for name, value in values.items():
        device, dot, elsewhere = name.partition(".")
        if dot:
            others.setdefault(device, {})[elsewhere] = value
        else:
            own[name] = value
    return own, others


def _moment(seconds: float) -> datetime:
    """Return the first moment of the clock's resolution that is not before these seconds."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment if moment.timestamp() >= seconds else moment + _RESOLUTION


class _NoPeers:
    """The other agents of the site: there are none."""

    def remember(self, effect: effects.RememberPeer) -> None:
        """Refuse: nobody beats here."""
        raise RuntimeError(f"nobody beats in a rehearsal: {effect}")

    def renew(self, effect: effects.RequestRenewal) -> None:
        """Refuse: a right that was granted here needs no renewal."""
        raise RuntimeError(f"a right that was granted here needs no renewal: {effect}")

"""The played device on real MQTT: says what it measures, takes commands, keeps its own log.

Its log is the truth that tests read: every command with its result, holder, epoch and time, as the
device saw it. A device that is started again on the same log remembers from it the highest epoch,
its holder and which commands it has answered, as a real one remembers them in flash.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

import orjson

from foreshore_agent import clocks
from foreshore_agent.devices.codecs import payload
from foreshore_agent.devices.mqtt import connection, lane
from foreshore_agent.play import machine, stage
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import command

_BUSY_SECONDS: Final = 0.001
_TAIL: Final = 1 << 20
"""Bytes of an older log that are read again."""
_LOG: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """What happened so far."""

    published: int = 0
    unsent: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    """By result, or by the reason of a refusal."""
    applied: int = 0


class DeviceLog:
    """JSON Lines, one line a command or change, written through at once."""

    def __init__(self, path: Path | None) -> None:
        self._file: IO[bytes] | None = None
        self.remembered: machine.State = machine.State()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.remembered = _remember(path)
            self._file = path.open("ab", buffering=0)

    def write(self, event: str, time: datetime, **facts: Any) -> None:
        """Add one line."""
        if self._file is not None:
            self._file.write(
                orjson.dumps({"time": time.isoformat(), "event": event, **facts}) + b"\n"
            )

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class Player:
    """One device; `run` keeps it connected until cancelled, `say` publishes a row."""

    def __init__(
        self,
        played: stage.Stage,
        clock: clocks.Clock,
        address: connection.Address,
        log: DeviceLog,
        changed: Callable[[bool], None] = lambda _: None,
    ) -> None:
        profile = played.profile
        self.tally: Final = Tally()
        self._played: Final = played
        self._clock: Final = clock
        self._log: Final = log
        self._machine: Final = machine.Machine(profile, clock.speed)
        self._state = log.remembered
        self.values: dict[str, payload.Value] = self._machine.initial()
        self._measured: dict[str, payload.Value] = {}
        self._settling: set[asyncio.Task[None]] = set()
        self._lane: Final = lane.Lane("device", lane.Traffic(self._take), changed)
        template = profile.mqtt.command_topic
        self._lane.want(address, () if template is None else (played.topic(template),))

    @property
    def is_connected(self) -> bool:
        """Whether the broker hears the device, and it hears commands."""
        return self._lane.is_up

    @property
    def denied(self) -> tuple[str, ...]:
        """What the broker does not let the device say or hear."""
        return self._lane.denied

    @property
    def problem(self) -> str | None:
        """Why there is no session with the broker, if there is none."""
        return self._lane.problem

    @property
    def is_settling(self) -> bool:
        """Whether a command was accepted and is not done."""
        return bool(self._settling)

    async def run(self) -> None:
        """Keep the device connected."""
        try:
            await self._lane.keep(self._played.device.name)
        finally:
            for task in self._settling:
                task.cancel()

    async def room(self) -> None:
        """Wait until a message would be taken, or nobody hears."""
        while self._lane.is_up and not self._lane.has_room:  # noqa: ASYNC110 - paho has no event
            await asyncio.sleep(_BUSY_SECONDS)

    def say(self, measured: Mapping[str, payload.Value]) -> bool:
        """Publish what the device measures now, and what it is set to; False when nobody heard."""
        self._measured.update(measured)
        return self._publish({**measured, **self._readable()})

    def _publish(self, values: Mapping[str, payload.Value]) -> bool:
        topic = self._played.topic(self._played.profile.mqtt.telemetry_topic)
        body = document(self._played.profile.properties, values, self._clock.now())
        try:
            self._lane.publish(topic, body, qos=1)
        except connection.NotSentError:
            self.tally.unsent += 1
            return False
        self.tally.published += 1
        return True

    def _readable(self) -> dict[str, payload.Value]:
        found = self._played.profile.find_property
        return {
            name: value
            for name, value in self.values.items()
            if (each := found(name)) is not None and each.access != deviceprofile.Access.WRITE
        }

    def _take(self, message: connection.MqttMessage) -> None:
        now = self._clock.now()
        if message.retained:
            self.tally.commands["Retained"] += 1
            self._log.write("Retained", now, topic=message.topic)
            return
        taken = self._machine.take(self._state, message.payload, now)
        self._state = taken.state
        self.tally.commands[str(taken.reason or taken.result)] += 1
        if taken.order is None or taken.result is None:
            self._log.write("Malformed", now, size=len(message.payload))
            return
        self._note(now, taken.result, taken.order, taken.reason)
        if taken.answer is not None:
            self._answer(taken.answer)
        if taken.result is command.Result.ACCEPTED:
            task = asyncio.ensure_future(self._settle(taken, taken.order))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    async def _settle(self, taken: machine.Taken, order: command.Command) -> None:
        """Let the values follow the command, then say so."""
        await self._clock.sleep(taken.settling)
        now = self._clock.now()
        self.values.update(taken.changes)
        self.tally.applied += 1
        self._note(now, command.Result.DONE, order, None)
        self._answer(
            command.Acknowledgement(
                command_id=order.command_id, result=command.Result.DONE, time=now
            )
        )
        readable = self._readable()
        changed = {name: readable[name] for name in taken.changes if name in readable}
        if changed:
            self._publish(changed)

    def _note(
        self,
        now: datetime,
        result: command.Result,
        order: command.Command,
        reason: machine.Refusal | None,
    ) -> None:
        facts: dict[str, Any] = {"result": result.value}
        if reason is not None:
            facts["reason"] = reason.value
        self._log.write(
            "Command",
            now,
            **facts,
            command=order.model_dump(mode="json", by_alias=True, exclude_none=True),
        )

    def _answer(self, answer: command.Acknowledgement) -> None:
        template = self._played.profile.mqtt.acknowledgement_topic
        if template is None:
            return
        with contextlib.suppress(connection.NotSentError):
            self._lane.publish(self._played.topic(template), answer.encode(), qos=1)


def document(
    properties: tuple[deviceprofile.Property, ...],
    values: Mapping[str, payload.Value],
    now: datetime,
) -> bytes:
    """Render a telemetry document, each value where the profile looks for it, stamped now."""
    root: dict[str, Any] = {}
    for each in properties:
        if each.name in values:
            _put(root, payload.pointer(each.path or f"/{each.name}"), values[each.name])
            if each.timestamp_path is not None:
                _put(root, payload.pointer(each.timestamp_path), now.isoformat())
    return orjson.dumps(root)


def _put(root: dict[str, Any], path: tuple[str, ...], value: payload.Value) -> None:
    for step in path[:-1]:
        root = root.setdefault(step, {})
    root[path[-1]] = value


def _remember(path: Path) -> machine.State:
    """Read epoch, holder and answers from the end of an older log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            lines = file.read(_TAIL).splitlines()
    except FileNotFoundError:
        return machine.State()
    state = machine.State()
    for line in lines:
        with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            found = orjson.loads(line)
            order = found["command"]
            if found.get("reason") in command.OUTRANKED:
                continue  # whoever was refused then must not be taken for the holder now
            state = machine.follow(state, int(order["epoch"]), str(order["holder"]))
            state = machine.recall(state, _read_answer(found))
    return state


def _read_answer(line: Mapping[str, Any]) -> command.Acknowledgement:
    """Return the answer that one line of the log stands for. Raises KeyError, ValueError."""
    return command.Acknowledgement(
        command_id=line["command"]["commandId"],
        result=line["result"],
        reason=line.get("reason"),
        time=datetime.fromisoformat(line["time"]),
    )

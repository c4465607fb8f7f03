"""The played device, whatever carries its messages: MQTT (`player`) or a rehearsal (`driver`).

    a row ──measure──► telemetry
    a command ──take──► answer, at once ──(settling time)──► settle ──► Done, changed values

Its log is the truth that tests read: every command with its result, holder, epoch and time, as the
device saw it. A device that is started again on the same log remembers from it the highest epoch,
its holder and which commands it has answered, as a real one remembers them in flash.
"""

import contextlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import orjson

from foreshore_agent.devices.codecs import leaf, places
from foreshore_agent.play import machine, stage
from foreshore_api.reasons import command as outcomes
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import command

_TAIL: Final = 1 << 20
"""Bytes of an older log that are read again."""


@dataclass(slots=True)
class DeviceTally:
    """What happened so far."""

    published: int = 0
    unsent: int = 0
    """Messages that nobody heard."""
    commands: Counter[str] = field(default_factory=Counter)
    """By result, or by the reason of a refusal."""
    applied: int = 0


class DeviceLog:
    """JSON Lines, one line a command or change, written through at once."""

    def __init__(self, path: Path | None) -> None:
        self._file: IO[bytes] | None = None
        self.remembered: machine.DeviceMemory = machine.DeviceMemory()
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


class Reaction(NamedTuple):
    """What the device does about one message on its command topic."""

    answer: bytes | None = None
    """For the acknowledgement topic, if there is one."""
    settling: "Settling | None" = None
    """What follows once the values have settled; None where the command was not accepted."""


class Settling(NamedTuple):
    """A command that was accepted and is not done."""

    order: command.Command
    changes: Mapping[str, leaf.Value]
    seconds: float
    """Until its values have settled."""


class Settled(NamedTuple):
    """What the device reports once a command is done."""

    answer: bytes | None
    telemetry: bytes | None
    """The values that changed; None where none of them can be read."""


class PlayedDevice:
    """One device; the caller carries its messages and tells it the time."""

    def __init__(self, staged: stage.PlayedStage, log: DeviceLog, speed: float = 1.0) -> None:
        """Take over from an older log.

        Args:
            staged: the device, with its profile.
            log: where it notes what happens.
            speed: how many times as fast as the network its clock runs.
        """
        self.tally: Final = DeviceTally()
        self._stage: Final = staged
        self._log: Final = log
        self._machine: Final = machine.Machine(staged.profile, speed)
        self._state = log.remembered
        self.values: dict[str, leaf.Value] = self._machine.initial()

    def measure(self, measured: Mapping[str, leaf.Value | None], now: datetime) -> bytes:
        """Return the telemetry of one row: what is measured now, and what the device is set to.

        None stands for a property of which it says that there is no value.
        """
        return self._telemetry({**measured, **self._readable()}, now)

    def take(self, body: bytes, now: datetime) -> Reaction:
        """Take one message from the command topic."""
        taken = self._machine.take(self._state, body, now)
        self._state = taken.state
        self.tally.commands[str(taken.reason or taken.result)] += 1
        if taken.order is None or taken.result is None:
            self._log.write("Malformed", now, size=len(body))
            return Reaction()
        self._note(now, taken.result, taken.order, taken.reason)
        answer = None if taken.answer is None else self._answer(taken.answer)
        if taken.result is not command.Result.ACCEPTED:
            return Reaction(answer)
        return Reaction(answer, Settling(taken.order, taken.changes, taken.settling))

    def replies(self, action: str) -> bool:
        """Whether it answers an action in its own words, on a topic of its own."""
        declared = self._stage.profile.find_action(action)
        answer = None if declared is None else declared.acknowledgement
        return answer is not None and answer.reply is not None

    def ignore_retained(self, topic: str, now: datetime) -> None:
        """Note a command that the broker had kept: it is not carried out."""
        self.tally.commands["Retained"] += 1
        self._log.write("Retained", now, topic=topic)

    def settle(self, settling: Settling, now: datetime) -> Settled:
        """Let the values follow a command, and say so."""
        self.values.update(settling.changes)
        self.tally.applied += 1
        self._note(now, command.Result.DONE, settling.order, None)
        done = command.Acknowledgement(
            command_id=settling.order.command_id, result=command.Result.DONE, time=now
        )
        readable = self._readable()
        changed = {name: readable[name] for name in settling.changes if name in readable}
        return Settled(self._answer(done), self._telemetry(changed, now) if changed else None)

    def _telemetry(self, values: Mapping[str, leaf.Value | None], now: datetime) -> bytes:
        return document(self._stage.profile.properties, values, now)

    def _readable(self) -> dict[str, leaf.Value]:
        find = self._stage.profile.find_property
        return {
            name: value
            for name, value in self.values.items()
            if (declared := find(name)) is not None
            and declared.access != deviceprofile.Access.WRITE
        }

    def _answer(self, answer: command.Acknowledgement) -> bytes | None:
        if self._stage.profile.mqtt.acknowledgement_topic is None:
            return None
        return answer.encode()

    def _note(
        self,
        now: datetime,
        result: command.Result,
        order: command.Command,
        reason: machine.CommandRefusal | None,
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


def document(
    properties: tuple[deviceprofile.Property, ...],
    values: Mapping[str, leaf.Value | None],
    now: datetime,
) -> bytes:
    """Render a telemetry document, each value where the profile looks for it, stamped now."""
    root: dict[str, Any] = {}
    for declared in properties:
        if declared.name in values:
            _put(root, places.pointer(declared.path or f"/{declared.name}"), values[declared.name])
            if declared.timestamp_path is not None:
                _put(root, places.pointer(declared.timestamp_path), now.isoformat())
    return orjson.dumps(root)


def _put(root: dict[str, Any], path: tuple[str, ...], value: leaf.Value | None) -> None:
    for step in path[:-1]:
        root = root.setdefault(step, {})
    root[path[-1]] = value


def _remember(path: Path) -> machine.DeviceMemory:
    """Read epoch, holder and answers from the end of an older log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            lines = file.read(_TAIL).splitlines()
    except FileNotFoundError:
        return machine.DeviceMemory()
    state = machine.DeviceMemory()
    for line in lines:
        with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            entry = orjson.loads(line)
            order = entry["command"]
            if entry.get("reason") in outcomes.OUTRANKED:
                continue  # whoever was refused then must not be taken for the holder now
            state = machine.follow(state, int(order["epoch"]), str(order["holder"]))
            state = machine.recall(state, _read_answer(entry))
    return state


def _read_answer(line: Mapping[str, Any]) -> command.Acknowledgement:
    """Return the answer that one line of the log stands for. Raises KeyError, ValueError."""
    return command.Acknowledgement(
        command_id=line["command"]["commandId"],
        result=line["result"],
        reason=line.get("reason"),
        time=datetime.fromisoformat(line["time"]),
    )

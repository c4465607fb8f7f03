"""What the played device does with a command: pure; the player gives it bytes and the time.

malformed ─► nothing to answer
epoch lower than the highest seen, or equal from another holder ─► Rejected
seen before ─► the first answer again         notAfter passed ─► Rejected
no such action, input missing, of the wrong type or out of bounds ─► Rejected
else ─► Accepted, then Done once the values have settled
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import ValidationError

from foreshore_agent.devices.codecs import document, leaf
from foreshore_api import scalars
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import command

REMEMBERED: Final = 4096
"""Command keys that are kept, the newest ones: far longer than any time to live."""


class CommandRefusal(StrEnum):
    """Why a command is refused."""

    MALFORMED = "Malformed"
    LOWER_EPOCH = "LowerEpoch"
    OTHER_HOLDER = "OtherHolder"
    DUPLICATE = "Duplicate"
    EXPIRED = "Expired"
    UNKNOWN_ACTION = "UnknownAction"
    INVALID_INPUT = "InvalidInput"
    OUT_OF_BOUNDS = "OutOfBounds"


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """What the device remembers."""

    epoch: int = 0
    """Highest epoch seen."""
    holder: str | None = None
    """Who came with it."""
    answers: Mapping[str, command.Acknowledgement] = field(default_factory=dict)
    """First answer to each command, oldest first."""


@dataclass(frozen=True, slots=True)
class TakenCommand:
    """What became of one message on the command topic."""

    state: DeviceMemory
    result: command.Result | None
    """None for a message that is no command: it cannot be answered."""
    reason: CommandRefusal | None = None
    order: command.Command | None = None
    answer: command.Acknowledgement | None = None
    changes: Mapping[str, leaf.Value] = field(default_factory=dict)
    """Property values that the command sets, once they have settled."""
    settling: float = 0.0
    """Seconds until then."""


class Machine:
    """The rules of one device."""

    def __init__(self, profile: deviceprofile.DeviceProfileSpec, patience: float = 1.0) -> None:
        """Take the rules from a profile.

        Args:
            profile: the device's profile, narrowed.
            patience: how many times its time to live a command may be under way: more than once
                when the clock runs faster than the network (a rehearsal).
        """
        self._profile: Final = profile
        self._patience: Final = patience

    def initial(self) -> dict[str, leaf.Value]:
        """Return the values before anybody commands: the safe state's, else the least allowed."""
        values: dict[str, leaf.Value] = {}
        safe = self._profile.safe_state
        for action in self._profile.actions:
            for given in action.input:
                if given.property is None:
                    continue
                value = _least(given)
                if safe is not None and safe.action == action.name:
                    safe_values = {entry.name: entry.value for entry in safe.input}
                    if given.name in safe_values:
                        value = scalars.literal(safe_values[given.name], given.type.value)
                values.setdefault(given.property, value)
        return values

    def take(self, state: DeviceMemory, body: bytes, now: datetime) -> TakenCommand:
        """Take one message from the command topic."""
        try:
            order = command.Command.model_validate(document.read_object(body))
        except (leaf.PayloadError, ValidationError):
            return TakenCommand(state, None, CommandRefusal.MALFORMED)
        refusal = _outranked(state, order)
        if refusal is None:
            state = follow(state, order.epoch, order.holder)
            first = state.answers.get(order.command_id)
            if first is not None:
                return TakenCommand(
                    state, command.Result.REJECTED, CommandRefusal.DUPLICATE, order, first
                )
            refusal = self._refusal(order, now)
        result = command.Result.REJECTED if refusal else command.Result.ACCEPTED
        answer = command.Acknowledgement(
            command_id=order.command_id, result=result, reason=refusal, time=now
        )
        if refusal is not None:
            return TakenCommand(_remember(state, answer), result, refusal, order, answer)
        changes, settling = self._changes(order)
        return TakenCommand(
            _remember(state, answer), result, None, order, answer, changes, settling
        )

    def _refusal(self, order: command.Command, now: datetime) -> CommandRefusal | None:
        life = (order.not_after - order.issued_at).total_seconds() * self._patience
        if (now - order.issued_at).total_seconds() > life:
            return CommandRefusal.EXPIRED
        action = self._profile.find_action(order.action)
        if action is None:
            return CommandRefusal.UNKNOWN_ACTION
        if set(order.input) != {given.name for given in action.input}:
            return CommandRefusal.INVALID_INPUT
        for given in action.input:
            problem = _problem(given, order.input[given.name])
            if problem is not None:
                return problem
        return None

    def _changes(self, order: command.Command) -> tuple[dict[str, leaf.Value], float]:
        changes: dict[str, leaf.Value] = {}
        settling = 0.0
        action = self._profile.find_action(order.action)
        for given in action.input if action is not None else ():
            if given.property is not None:
                changes[given.property] = leaf.typed(order.input[given.name], given.type)
                changed = self._profile.find_property(given.property)
                if changed is not None:
                    settling = max(settling, scalars.seconds(changed.settling_time))
        return changes, settling


def follow(state: DeviceMemory, epoch: int, holder: str) -> DeviceMemory:
    """Return what a device knows once it has seen a holder that it obeys: epochs never fall."""
    return replace(state, epoch=epoch, holder=holder) if epoch >= state.epoch else state


def recall(state: DeviceMemory, answer: command.Acknowledgement) -> DeviceMemory:
    """Return what a device knows once it has read an answer in its log; only the first counts."""
    return state if answer.command_id in state.answers else _remember(state, answer)


def _outranked(state: DeviceMemory, order: command.Command) -> CommandRefusal | None:
    if order.epoch < state.epoch:
        return CommandRefusal.LOWER_EPOCH
    if order.epoch == state.epoch and state.holder not in (None, order.holder):
        return CommandRefusal.OTHER_HOLDER
    return None


def _remember(state: DeviceMemory, answer: command.Acknowledgement) -> DeviceMemory:
    answers = {**state.answers, answer.command_id: answer}
    if len(answers) > REMEMBERED:
        del answers[next(iter(answers))]
    return replace(state, answers=answers)


def _problem(declared: deviceprofile.ActionInput, given: object) -> CommandRefusal | None:
    try:
        value = leaf.typed(given, declared.type)
    except leaf.PayloadError:
        return CommandRefusal.INVALID_INPUT
    if isinstance(value, bool | str):
        return None
    low = -math.inf if declared.minimum is None else scalars.number(declared.minimum)
    high = math.inf if declared.maximum is None else scalars.number(declared.maximum)
    return None if low <= value <= high else CommandRefusal.OUT_OF_BOUNDS


def _least(declared: deviceprofile.ActionInput) -> leaf.Value:
    match declared.type:
        case deviceprofile.DataType.NUMBER:
            return 0.0 if declared.minimum is None else scalars.number(declared.minimum)
        case deviceprofile.DataType.INTEGER:
            return 0 if declared.minimum is None else math.ceil(scalars.number(declared.minimum))
        case deviceprofile.DataType.BOOLEAN:
            return False
        case deviceprofile.DataType.STRING:
            return ""

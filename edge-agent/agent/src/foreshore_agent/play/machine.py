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

from foreshore_agent.devices.codecs import payload
from foreshore_api import scalars
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import command

REMEMBERED: Final = 4096
"""Command keys that are kept, the newest ones: far longer than any time to live."""


class Refusal(StrEnum):
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
class State:
    """What the device remembers."""

    epoch: int = 0
    """Highest epoch seen."""
    holder: str | None = None
    """Who came with it."""
    answers: Mapping[str, command.Acknowledgement] = field(default_factory=dict)
    """First answer to each command, oldest first."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one message on the command topic."""

    state: State
    result: command.Result | None
    """None for a message that is no command: it cannot be answered."""
    reason: Refusal | None = None
    order: command.Command | None = None
    answer: command.Acknowledgement | None = None
    changes: Mapping[str, payload.Value] = field(default_factory=dict)
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

    def initial(self) -> dict[str, payload.Value]:
        """Return the values before anybody commands: the safe state's, else the least allowed."""
        found: dict[str, payload.Value] = {}
        safe = self._profile.safe_state
        for action in self._profile.actions:
            for each in action.input:
                if each.property is None:
                    continue
                value = _least(each)
                if safe is not None and safe.action == action.name:
                    given = {one.name: one.value for one in safe.input}
                    if each.name in given:
                        value = scalars.literal(given[each.name], each.type.value)
                found.setdefault(each.property, value)
        return found

    def take(self, state: State, body: bytes, now: datetime) -> Taken:
        """Take one message from the command topic."""
        try:
            document = payload.read(body)
            order = command.Command.model_validate(document)
        except (payload.PayloadError, ValidationError):
            return Taken(state, None, Refusal.MALFORMED)
        refusal = _outranked(state, order)
        if refusal is None:
            state = follow(state, order.epoch, order.holder)
            known = state.answers.get(order.command_id)
            if known is not None:
                return Taken(state, command.Result.REJECTED, Refusal.DUPLICATE, order, known)
            refusal = self._refusal(order, now)
        result = command.Result.REJECTED if refusal else command.Result.ACCEPTED
        answer = command.Acknowledgement(
            command_id=order.command_id, result=result, reason=refusal, time=now
        )
        if refusal is not None:
            return Taken(_remember(state, answer), result, refusal, order, answer)
        changes, settling = self._changes(order)
        return Taken(_remember(state, answer), result, None, order, answer, changes, settling)

    def _refusal(self, order: command.Command, now: datetime) -> Refusal | None:
        life = (order.not_after - order.issued_at).total_seconds() * self._patience
        if (now - order.issued_at).total_seconds() > life:
            return Refusal.EXPIRED
        action = self._profile.find_action(order.action)
        if action is None:
            return Refusal.UNKNOWN_ACTION
        if set(order.input) != {each.name for each in action.input}:
            return Refusal.INVALID_INPUT
        for each in action.input:
            problem = _problem(each, order.input[each.name])
            if problem is not None:
                return problem
        return None

    def _changes(self, order: command.Command) -> tuple[dict[str, payload.Value], float]:
        changes: dict[str, payload.Value] = {}
        settling = 0.0
        action = self._profile.find_action(order.action)
        for each in action.input if action is not None else ():
            if each.property is not None:
                changes[each.property] = payload.typed(order.input[each.name], each.type)
                found = self._profile.find_property(each.property)
                if found is not None:
                    settling = max(settling, scalars.seconds(found.settling_time))
        return changes, settling


def follow(state: State, epoch: int, holder: str) -> State:
    """Return what a device knows once it has seen a holder that it obeys: epochs never fall."""
    return replace(state, epoch=epoch, holder=holder) if epoch >= state.epoch else state


def recall(state: State, answer: command.Acknowledgement) -> State:
    """Return what a device knows once it has read an answer in its log; only the first counts."""
    return state if answer.command_id in state.answers else _remember(state, answer)


def _outranked(state: State, order: command.Command) -> Refusal | None:
    if order.epoch < state.epoch:
        return Refusal.LOWER_EPOCH
    if order.epoch == state.epoch and state.holder not in (None, order.holder):
        return Refusal.OTHER_HOLDER
    return None


def _remember(state: State, answer: command.Acknowledgement) -> State:
    answers = {**state.answers, answer.command_id: answer}
    if len(answers) > REMEMBERED:
        del answers[next(iter(answers))]
    return replace(state, answers=answers)


def _problem(each: deviceprofile.ActionInput, given: object) -> Refusal | None:
    try:
        value = payload.typed(given, each.type)
    except payload.PayloadError:
        return Refusal.INVALID_INPUT
    if isinstance(value, bool | str):
        return None
    low = -math.inf if each.minimum is None else scalars.number(each.minimum)
    high = math.inf if each.maximum is None else scalars.number(each.maximum)
    return None if low <= value <= high else Refusal.OUT_OF_BOUNDS


def _least(each: deviceprofile.ActionInput) -> payload.Value:
    match each.type:
        case deviceprofile.DataType.NUMBER:
            return 0.0 if each.minimum is None else scalars.number(each.minimum)
        case deviceprofile.DataType.INTEGER:
            return 0 if each.minimum is None else math.ceil(scalars.number(each.minimum))
        case deviceprofile.DataType.BOOLEAN:
            return False
        case deviceprofile.DataType.STRING:
            return ""

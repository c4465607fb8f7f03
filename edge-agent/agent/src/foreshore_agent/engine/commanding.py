"""A command's life after the verdict: intent, sending, answer, confirmation; or nobody knows.

    issue ──► Intent ──durable──► Sending ──sent───────► Answer ──Accepted, Done──► Confirmation
                │ failed             │ not sent             │ Rejected                 │ read back
                ▼                    ▼                      ▼                          ▼
              Error               NotSent                Rejected            Confirmed, Unconfirmed
    what it rests on changed before it left (policy, device, mode, right): NotSent
    a newer command on the actuator: Superseded
    a restart, or nobody answers: Unknown, and the actuator is held for this policy until a
    read-back shows that it was done, or time to live and settling time have passed (idempotent:
    doing it again is harmless)

At most once: a command leaves on `IntentDurable` and on nothing else, and nothing sends it again:
what comes twice finds it in another phase.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, NamedTuple

from foreshore_agent.engine import (
    composing,
    durable,
    effects,
    ledger,
    lowering,
    reading_back,
    recording,
)
from foreshore_agent.engine.events import Instant, Key
from foreshore_agent.engine.state import EMPTY, Device, Intent, Phase, State
from foreshore_api.v1alpha1.device import Lock
from foreshore_api.wire import command, histogram, metrics
from foreshore_api.wire import record as wire
from foreshore_decision import fencing
from foreshore_decision.chain import evaluate, facts, modes, reasons
from foreshore_decision.policy import compiled

ANSWER_GRACE: Final = 1.0
"""Seconds beyond its time to live after which a command without an answer is Unknown."""

TOO_LATE: Final = "TooLate"
AUTHORITY_LOST: Final = "AuthorityLost"
DEVICE_LOCKED: Final = "DeviceLocked"
MODE_LOWERED: Final = "ModeLowered"
NO_ACKNOWLEDGEMENT: Final = "NoAcknowledgement"
UNASSIGNED: Final = "Unassigned"
RESTARTED: Final = "Restarted"
NEWER_COMMAND: Final = "NewerCommand"
READ_BACK_NEAR: Final = "ReadBackNear"
READ_BACK_DIFFERS: Final = "ReadBackDiffers"
NO_READ_BACK: Final = "NoReadBack"

Outcome = wire.Outcome

LEAVING: Final[Mapping[Phase, Outcome]] = MappingProxyType(
    {
        Phase.INTENT: Outcome.NOT_SENT,
        Phase.SENDING: Outcome.UNKNOWN,
        Phase.ANSWER: Outcome.UNKNOWN,
        Phase.CONFIRMATION: Outcome.UNCONFIRMED,
        Phase.UNKNOWN: Outcome.UNCONFIRMED,
    }
)
"""What becomes of a command whose device leaves: an intent is never sent after that."""

Effects = tuple[effects.Effect, ...]


class Done(NamedTuple):
    """The device after a step of a command's life, and what is to be done."""

    device: Device
    effects: Effects = ()


Act = Callable[[State, Device, Intent, Instant], Done]


def issue(
    state: State,
    device: Device,
    policy: Key,
    evaluation: evaluate.Evaluation,
    received: float,
    at: Instant,
    latency: Mapping[str, float],
) -> Done:
    """Take the rate limits' tokens and make the intent durable; nothing has left yet."""
    given = evaluation.facts.given
    message = composing.command(device.key, policy, evaluation.facts, at)
    waited = sum(latency.values()) - latency.get(histogram.Stage.DECIDE.value, 0.0)
    intent = composing.intent(policy, evaluation, received, at)._replace(
        waited=waited, command=message, evaluation=evaluation
    )
    device = ledger.opened(ledger.charged(device, policy, given.seconds), intent)
    line = recording.decision(
        state,
        evaluation,
        wire.Verdict.COMMANDED,
        at,
        command=message,
        latency=latency,
        sampled_rate=None,
    )
    value = durable.device_value(device, state.identity, given.seconds)
    key = effects.IntentKey(intent.decision_id, policy, device.key)
    return Done(device, (effects.Journal((line,), key, (value,)),))


def send(state: State, device: Device, intent: Intent, at: Instant) -> Done:
    """Send what is durable, unless meanwhile it must not leave any more."""
    if intent.phase is not Phase.INTENT or intent.command is None:
        return Done(device)
    obstacle = _obstacle(state, device, intent, at)
    if obstacle is not None:
        return close(state, device, intent, Outcome.NOT_SENT, obstacle, at)
    # the boot clock counts a suspend, the monotonic one does not
    deadline = at.monotonic + (intent.deadline - at.boot)
    sending = intent._replace(phase=Phase.SENDING, command=None, evaluation=None)
    device = ledger.opened(device, sending)
    return Done(device, (replace(intent.command, deadline=deadline),))


def not_recorded(state: State, device: Device, intent: Intent, at: Instant) -> Done:
    """Undo an intent that could not be written: no record, no act."""
    if intent.phase is not Phase.INTENT:
        return Done(device)
    evaluation = intent.evaluation
    device = ledger.refunded(ledger.closed(device, intent), intent)
    if evaluation is None:
        return Done(device)
    entry = facts.Entry("Record", wire.Phase.ERROR, reasons.RECORDER_FULL)
    failed = evaluation._replace(decided_by=entry, entries=(*evaluation.entries, entry))
    line = recording.decision(
        state, failed, wire.Verdict.ERROR, at, command=None, latency={}, sampled_rate=None
    )
    value = durable.device_value(device, state.identity, state.identity.seconds(at))
    decided = effects.Decided(
        intent.policy,
        device.key,
        wire.Verdict.ERROR,
        reasons.RECORDER_FULL,
        evaluate.rules(evaluation),
        evaluation.facts.given.trigger.received,
    )
    return Done(device, (effects.Journal((line,), None, (value,)), decided))


def not_sent(reason: str) -> Act:
    """Return the step of a command that surely did not leave."""

    def act(state: State, device: Device, intent: Intent, at: Instant) -> Done:
        if intent.phase is not Phase.SENDING:
            return Done(device)
        return close(state, device, intent, Outcome.NOT_SENT, reason, at)

    return act


def sent(state: State, device: Device, intent: Intent, at: Instant) -> Done:
    """Wait for the answer; older commands of the actuator need no confirmation any more."""
    if intent.phase is not Phase.SENDING:
        return Done(device)
    due = at.monotonic + max(0.0, intent.deadline - at.boot) + ANSWER_GRACE
    waiting = intent._replace(phase=Phase.ANSWER, published=at.monotonic, due=due)
    device = ledger.opened(device, waiting)
    decide = max(0.0, at.monotonic - intent.received - intent.waited)
    done: tuple[effects.Effect, ...] = (
        effects.Observe(intent.policy, histogram.Stage.DECIDE, decide),
    )
    for older in tuple(device.open.values()):
        is_waiting = older.phase is Phase.CONFIRMATION and older.decision_id != intent.decision_id
        if is_waiting and not older.actuators.isdisjoint(intent.actuators):
            device, more = close(state, device, older, Outcome.SUPERSEDED, NEWER_COMMAND, at)
            done += more
    return Done(device, done)


def answered(
    state: State, device: Device, intent: Intent, answer: command.Acknowledgement, at: Instant
) -> Done:
    """Take the device's answer; Done after Accepted says that the values have settled."""
    if intent.phase is Phase.CONFIRMATION and answer.result is command.Result.DONE:
        return _settled(state, device, intent, at)
    if intent.phase not in (Phase.SENDING, Phase.ANSWER):
        return Done(device)
    reason = answer.reason or answer.result.value
    if answer.result is command.Result.REJECTED:
        return close(state, device, intent, Outcome.REJECTED, reason, at)
    actuate = max(0.0, at.monotonic - (intent.published or at.monotonic))
    whole = max(0.0, at.monotonic - intent.received)
    latency = {histogram.Stage.ACTUATE.value: actuate, histogram.Stage.END_TO_END.value: whole}
    stages = tuple(effects.Observe(intent.policy, stage, each) for stage, each in latency.items())
    confirmation = reading_back.confirmation(device, intent)
    if confirmation is None:
        device, done = close(
            state, device, intent, Outcome.ACKNOWLEDGED, reason, at, latency=latency
        )
        return Done(device, (*stages, *done))
    is_done = answer.result is command.Result.DONE
    settles = at.monotonic if is_done else intent.published + intent.settling
    due = at.monotonic + confirmation.timeout
    waiting = intent._replace(phase=Phase.CONFIRMATION, settles=settles, due=due)
    device = ledger.opened(device, waiting)
    done = _recorded(state, device, intent, Outcome.ACKNOWLEDGED, reason, at, latency=latency)
    return Done(device, (*stages, *done))


def _settled(state: State, device: Device, intent: Intent, at: Instant) -> Done:
    """Believe the device that its values have settled; the reading may have come before Done."""
    device = ledger.opened(device, intent._replace(settles=at.monotonic))
    confirmation = reading_back.confirmation(device, intent)
    reading = None if confirmation is None else device.readings.get(confirmation.property)
    if (
        reading is None
        or reading.received <= intent.issued
        or not reading_back.is_near(device, intent)
    ):
        return Done(device)
    measured = reading_back.measured(device, intent)
    return close(state, device, intent, Outcome.CONFIRMED, READ_BACK_NEAR, at, read_back=measured)


def read_back(state: State, device: Device, properties: frozenset[str], at: Instant) -> Done:
    """Compare fresh measurements with what was commanded."""
    done: tuple[effects.Effect, ...] = ()
    for intent in tuple(device.open.values()):
        if not reading_back.counts(device, intent, properties, at):
            continue
        if not reading_back.is_near(device, intent):
            device = ledger.opened(device, intent._replace(is_compared=True))
            continue
        measured = reading_back.measured(device, intent)
        device, more = close(
            state, device, intent, Outcome.CONFIRMED, READ_BACK_NEAR, at, read_back=measured
        )
        done += more
    return Done(device, done)


def expire(state: State, device: Device, at: Instant) -> Done:
    """End what has waited long enough."""
    done: tuple[effects.Effect, ...] = ()
    for intent in tuple(device.open.values()):
        if at.monotonic < intent.due:
            continue
        if intent.phase is Phase.ANSWER:
            device, more = _unanswered(state, device, intent, at)
        else:
            reason = READ_BACK_DIFFERS if intent.is_compared else NO_READ_BACK
            measured = reading_back.measured(device, intent)
            device, more = close(
                state, device, intent, Outcome.UNCONFIRMED, reason, at, read_back=measured
            )
        done += more
    return Done(device, done)


def _held(device: Device, intent: Intent, seconds: float, at: Instant) -> Device:
    """Hold the actuators while nobody knows whether a command was done."""
    wait = intent.time_to_live + intent.settling
    unknown = intent._replace(phase=Phase.UNKNOWN, due=at.monotonic + wait)
    return ledger.held(ledger.opened(device, unknown), intent.policy, seconds + wait)


def _unanswered(state: State, device: Device, intent: Intent, at: Instant) -> Done:
    """Say that nobody answered; where an answer was due, hold and read back as after a restart."""
    binding = device.bindings.get(intent.policy)
    if binding is None or binding.compiled.topics.acknowledgement is None:
        return close(state, device, intent, Outcome.UNKNOWN, NO_ACKNOWLEDGEMENT, at)
    device = _held(device, intent, state.identity.seconds(at), at)
    done = _recorded(state, device, intent, Outcome.UNKNOWN, NO_ACKNOWLEDGEMENT, at)
    return Done(device, done)


def recover(state: State, device: Device, intents: Iterable[Intent], at: Instant) -> Done:
    """After a restart: nobody knows what became of these. Say so, hold, and read back.

    All of it in one effect: a crash in the middle must not leave some of them forgotten.
    """
    seconds = state.identity.seconds(at)
    lines: list[effects.Record] = []
    counts: list[effects.Effect] = []
    for intent in intents:
        device = _held(device, intent, seconds, at)
        if intent.phase is not Phase.UNKNOWN:
            lines.append(recording.outcome(state, device, intent, Outcome.UNKNOWN, RESTARTED, at))
            counts.append(_count(intent, Outcome.UNKNOWN))
    if not lines:
        return Done(device)
    value = durable.device_value(device, state.identity, seconds)
    return Done(device, (effects.Journal(tuple(lines), None, (value,)), *counts))


def spend(device: Device, seconds: float) -> Device:
    """Begin as if everything had just been commanded: nobody knows any more what was."""
    for name, binding in device.bindings.items():
        made = binding.compiled
        rates = [each for each in (made.policy_rate, made.actuator_rate) if each is not None]
        for _ in range(max([1, *(each.burst for each in rates)])):
            device = ledger.charged(device, name, seconds)
        wait = made.action.time_to_live + made.action.settling_time
        device = ledger.held(device, name, seconds + wait)
    return device


def leave(state: State, device: Device, at: Instant) -> Done:
    """Say what is known of open commands of a device that is not assigned any more, and forget."""
    seconds = state.identity.seconds(at)
    lines: list[effects.Record] = []
    counts: list[effects.Effect] = []
    for intent in device.open.values():
        result = LEAVING[intent.phase]
        lines.append(recording.outcome(state, device, intent, result, UNASSIGNED, at))
        counts.append(_count(intent, result))
        if result is Outcome.UNKNOWN:
            device = _held(device, intent, seconds, at)
    if not lines:
        return Done(device)
    device = device._replace(open=EMPTY)
    value = durable.device_value(device, state.identity, seconds)
    return Done(device, (effects.Journal(tuple(lines), None, (value,)), *counts))


def close(
    state: State,
    device: Device,
    intent: Intent,
    result: Outcome,
    reason: str,
    at: Instant,
    *,
    read_back: Mapping[str, float | None] | None = None,
    latency: Mapping[str, float] | None = None,
) -> Done:
    """Record the last word about a command and forget it; a hold ends with what it waited for."""
    device = ledger.closed(device, intent)
    if intent.phase is Phase.UNKNOWN:
        device = ledger.let_go(device, intent.policy)
    done = _recorded(
        state, device, intent, result, reason, at, read_back=read_back, latency=latency
    )
    return Done(device, done)


def _recorded(
    state: State,
    device: Device,
    intent: Intent,
    result: Outcome,
    reason: str,
    at: Instant,
    *,
    read_back: Mapping[str, float | None] | None = None,
    latency: Mapping[str, float] | None = None,
) -> tuple[effects.Effect, ...]:
    line = recording.outcome(
        state, device, intent, result, reason, at, read_back=read_back, latency=latency
    )
    value = durable.device_value(device, state.identity, state.identity.seconds(at))
    return (effects.Journal((line,), None, (value,)), _count(intent, result))


def _count(intent: Intent, result: Outcome) -> effects.Count:
    return effects.Count(metrics.COMMANDS.name, (str(intent.policy), result.value))


def _obstacle(state: State, device: Device, intent: Intent, at: Instant) -> str | None:
    """Return why an intent that is durable by now must not leave any more."""
    if at.boot > intent.deadline:
        return TOO_LATE
    if not fencing.standing(device.authority, at.boot).is_permitting:
        return AUTHORITY_LOST
    if device.assigned.spec.lock is Lock.LOCKED:
        return DEVICE_LOCKED
    binding = device.bindings.get(intent.policy)
    if binding is None:
        return reasons.POLICY_CHANGED
    return _change(state, binding.compiled, intent)


def _change(state: State, made: compiled.CompiledPolicy, intent: Intent) -> str | None:
    """Return what of the policy has changed since the verdict."""
    mode, caps = lowering.effective(state, made)
    if not modes.is_acting(mode):
        return caps[0].reason if caps else MODE_LOWERED
    is_same = all(
        intent.identity[kind]["digest"] == made.identity[kind]["digest"]
        for kind in ("policy", "device")
    )
    return None if is_same else reasons.POLICY_CHANGED

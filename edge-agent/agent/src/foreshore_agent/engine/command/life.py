"""What happens to commands, taken into their lives: `table` says what follows.

Called by `deciding` (a verdict issues a command), `step` (answers, measurements, time) and
`assigning` (devices come and go, also over a restart). Everything that one call records goes into
one effect, with the device's durable value: a crash in the middle forgets none of it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Final, assert_never

from foreshore_agent.engine import durable, effects, events, recording
from foreshore_agent.engine.command import ledger, read_back, table, unrecorded
from foreshore_agent.engine.command.table import CommandEvent, News
from foreshore_agent.engine.events import Key
from foreshore_agent.engine.state import (
    CommandState,
    DeviceState,
    Intent,
    Remembered,
    command_id,
)
from foreshore_agent.engine.turn import Change, Turn
from foreshore_api.reasons import Reason, agent, telemetry
from foreshore_api.reasons import command as reasons
from foreshore_api.v1alpha1.commanding import AcknowledgementKind
from foreshore_api.v1alpha1.device import Lock
from foreshore_api.wire import command, histogram, metrics, record
from foreshore_decision import fencing
from foreshore_decision.chain import evaluate, facts, modes
from foreshore_decision.policy import CompiledPolicy, templates

ANSWERS: Final[Mapping[command.Result, Reason]] = MappingProxyType(
    {
        command.Result.ACCEPTED: reasons.ACCEPTED,
        command.Result.REJECTED: reasons.REJECTED,
        command.Result.DONE: reasons.DONE,
    }
)
"""What an answer means that gives no reason of its own."""


def issue(
    turn: Turn,
    device: DeviceState,
    evaluation: evaluate.Evaluation,
    received: float,
    latency: Mapping[str, float],
) -> Change[DeviceState]:
    """Take the rate limits' tokens and make the intent durable; nothing has left yet.

    The decision is recorded once the command has left; where its record would have no room for what
    it is made of, nothing is commanded. `received` is monotonic, of the sample that triggered the
    decision; `latency` is the decision's seconds by stage.
    """
    message = _command(turn, device.key, evaluation.facts)
    intent = _intent(turn, message, evaluation, received)
    intent = intent._replace(
        waited=sum(latency.values()) - latency.get(histogram.Stage.DECIDE.value, 0.0),
        unrecorded=unrecorded.compact(turn, evaluation, message, latency),
        fixed=durable.fixed(intent),
    )
    device = durable.logged(ledger.issued(device, intent))
    if intent.unrecorded is not None and intent.unrecorded.is_too_long:
        return intent_failed(turn, device, intent, agent.RECORD_TOO_LARGE)
    key = effects.IntentKey(intent.decision_id, message.policy, device.key)
    return Change(device, (effects.AppendRecords((), key, (durable.device_value(turn, device),)),))


def _command(turn: Turn, device: Key, decided: facts.Facts) -> effects.SendCommand:
    given, now = decided.given, turn.at.now
    made, action = given.policy, given.policy.action
    return effects.SendCommand(
        command_id=command_id(given.decision_id),
        attempt=1,
        policy=Key(made.namespace, made.name),
        device=device,
        action=action.name,
        values=dict(decided.limited or {}),
        holder=given.holder.node or "",  # a right without holder and epoch permits nothing
        epoch=given.holder.epoch or 0,
        priority=action.priority,
        issued_at=now,
        not_after=now + timedelta(seconds=action.time_to_live),
        time_to_live=action.time_to_live,
        deadline=turn.at.monotonic + action.time_to_live,
    )


def _intent(
    turn: Turn,
    message: effects.SendCommand,
    evaluation: evaluate.Evaluation,
    received: float,
) -> Intent:
    """Return the intent of a command; nothing of it is durable yet."""
    given = evaluation.facts.given
    made = given.policy
    action = made.action
    identity = {
        "policy": {**made.identity["policy"], "effectiveMode": given.mode.value},
        "device": made.identity["device"],
    }
    return Intent(
        decision_id=given.decision_id,
        command_id=message.command_id,
        policy=message.policy,
        action=action.name,
        values=message.values,
        properties={bound.name: bound.property for bound in action.bounds if bound.property},
        actuators=action.actuators,
        state=CommandState.INTENT,
        time_to_live=action.time_to_live,
        settling=action.settling_time,
        issued=turn.seconds,
        deadline=turn.at.boot + action.time_to_live,
        received=received,
        acknowledgement=made.acknowledgement,
        command=message,
        identity=identity,
    )


def is_already(turn: Turn, device: DeviceState, evaluation: evaluate.Evaluation) -> bool:
    """Whether a device with echo reports already what it would be told: nothing has to be sent.

    Not while the fate of a command to the same actuators is open: it may be about to change them.
    """
    made = evaluation.facts.given.policy
    if made.acknowledgement.echo is None or ledger.is_moving(device, made.action):
        return False
    return read_back.is_already(turn, device, made.action, evaluation.facts.limited or {})


def spare(
    turn: Turn, device: DeviceState, evaluation: evaluate.Evaluation, received: float
) -> tuple[effects.Record, effects.Effect]:
    """Return the outcome of a command that need not be sent, and what counts it.

    Nothing is issued: no intent, no token, no hold.
    """
    message = _command(turn, device.key, evaluation.facts)
    intent = _intent(turn, message, evaluation, received)
    result = record.Outcome.CONFIRMED
    values = read_back.measured(device, intent.properties.values())
    line = recording.outcome(
        turn, device, intent, result, reasons.ALREADY_EQUAL, measured=values, is_critical=False
    )
    count = effects.Count(metrics.COMMANDS.name, (str(intent.policy), result.value))
    return line, count


def intent_durable(turn: Turn, device: DeviceState, intent: Intent) -> Change[DeviceState]:
    """Send what is durable, unless meanwhile it must not leave any more.

    Right and deadline are looked at here and nowhere later but for the deadline, which the port
    looks at again. Between this look and the socket nothing is awaited and nothing written: the
    step returns the command, and the runtime hands it to the connection in the same turn of the
    event loop. For a device that nobody fences that is all that keeps two agents apart, together
    with the wait before a hand-over.
    """
    reason = obstacle(turn, device, intent)
    news = News(CommandEvent.DURABLE)
    if reason is not None:
        news = News(CommandEvent.OBSTRUCTED, reason)
    return advance(turn, device, ((intent.command_id, news),))


def intent_failed(
    turn: Turn, device: DeviceState, intent: Intent, reason: str
) -> Change[DeviceState]:
    """Undo an intent that could not be written."""
    return advance(turn, device, ((intent.command_id, News(CommandEvent.NOT_RECORDED, reason)),))


def sent(turn: Turn, device: DeviceState, intent: Intent) -> Change[DeviceState]:
    """Wait for the answer; older commands of the actuator need no confirmation any more.

    A report that overtakes the word that the command left may be its echo: from here it can be
    known whether it came after.
    """
    if intent.state is not CommandState.SENDING:
        return Change(device)
    newer = News(CommandEvent.NEWER, reasons.NEWER_COMMAND)
    older = (
        (other.command_id, newer)
        for other in device.open.values()
        if other.state in table.SUPERSEDABLE and not other.actuators.isdisjoint(intent.actuators)
    )
    change = advance(turn, device, ((intent.command_id, _left(intent)), *older))
    return change.then(_overtaken, turn, intent.command_id)


def _overtaken(turn: Turn, device: DeviceState, key: str) -> Change[DeviceState]:
    """Take the echo of a command that came before the word that the command has left."""
    intent = device.open[key]
    if intent.state is not CommandState.ECHO or not read_back.is_early_echo(device, intent):
        return Change(device)
    return advance(turn, device, ((key, _near(turn, device, intent)),))


def _left(intent: Intent) -> News:
    """Say that a command has left, and what tells of it."""
    match intent.acknowledgement.kind:
        case AcknowledgementKind.ENVELOPE | AcknowledgementKind.REPLY:
            return News(CommandEvent.SENT)
        case AcknowledgementKind.ECHO:
            return News(CommandEvent.SENT_FOR_ECHO)
        case AcknowledgementKind.NONE:
            return News(CommandEvent.SENT_FOR_NOTHING, reasons.NOTHING_TELLS)
        case _:
            assert_never(intent.acknowledgement.kind)


def not_sent(turn: Turn, device: DeviceState, intent: Intent, reason: str) -> Change[DeviceState]:
    """End a command that surely did not leave."""
    return advance(turn, device, ((intent.command_id, News(CommandEvent.NOT_SENT, reason)),))


def answered(
    turn: Turn, device: DeviceState, intent: Intent, answer: command.Acknowledgement
) -> Change[DeviceState]:
    """Take the device's answer; one that overtakes the word that the command left proves it."""
    change = sent(turn, device, intent)
    return change.then(_answered, turn, intent.command_id, answer)


def replied(
    turn: Turn, device: DeviceState, action: str, value: events.Value
) -> Change[DeviceState]:
    """Take a device's answer that names no command: the newest open one that it matches."""
    intent = next(
        (
            intent
            for intent in reversed(tuple(device.open.values()))
            if intent.action == action and _matches(turn, intent, value)
        ),
        None,
    )
    if intent is None:
        what = f"an answer of {device.key} to {action}"
        return Change(device, (effects.Refuse(what, telemetry.REPLY_UNMATCHED),))
    is_confirmed = read_back.confirmation(device, intent) is not None
    event = CommandEvent.ACCEPTED if is_confirmed else CommandEvent.ANSWERED
    news = News(event, reasons.REPLY_MATCHED, latency=_latency(turn, intent))
    return advance(turn, device, ((intent.command_id, news),))


def _matches(turn: Turn, intent: Intent, value: events.Value) -> bool:
    """Whether an answer is one to this command: it waits for one, left before, and fits."""
    reply = intent.acknowledgement.reply
    is_due = intent.state is CommandState.ANSWER and turn.seconds >= intent.sent
    if reply is None or not is_due:
        return False
    bindings = reply.environment.bind({**intent.values, templates.REPLY: value})
    return reply.expression.is_true(bindings) is True


def _answered(
    turn: Turn, device: DeviceState, key: str, answer: command.Acknowledgement
) -> Change[DeviceState]:
    """Take the answer to a command that left; Done after Accepted: the values have settled.

    The reading that shows them may have come before Done: then it counts with it. A command whose
    echo came before the answer is over.
    """
    intent = device.open.get(key)
    if intent is None:
        return Change(device)
    reason = answer.reason or ANSWERS[answer.result]
    confirmation = read_back.confirmation(device, intent)
    if answer.result is command.Result.REJECTED:
        event = CommandEvent.REJECTED
    elif confirmation is None:
        event = CommandEvent.ANSWERED
    elif answer.result is command.Result.DONE:
        event = CommandEvent.DONE
    else:
        event = CommandEvent.ACCEPTED
    heard = [News(event, reason, latency=_latency(turn, intent))]
    if intent.state is CommandState.CONFIRMATION and event is CommandEvent.DONE:
        reading = None if confirmation is None else device.readings.get(confirmation.property)
        received = None if reading is None or not reading.is_live else reading.received
        if received is not None and received > intent.issued and read_back.is_near(device, intent):
            heard.append(_near(turn, device, intent))
    return advance(turn, device, ((intent.command_id, news) for news in heard))


def _latency(turn: Turn, intent: Intent) -> dict[str, float]:
    now = turn.at.monotonic
    return {
        histogram.Stage.ACTUATE.value: max(0.0, now - (intent.published or now)),
        histogram.Stage.END_TO_END.value: max(0.0, now - intent.received),
    }


def measured(turn: Turn, device: DeviceState, properties: frozenset[str]) -> Change[DeviceState]:
    """Compare fresh reports with what was commanded."""
    compared = [
        (
            intent.command_id,
            _near(turn, device, intent)
            if read_back.is_near(device, intent)
            else News(CommandEvent.DIFFERS),
        )
        for intent in device.open.values()
        if read_back.is_counting(turn, device, intent, properties)
    ]
    return advance(turn, device, compared)


def _near(turn: Turn, device: DeviceState, intent: Intent) -> News:
    """Say that what was told is reported; an echo is the device's answer too, and is measured."""
    values = read_back.measured(device, intent.properties.values())
    if intent.state is not CommandState.ECHO:
        return News(CommandEvent.NEAR, reasons.READ_BACK_NEAR, values)
    return News(CommandEvent.NEAR, reasons.ECHO_NEAR, values, _latency(turn, intent))


def expire(turn: Turn, device: DeviceState) -> Change[DeviceState]:
    """End what has waited long enough."""
    now = turn.at.monotonic
    over = [intent for intent in device.open.values() if now >= intent.due]
    return advance(turn, device, [(intent.command_id, _due(device, intent)) for intent in over])


def _due(device: DeviceState, intent: Intent) -> News:
    """Say what did not come; where an answer was due, hold and read back as after a restart."""
    values = read_back.measured(device, intent.properties.values())
    match intent.state:
        case CommandState.ANSWER:
            is_reply = intent.acknowledgement.reply is not None
            missing = reasons.NO_REPLY if is_reply else reasons.NO_ACKNOWLEDGEMENT
            return News(CommandEvent.DUE, missing)
        case CommandState.ECHO:
            return News(CommandEvent.DUE, reasons.NO_ECHO, values)
    reason = reasons.READ_BACK_DIFFERS if intent.is_compared else reasons.NO_READ_BACK
    return News(CommandEvent.DUE, reason, values)


PolicyOf = Callable[[Intent], CompiledPolicy | None]
"""Returns the policy that an intent was decided by, where it is still known."""


def recover(
    turn: Turn, device: DeviceState, intents: Iterable[Intent], policy_of: PolicyOf
) -> Change[DeviceState]:
    """After a restart: nobody knows what became of these. Say so, hold, and read back.

    Whose decision is not recorded yet is decided again first, as it was.
    """
    for intent in intents:
        if intent.unrecorded is not None:
            recalled = unrecorded.recalled(intent, intent.unrecorded, policy_of(intent))
            intent = intent._replace(unrecorded=recalled)
        device = ledger.opened(device, intent)
    return _all(turn, device, News(CommandEvent.RESTARTED, reasons.RESTARTED))


def write_down(turn: Turn, key: Key, memory: Remembered) -> Change[Remembered]:
    """Record what was decided before a restart of a device that is not assigned after it.

    What became of the commands is recorded when the device comes back.
    """
    records: list[effects.Record] = []
    done: list[effects.Effect] = []
    for intent in memory.open:
        if intent.unrecorded is not None:
            recalled = unrecorded.recalled(intent, intent.unrecorded, None)
            rendered = unrecorded.render(intent, recalled)
            records.append(rendered.line)
            done += unrecorded.announce(turn, key, intent, rendered.why)
    book = tuple(intent._replace(unrecorded=None) for intent in memory.open)
    memory = replace(memory, open=book)
    value = durable.remembered_value(turn, key, memory)
    return Change(memory, (effects.AppendRecords(tuple(records), None, (value,)), *done))


def leave(turn: Turn, device: DeviceState) -> Change[DeviceState]:
    """Say what is known of open commands of a device that is not assigned any more, and forget."""
    return _all(turn, device, News(CommandEvent.UNASSIGNED, reasons.UNASSIGNED))


def _all(turn: Turn, device: DeviceState, news: News) -> Change[DeviceState]:
    return advance(turn, device, [(key, news) for key in device.open])


def advance(
    turn: Turn, device: DeviceState, heard: Iterable[tuple[str, News]]
) -> Change[DeviceState]:
    """Take news of commands in, by command id, as `table` says; a command that is over has none."""
    records: list[effects.Record] = []
    done: list[effects.Effect] = []
    for key, news in heard:
        intent = device.open.get(key)
        transition = None if intent is None else table.TABLE.get((intent.state, news.event))
        if intent is None or transition is None:
            continue
        passage = table.Passage(turn, device, intent, news)
        for act in transition.acts:
            act(passage)
        intent = intent._replace(state=transition.next, **passage.changes)
        device = ledger.entered(passage.device, intent)
        records += passage.records
        done += passage.done
        if transition.outcome is not None:
            records.append(_outcome(turn, device, intent, transition.outcome, news))
            labels = (str(intent.policy), transition.outcome.value)
            done.append(effects.Count(metrics.COMMANDS.name, labels))
    if not records:
        return Change(device, tuple(done))
    journal = effects.AppendRecords(tuple(records), None, (durable.device_value(turn, device),))
    return Change(device, (journal, *done))


def _outcome(
    turn: Turn, device: DeviceState, intent: Intent, outcome: record.Outcome, news: News
) -> effects.Record:
    return recording.outcome(
        turn,
        device,
        intent,
        outcome,
        news.reason,
        measured=news.measured,
        latency=news.latency,
    )


Obstacle = Callable[[Turn, DeviceState, Intent], str | None]


def obstacle(turn: Turn, device: DeviceState, intent: Intent) -> str | None:
    """Return why an intent that is durable by now must not leave any more; None if it may."""
    for find in OBSTACLES:
        reason = find(turn, device, intent)
        if reason is not None:
            return reason
    return None


def _is_late(turn: Turn, _device: DeviceState, intent: Intent) -> str | None:
    return reasons.TOO_LATE if turn.at.boot > intent.deadline else None


def _is_unauthorised(turn: Turn, device: DeviceState, _intent: Intent) -> str | None:
    standing = fencing.standing(device.authority, turn.at.boot)
    return None if standing.is_permitting else reasons.AUTHORITY_LOST


def _is_locked(_turn: Turn, device: DeviceState, _intent: Intent) -> str | None:
    return reasons.DEVICE_LOCKED if device.assigned.spec.lock is Lock.LOCKED else None


def _is_lowered(turn: Turn, device: DeviceState, intent: Intent) -> str | None:
    binding = device.bindings.get(intent.policy)
    if binding is None:
        return None
    mode, caps = turn.mode(binding.compiled, is_too_slow=binding.too_slow is not None)
    if modes.is_acting(mode):
        return None
    return caps[0].reason if caps else reasons.MODE_LOWERED


def _is_edited(_turn: Turn, device: DeviceState, intent: Intent) -> str | None:
    binding = device.bindings.get(intent.policy)
    is_same = binding is not None and all(
        intent.identity[kind]["digest"] == binding.compiled.identity[kind]["digest"]
        for kind in ("policy", "device")
    )
    return None if is_same else reasons.POLICY_CHANGED


OBSTACLES: Final[tuple[Obstacle, ...]] = (
    _is_late,  # it is stale, also by what the machine slept
    _is_unauthorised,  # another agent may command by now
    _is_locked,  # a person locked the device
    _is_lowered,  # a person, a full recorder or a policy that is too slow lowered the mode
    _is_edited,  # what the verdict rests on is no more
)
"""What may have changed while the intent was written; the first that did is recorded."""

"""The life of a command: state × event → next state, what is recorded, what else is done.

    (verdict) ──► Intent ──Durable──► Sending ──Sent──► Answer ──Accepted, Done──► Confirmation
                    │ NotRecorded        │ NotSent         │ Rejected, Answered       │ Near
                    │ Obstructed         ▼                 ▼ NotSent                  ▼ Due, Newer
                    ▼                    over              over                       over
                    over
    Sending ──SentForEcho──► Echo ──Near, Newer, NotSent──► over
    Sending ──SentForNothing──► Mute ──Due, NotSent──► over
    Restarted, or Due without an answer or echo ──► Unknown ──Near, Due──► over

A device's own report (Echo) proves the value, not whose command it was; only a live one that came
after sending counts, and another value is no failure until its time is over. Of a device that never
tells (Mute) the outcome is recorded when the command has left, and its actuator is held for the
policy as long as the command could still take effect.

What it is over with is the row's outcome. In Unknown nobody knows whether it was done: the actuator
is held for the policy until a read-back shows that it was, or time to live and settling time have
passed (actions are idempotent: doing it again is harmless).

The decision's record is written by the rows that lead out of Intent and Sending: until then the
intent holds what it is made of.

At most once: the row of Intent and Durable is the only one that sends, no row leads back to Intent,
and no event of a process that ended is left after a restart. `life` looks rows up; a pair that is
in neither `TABLE` nor `IGNORED` does not exist, which a test holds.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from foreshore_agent.engine import effects, recording
from foreshore_agent.engine.command import ledger, read_back, unrecorded
from foreshore_agent.engine.events import Value
from foreshore_agent.engine.state import EMPTY, CommandState, DeviceState, Intent
from foreshore_agent.engine.turn import Turn
from foreshore_api.reasons import decision as reasons
from foreshore_api.wire import histogram, record
from foreshore_decision.chain import evaluate

ANSWER_GRACE: Final = 1.0
"""Seconds beyond its time to live after which a command without an answer is Unknown."""


class CommandEvent(StrEnum):
    """What can happen to a command."""

    DURABLE = "Durable"
    """Its intent is on stable storage, and nothing stands in its way."""
    OBSTRUCTED = "Obstructed"
    """Its intent is on stable storage, but meanwhile it must not leave any more."""
    NOT_RECORDED = "NotRecorded"
    """Its intent could not be written."""
    SENT = "Sent"
    """It was handed to a connected socket, and the device answers."""
    SENT_FOR_ECHO = "SentForEcho"
    """The same, and the device's own report is the answer."""
    SENT_FOR_NOTHING = "SentForNothing"
    """The same, and nothing tells what becomes of it."""
    NOT_SENT = "NotSent"
    """It surely did not leave, or was refused on the way before any device had it."""
    ACCEPTED = "Accepted"
    """The device takes it, and a read-back is to confirm it."""
    DONE = "Done"
    """The device says that its values have settled, and a read-back is to confirm it."""
    ANSWERED = "Answered"
    """The device took or did it, and nothing confirms it."""
    REJECTED = "Rejected"
    """The device refuses it."""
    NEAR = "Near"
    """A read-back, or an echo, that counts shows what was commanded."""
    DIFFERS = "Differs"
    """A read-back that counts shows something else."""
    DUE = "Due"
    """What it waited for has not come in time."""
    NEWER = "Newer"
    """A newer command for one of its actuators was sent."""
    UNASSIGNED = "Unassigned"
    """Its device is not this agent's any more."""
    RESTARTED = "Restarted"
    """The process that issued it has ended."""


class News(NamedTuple):
    """An event of one command, with what is recorded of it."""

    event: CommandEvent
    reason: str = ""
    measured: Mapping[str, Value | None] = EMPTY
    """The newest measurement of what it sets, where that was looked at."""
    latency: Mapping[str, float] = EMPTY
    """Seconds by stage, where the device has answered."""


class Passage:
    """A command between two states: what its row's acts read, and what they add.

    Filled in place and dropped at once: a value for each act would cost more than the acts.
    """

    __slots__ = ("changes", "device", "done", "intent", "news", "records", "turn")

    def __init__(self, turn: Turn, device: DeviceState, intent: Intent, news: News) -> None:
        self.turn: Final = turn
        self.device = device
        self.intent: Final = intent
        """As it was."""
        self.news: Final = news
        self.changes: Final[dict[str, Any]] = {}
        """Fields of the intent that are other in the next state."""
        self.records: Final[list[effects.Record]] = []
        self.done: Final[list[effects.Effect]] = []


Act = Callable[[Passage], None]


class Transition(NamedTuple):
    """One row."""

    next: CommandState
    outcome: record.Outcome | None = None
    """What is recorded of the command; None where nothing new is known about it."""
    acts: tuple[Act, ...] = ()


def send(passage: Passage) -> None:
    """Let the command leave."""
    at, intent = passage.turn.at, passage.intent
    if intent.command is not None:
        # the boot clock counts a suspend, the monotonic one does not
        deadline = at.monotonic + (intent.deadline - at.boot)
        passage.done.append(intent.command._replace(deadline=deadline))
    passage.changes["command"] = None


def write_down(passage: Passage) -> None:
    """Record the decision: its command has left, or surely will not."""
    intent = passage.intent
    if intent.unrecorded is None:
        return
    rendered = unrecorded.render(intent, intent.unrecorded)
    passage.records.append(rendered.line)
    passage.changes["unrecorded"] = None
    if rendered.why:
        key = passage.device.key
        passage.done.extend(unrecorded.announce(passage.turn, key, intent, rendered.why))


def refund(passage: Passage) -> None:
    """Give the tokens back and record the decision as failed: no intent, no act."""
    intent = passage.intent
    passage.device = ledger.refunded(passage.device, intent)
    evaluation = None if intent.unrecorded is None else intent.unrecorded.evaluation
    if evaluation is None:
        return
    failed = evaluate.unwritten(evaluation, passage.news.reason)
    passage.records.append(recording.decision(passage.turn, failed, record.Verdict.ERROR))
    decided = effects.Decided(
        policy=intent.policy,
        device=passage.device.key,
        verdict=record.Verdict.ERROR,
        reason=reasons.RECORDER_FULL,
        rules=evaluate.rules(evaluation),
        triggered_at=evaluation.facts.given.trigger.received,
    )
    passage.done.append(decided)


def leave(passage: Passage) -> None:
    """Note when it left, and how long the decision took until then."""
    turn, intent = passage.turn, passage.intent
    passage.changes.update(published=turn.at.monotonic, sent=turn.seconds)
    decide = max(0.0, turn.at.monotonic - intent.received - intent.waited)
    passage.done.append(effects.Observe(intent.policy, histogram.Stage.DECIDE, decide))


def await_answer(passage: Passage) -> None:
    """Wait as long as the action says, else until it is stale and a moment for saying so."""
    at, intent = passage.turn.at, passage.intent
    within = intent.acknowledgement.within
    if within is None:
        within = max(0.0, intent.deadline - at.boot) + ANSWER_GRACE
    passage.changes.update(due=at.monotonic + within)


def observe(passage: Passage) -> None:
    """Measure how long device and whole loop took."""
    for stage, seconds in passage.news.latency.items():
        passage.done.append(effects.Observe(passage.intent.policy, stage, seconds))


def await_read_back(passage: Passage) -> None:
    """Wait for a measurement; it counts once the values have settled."""
    now, intent = passage.turn.at.monotonic, passage.intent
    confirmation = read_back.confirmation(passage.device, intent)
    is_done = passage.news.event is CommandEvent.DONE
    passage.changes.update(
        settles=now if is_done else intent.published + intent.settling,
        due=now if confirmation is None else now + confirmation.timeout,
    )


def settle(passage: Passage) -> None:
    """Believe the device that its values have settled."""
    passage.changes.update(settles=passage.turn.at.monotonic)


def compare(passage: Passage) -> None:
    """Remember that a read-back counted and was not near."""
    passage.changes.update(is_compared=True)


def hold(passage: Passage) -> None:
    """Hold the actuators for the policy while nobody knows whether the command was done."""
    turn, intent = passage.turn, passage.intent
    wait = intent.time_to_live + intent.settling
    passage.device = ledger.held(passage.device, intent.policy, turn.seconds + wait)
    passage.changes.update(due=turn.at.monotonic + wait)


def let_go(passage: Passage) -> None:
    """End the hold."""
    passage.device = ledger.let_go(passage.device, passage.intent)


S, E, Outcome = CommandState, CommandEvent, record.Outcome
Pair = tuple[CommandState, CommandEvent]

TABLE: Final[Mapping[Pair, Transition]] = MappingProxyType(
    {
        (S.INTENT, E.DURABLE): Transition(S.SENDING, None, (send,)),
        (S.INTENT, E.OBSTRUCTED): Transition(S.OVER, Outcome.NOT_SENT, (write_down,)),
        (S.INTENT, E.NOT_RECORDED): Transition(S.OVER, None, (refund,)),
        (S.INTENT, E.UNASSIGNED): Transition(S.OVER, Outcome.NOT_SENT, (write_down,)),
        (S.INTENT, E.RESTARTED): Transition(S.UNKNOWN, Outcome.UNKNOWN, (write_down, hold)),
        (S.SENDING, E.SENT): Transition(S.ANSWER, None, (write_down, leave, await_answer)),
        (S.SENDING, E.SENT_FOR_ECHO): Transition(S.ECHO, None, (write_down, leave, await_answer)),
        (S.SENDING, E.SENT_FOR_NOTHING): Transition(
            S.MUTE, Outcome.UNACKNOWLEDGED, (write_down, leave, hold)
        ),
        (S.SENDING, E.NOT_SENT): Transition(S.OVER, Outcome.NOT_SENT, (write_down,)),
        (S.SENDING, E.UNASSIGNED): Transition(S.OVER, Outcome.UNKNOWN, (write_down, hold)),
        (S.SENDING, E.RESTARTED): Transition(S.UNKNOWN, Outcome.UNKNOWN, (write_down, hold)),
        # the socket took it, and the broker refused it
        (S.ANSWER, E.NOT_SENT): Transition(S.OVER, Outcome.NOT_SENT),
        (S.ANSWER, E.ACCEPTED): Transition(
            S.CONFIRMATION, Outcome.ACKNOWLEDGED, (observe, await_read_back)
        ),
        (S.ANSWER, E.DONE): Transition(
            S.CONFIRMATION, Outcome.ACKNOWLEDGED, (observe, await_read_back)
        ),
        (S.ANSWER, E.ANSWERED): Transition(S.OVER, Outcome.ACKNOWLEDGED, (observe,)),
        (S.ANSWER, E.REJECTED): Transition(S.OVER, Outcome.REJECTED),
        (S.ANSWER, E.DUE): Transition(S.UNKNOWN, Outcome.UNKNOWN, (hold,)),
        (S.ANSWER, E.UNASSIGNED): Transition(S.OVER, Outcome.UNKNOWN, (hold,)),
        (S.ANSWER, E.RESTARTED): Transition(S.UNKNOWN, Outcome.UNKNOWN, (hold,)),
        (S.ECHO, E.NOT_SENT): Transition(S.OVER, Outcome.NOT_SENT),
        (S.ECHO, E.NEAR): Transition(S.OVER, Outcome.CONFIRMED, (observe,)),
        (S.ECHO, E.DUE): Transition(S.UNKNOWN, Outcome.UNKNOWN, (hold,)),
        (S.ECHO, E.NEWER): Transition(S.OVER, Outcome.SUPERSEDED),
        (S.ECHO, E.UNASSIGNED): Transition(S.OVER, Outcome.UNKNOWN, (hold,)),
        (S.ECHO, E.RESTARTED): Transition(S.UNKNOWN, Outcome.UNKNOWN, (hold,)),
        # that nothing tells was recorded when it left
        (S.MUTE, E.NOT_SENT): Transition(S.OVER, Outcome.NOT_SENT, (let_go,)),
        (S.MUTE, E.DUE): Transition(S.OVER, None, (let_go,)),
        (S.MUTE, E.UNASSIGNED): Transition(S.OVER),
        (S.MUTE, E.RESTARTED): Transition(S.MUTE, None, (hold,)),
        (S.CONFIRMATION, E.DONE): Transition(S.CONFIRMATION, None, (settle,)),
        (S.CONFIRMATION, E.NEAR): Transition(S.OVER, Outcome.CONFIRMED),
        (S.CONFIRMATION, E.DIFFERS): Transition(S.CONFIRMATION, None, (compare,)),
        (S.CONFIRMATION, E.DUE): Transition(S.OVER, Outcome.UNCONFIRMED),
        (S.CONFIRMATION, E.NEWER): Transition(S.OVER, Outcome.SUPERSEDED),
        (S.CONFIRMATION, E.UNASSIGNED): Transition(S.OVER, Outcome.UNCONFIRMED),
        (S.CONFIRMATION, E.RESTARTED): Transition(S.UNKNOWN, Outcome.UNKNOWN, (hold,)),
        (S.UNKNOWN, E.NEAR): Transition(S.OVER, Outcome.CONFIRMED, (let_go,)),
        (S.UNKNOWN, E.DIFFERS): Transition(S.UNKNOWN, None, (compare,)),
        (S.UNKNOWN, E.DUE): Transition(S.OVER, Outcome.UNCONFIRMED, (let_go,)),
        # the hold stays with the device until its time, in case it comes back
        (S.UNKNOWN, E.UNASSIGNED): Transition(S.OVER, Outcome.UNCONFIRMED),
        # that it is unknown was recorded by the process before
        (S.UNKNOWN, E.RESTARTED): Transition(S.UNKNOWN, None, (hold,)),
    }
)
"""Every pair that does something."""

SUPERSEDABLE: Final = tuple(state for state, event in TABLE if event is E.NEWER)
"""States in which a newer command matters."""
LIVE: Final = (S.INTENT, S.SENDING, S.ANSWER, S.ECHO, S.MUTE, S.CONFIRMATION, S.UNKNOWN)
LEFT: Final = (E.SENT, E.SENT_FOR_ECHO, E.SENT_FOR_NOTHING)
"""What a command that was handed to a socket can wait for."""


def _ignored(
    *rows: tuple[Iterable[CommandState], Iterable[CommandEvent], str],
) -> dict[Pair, str]:
    return {
        (state, event): why for states, events, why in rows for state in states for event in events
    }


IGNORED: Final[Mapping[Pair, str]] = MappingProxyType(
    _ignored(
        (
            (S.SENDING, S.ANSWER, S.ECHO, S.MUTE, S.CONFIRMATION, S.UNKNOWN),
            (E.DURABLE, E.OBSTRUCTED, E.NOT_RECORDED),
            "it comes twice: what an intent leads to has begun",
        ),
        ((S.INTENT,), (*LEFT, E.NOT_SENT), "nothing was sent yet"),
        (
            (S.INTENT,),
            (E.ACCEPTED, E.DONE, E.ANSWERED, E.REJECTED, E.NEAR, E.DIFFERS),
            "the device cannot know of it yet: it means something else",
        ),
        (
            (S.ANSWER, S.ECHO, S.MUTE, S.CONFIRMATION, S.UNKNOWN),
            LEFT,
            "it comes twice, or late: more is known by now",
        ),
        (
            (S.CONFIRMATION, S.UNKNOWN),
            (E.NOT_SENT,),
            "it comes late: the device has answered, or time has run out",
        ),
        (
            (S.SENDING,),
            (E.ACCEPTED, E.DONE, E.ANSWERED, E.REJECTED),
            "an answer that overtakes Sent proves it: `life` takes Sent in first",
        ),
        (
            (S.SENDING,),
            (E.NEAR, E.DIFFERS),
            "before it is known when it left, a measurement may be of what was before",
        ),
        (
            (S.ANSWER,),
            (E.NEAR, E.DIFFERS),
            "before the device has answered, a measurement may be of what was before",
        ),
        (
            (S.ECHO,),
            (E.DIFFERS,),
            "a report that was on its way, or of a device on its way: time decides",
        ),
        (
            (S.ECHO, S.MUTE),
            (E.ACCEPTED, E.DONE, E.ANSWERED, E.REJECTED),
            "its action has no answer: it means something else",
        ),
        (
            (S.MUTE,),
            (E.NEAR, E.DIFFERS),
            "its action says that no report tells",
        ),
        (
            (S.CONFIRMATION,),
            (E.ACCEPTED, E.ANSWERED, E.REJECTED),
            "it has been accepted: from here on measurements decide",
        ),
        (
            (S.UNKNOWN,),
            (E.ACCEPTED, E.DONE, E.ANSWERED, E.REJECTED),
            "an answer that late proves nothing: measurements and time decide",
        ),
        (
            (S.INTENT, S.SENDING),
            (E.DUE,),
            "journal and connection answer for certain; what comes too late is obstructed",
        ),
        (
            (S.INTENT, S.SENDING, S.ANSWER, S.MUTE, S.UNKNOWN),
            (E.NEWER,),
            "what became of it is to be learnt all the same",
        ),
    )
)
"""Every pair that does nothing, and why."""

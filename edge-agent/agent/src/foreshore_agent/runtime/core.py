"""The engine's host: events in, one at a time; effects out, in the order given, turn by turn.

Everything here runs in the event loop and nothing here waits: what takes time comes back as an
event. What must not wait (answers, rights, ticks) is taken as it comes, what devices measured in
one round of the loop in one turn at its end:

    offer ──► intake ─┐  what must not wait ──► step ──► effects
    devices.measured ─┴► samples, of each device the newest decides ──► step ──► questions
                         questions: a model in this process answers at once ──► step ──► effects
                         one hand-over: all that the turn wrote goes to the journal

The turn asks models only when it has taken the samples: a model that answers at once would
otherwise be asked about samples that newer ones have already replaced. A turn is bounded in number
and in time, so that the loop sees to sockets and timers; while questions are left from the turn
before, samples stay where newer ones replace them unread. So the agent does what it can on the
newest there is, however much is offered, and ticks, beats and renewals are never late.
"""

import asyncio
import functools
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from foreshore_agent import clocks, meters, refusals
from foreshore_agent.devices import port as devices
from foreshore_agent.engine import effects, events, state, step
from foreshore_agent.inference import port as inference
from foreshore_agent.journal import port as journal
from foreshore_agent.runtime import intake, pace, pressure
from foreshore_api.reasons import agent, command, telemetry
from foreshore_api.reasons import inference as answers

_LOG: Final = logging.getLogger(__name__)
FROM_OUTSIDE: Final[Mapping[type, str]] = {
    events.Sample: "telemetry",
    events.Availability: "what is said of a device's availability",
    events.Acknowledged: "an acknowledgement",
    events.Replied: "an answer",
    events.PeerBeat: "a beat",
    events.Renewed: "a renewal",
    events.Inferred: "an answer of a replica",
}
"""Events whose content others wrote: none of them may end the agent. Anything else that fails is a
defect of ours, after which the process starts again from what is durable."""
MAXIMUM_UNWRITTEN: Final = 1024
"""Appends that may wait for the disk before samples have to wait, where newer ones replace them."""
TURN_SECONDS: Final = 0.010
"""How long a turn goes on beginning something; five of them fit between two ticks."""
SAMPLES_A_TURN: Final = 32
"""Messages of devices that one turn decodes, and no more than come to so many samples."""


class PeersPort(Protocol):
    """The other agents of the site."""

    def remember(self, effect: effects.RememberPeer) -> None:
        """Note a beat that is believed."""
        ...

    def renew(self, effect: effects.RequestRenewal) -> None:
        """Ask whether this node may go on."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """What carries effects out."""

    journal: journal.JournalPort
    inference: inference.ModelsPort
    devices: devices.EnginePort
    meters: meters.Meters
    peers: PeersPort
    changed: Callable[[], None]
    """Called after a notice: the agent's own standing is no longer what was reported."""
    failed: Callable[[BaseException], None]
    """Called with a defect: the process must end, and start again from what is durable."""


Tap = Callable[[effects.Effect], None]
"""Sees every effect before it is carried out."""


class Core:
    """One engine and its state."""

    def __init__(
        self,
        clock: clocks.Clock,
        initial: state.State,
        ports: Ports,
        tap: Tap | None = None,
        *,
        processor_time: Callable[[], float] = time.thread_time,
    ) -> None:
        self.state = initial
        self.stamp: Final = events.EventStamp(clock.instant, clock.identity)
        self._clock: Final = clock
        self._ports: Final = ports
        self._tap: Final = tap
        self._intake: Final = intake.Intake()
        self._asked: Final = deque[effects.Infer]()
        """Questions that the turn has not asked yet."""
        self._is_taking = False
        self._is_broken = False
        self._is_due = False
        """Whether the loop is to begin a turn."""
        self._unwritten = 0
        self._pace: Final = pace.DecisionPace(processor_time)
        self.pressure: Final = pressure.Pressure(processor_time)
        self._refusals: Final = refusals.Refusals(ports.meters.count_telemetry, clock.monotonic)
        self.carriers: Final[Mapping[type, Callable[[Any], None]]] = {
            effects.Infer: self._infer,
            effects.AppendRecords: self._journal,
            effects.Keep: self._keep,
            effects.SendCommand: self._command,
            effects.Advise: ports.devices.advise,
            effects.Notice: self._notice,
            effects.Decided: ports.meters.count_decision,
            effects.Count: ports.meters.count,
            effects.Refuse: self._refuse,
            effects.Observe: self._observe,
            effects.RememberPeer: ports.peers.remember,
            effects.RequestRenewal: ports.peers.renew,
        }
        """What carries out which effect: one entry for each, held by a test."""

    @property
    def is_behind(self) -> bool:
        """Whether so many records wait for the disk that telemetry must give way, and records not.

        Messages then wait unread. A disk that is merely slow is noticed here; one that is full says
        so by itself.
        """
        return self._unwritten > MAXIMUM_UNWRITTEN

    def offer(self, event: events.Event) -> None:
        """Take what must not wait now, and give telemetry to the turn at the end of this round.

        An answer or a durable intent that waited for that turn would wait for all that the loop
        reads before it: under load, for the very messages that are to give way. In a rehearsal,
        where the loop's rounds say nothing of time, everything has its turn at once.
        """
        if self._clock.virtual:
            self.take(event)
            return
        self._intake.put(event)
        if self._intake.has_first and not self._is_taking:
            self._guard(self._take_first)
        else:
            self.wake()

    def wake(self) -> None:
        """Have a turn at the end of this round of the loop: there is something to take."""
        if not (self._is_taking or self._is_due):
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._begin)

    def take(self, event: events.Event) -> None:
        """Have a turn with this event now; a defect ends the process."""
        try:
            self.attempt(event)
        except Exception as error:
            self._fail(error)
            raise

    def attempt(self, event: events.Event) -> None:
        """Have a turn with an event whose failure the caller survives.

        An assignment takes effect in the engine first: no sample is taken and no model asked before
        the ports have it too, by the turn at the end of this round.
        """
        self._intake.put(event)
        if not self._is_taking:
            is_assigned = isinstance(event, events.Assigned)
            self._turn(self._take_first if is_assigned else self._take_all)

    def _begin(self) -> None:
        self._is_due = False
        self._guard(self._take_all)

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            self._turn(work)
        except Exception as error:  # noqa: BLE001 - whoever ends the process raises it again
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Take nothing any more: until the process ends, no command leaves on a state in doubt."""
        self._is_broken = True
        self._ports.failed(error)

    def _turn(self, work: Callable[[], None]) -> None:
        """Do the work of a turn, and hand over what is to be written."""
        if self._is_broken:
            return
        self._is_taking = True
        try:
            work()
        finally:
            self._is_taking = False
            self._ports.journal.flush()
        has_telemetry = self._ports.devices.has_measured and not self.is_behind
        if self._asked or has_telemetry or not self._intake.is_empty:
            self.wake()

    def _take_all(self) -> None:
        """Take what waits and ask what is to be asked; begin nothing more when time is over."""
        until = self._clock.monotonic() + TURN_SECONDS
        self._take_first()
        self._ask(until)
        if self._asked:
            return
        if not (self._intake.has_measured or self.is_behind):
            for sample in self._ports.devices.measured(SAMPLES_A_TURN):
                self._intake.put(sample)
        while (event := self._intake.take_measured()) is not None:
            self._take_event(event)
            self._take_first()
            if self._clock.monotonic() >= until:
                break
        self._ask(until)

    def _take_first(self) -> None:
        """Take what must not wait: of each source, the loop brings a bounded number a round."""
        while (event := self._intake.take_first()) is not None:
            self._take_event(event)

    def _take_event(self, event: events.Event) -> None:
        if isinstance(event, events.Sample):
            self.pressure.measured(event)
        elif isinstance(event, events.Tick):
            self.pressure.tick(event.at.monotonic, self._unwritten if self.is_behind else 0)
        for effect in self._step(event):
            self._carry(effect)
        self._disarm()

    def _ask(self, until: float) -> None:
        """Ask the models, and take the answers that come at once; one question at least."""
        while self._asked:
            asked = self._asked.popleft()
            self._ports.inference.ask(asked, functools.partial(self._answered, asked))
            self._take_first()
            if self._clock.monotonic() >= until:
                break

    def _disarm(self) -> None:
        """Let the engine know of policies that are too slow.

        A rehearsal goes on: it has timed them before its first row, and repeats itself to the byte.
        """
        for device, policy, seconds in self._pace.take_slow():
            if not self._clock.virtual:
                at, fresh = self.stamp()
                self._intake.put(events.PolicyTooSlow(at, fresh, device, policy, seconds))

    def _step(self, event: events.Event) -> tuple[effects.Effect, ...]:
        """Let the engine take one event in; a message that it fails on is as if it had not come."""
        if isinstance(event, events.Assigned):
            self._pace.forget()
        try:
            self.state, wanted = step.step(self.state, event, self._pace)
        except Exception as error:
            what = FROM_OUTSIDE.get(type(event))
            if what is None:
                raise
            self._refusals.note(f"{what} ({_source(event)})", telemetry.DEFECT, error)
            if not isinstance(event, events.Inferred):
                return ()
            failed = events.InferenceFailed(
                event.at,
                event.fresh,
                event.decision_id,
                event.policy,
                event.device,
                answers.ANSWER_REFUSED,
                event.attempts,
            )
            self.state, wanted = step.step(self.state, failed, self._pace)
        return wanted

    def _refuse(self, effect: effects.Refuse) -> None:
        self._refusals.note(effect.what, effect.reason)

    def _carry(self, effect: effects.Effect) -> None:
        if self._tap is not None:
            self._tap(effect)
        self.carriers[type(effect)](effect)

    def _infer(self, effect: effects.Infer) -> None:
        self._asked.append(effect)

    def _answered(
        self, effect: effects.Infer, result: inference.ModelAnswer | inference.Unanswered
    ) -> None:
        self.offer(self._answer(effect, result))

    def _answer(
        self, effect: effects.Infer, result: inference.ModelAnswer | inference.Unanswered
    ) -> events.Event:
        asked = (*self.stamp(), effect.decision_id, effect.policy, effect.device)
        if isinstance(result, inference.ModelAnswer):
            return events.Inferred(
                *asked,
                result.outputs,
                result.attempts,
                result.node,
                result.network,
                result.inference,
                result.model,
                result.provider,
                result.queued,
            )
        if result.is_late:
            return events.InferenceLate(*asked, result.attempts, result.reason)
        return events.InferenceFailed(*asked, result.reason, result.attempts)

    def _journal(self, effect: effects.AppendRecords) -> None:
        entries = [
            journal.JournalEntry(
                line.body,
                line.critical,
                line.policy,
                line.device,
                line.verdict,
                line.keep,
                line.reserve,
            )
            for line in effect.records
        ]
        if effect.intent is not None:
            entries.append(journal.PROMISE)
        too_long = [entry for entry in entries if entry.is_too_long]
        if too_long:
            self._lose(too_long)
        fitting = [entry for entry in entries if not entry.is_too_long]
        self._unwritten += 1
        self._ports.journal.append(
            fitting,
            effect.values,
            is_patient=effect.intent is None,
            then=functools.partial(self._written, effect.intent),
        )

    def _lose(self, entries: list[journal.JournalEntry]) -> None:
        """Give up what the hub would refuse; the engine's values are kept all the same."""
        sizes = ", ".join(str(len(entry.body)) for entry in entries)
        _LOG.error("a record is too long to be kept (bytes: %s)", sizes)
        self._ports.journal.lose(entries, agent.RECORD_TOO_LARGE)

    def _written(self, intent: effects.IntentKey | None, reason: str | None) -> None:
        self._unwritten -= 1
        if intent is None:
            return
        at, fresh = self.stamp()
        if reason is None:
            self.offer(events.IntentDurable(at, fresh, *intent))
        else:
            self.offer(events.IntentFailed(at, fresh, *intent, reason))

    def _keep(self, effect: effects.Keep) -> None:
        self._ports.journal.put(effect.key, effect.value)

    def _command(self, effect: effects.SendCommand) -> None:
        is_late = self._clock.monotonic() > effect.deadline
        reason = command.TOO_LATE if is_late else self._ports.devices.send(effect)
        sent = (*self.stamp(), effect.command_id, effect.policy, effect.device)
        if reason is None:
            self.offer(events.CommandSent(*sent))
        else:
            self.offer(events.CommandNotSent(*sent, reason))

    def _notice(self, effect: effects.Notice) -> None:
        about = " ".join(str(key) for key in (effect.device, effect.policy) if key is not None)
        _LOG.info("%s: %s%s", effect.reason, effect.message, f" ({about})" if about else "")
        self._ports.changed()

    def _observe(self, effect: effects.Observe) -> None:
        self._ports.meters.observe(effect, self._clock.monotonic())


def _source(event: events.Event) -> str:
    """Return whose message an event is."""
    match event:
        case events.Sample() | events.Availability() | events.Acknowledged() | events.Replied():
            return str(event.device)
        case events.PeerBeat():
            return event.beat.node
        case events.Inferred():
            return event.node
    return "the hub"

"""The engine's host: events in, one at a time; effects out, in the order given.

Everything here runs in the event loop and nothing here waits: a sample goes from the broker's
socket through `step` to the replica's socket in one turn of the loop, and its answer to the journal
in another. What takes time comes back as an event.

    broker, replicas, journal, link, timer ──take──► step ──effects──► replicas, journal, broker
"""

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
from foreshore_agent.runtime import pace
from foreshore_api.reasons import agent, command, telemetry
from foreshore_api.reasons import inference as answers

_LOG: Final = logging.getLogger(__name__)
FROM_OUTSIDE: Final[Mapping[type, str]] = {
    events.Sample: "telemetry",
    events.Acknowledged: "an acknowledgement",
    events.PeerBeat: "a beat",
    events.Renewed: "a renewal",
    events.Inferred: "an answer of a replica",
}
"""Events whose content others wrote: none of them may end the agent. Anything else that fails is a
defect of ours, after which the process starts again from what is durable."""
MAXIMUM_UNWRITTEN: Final = 1024
"""Appends that may wait for the disk before samples are dropped, counted."""


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
    devices: devices.ActuationPort
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
        self._clock: Final = clock
        self._ports: Final = ports
        self._tap: Final = tap
        self._waiting: Final[deque[events.Event]] = deque()
        self._is_taking = False
        self._unwritten = 0
        self._pace: Final = pace.DecisionPace(processor_time)
        self._refusals: Final = refusals.Refusals(ports.meters.count_telemetry, clock.monotonic)
        self.carriers: Final[Mapping[type, Callable[[Any], None]]] = {
            effects.Infer: self._infer,
            effects.AppendRecords: self._journal,
            effects.Keep: self._keep,
            effects.SendCommand: self._command,
            effects.Advise: self._advise,
            effects.Notice: self._notice,
            effects.Decided: ports.meters.count_decision,
            effects.Count: ports.meters.count,
            effects.Refuse: self._refuse,
            effects.Observe: self._observe,
            effects.RememberPeer: ports.peers.remember,
            effects.RequestRenewal: ports.peers.renew,
        }
        """What carries out which effect: one entry for each, held by a test."""

    def stamp(self) -> tuple[events.Instant, str]:
        """Return what every event begins with: now, and a fresh UUIDv7."""
        return stamp(self._clock)

    @property
    def is_behind(self) -> bool:
        """Whether so many records wait for the disk that telemetry must give way, and records not.

        A disk that is merely slow is noticed here; one that is full says so by itself.
        """
        return self._unwritten > MAXIMUM_UNWRITTEN

    def take(self, event: events.Event) -> None:
        """Take one event, and what its effects answer at once; a defect ends the process."""
        try:
            self.attempt(event)
        except Exception as error:
            self._ports.failed(error)
            raise

    def attempt(self, event: events.Event) -> None:
        """Take one event whose failure the caller survives."""
        self._waiting.append(event)
        if self._is_taking:
            return
        self._is_taking = True
        try:
            while self._waiting:
                for effect in self._step(self._waiting.popleft()):
                    self._carry(effect)
                self._disarm()
        finally:
            self._is_taking = False

    def _disarm(self) -> None:
        """Let the engine know of policies that are too slow.

        A rehearsal goes on: it has timed them before its first row, and repeats itself to the byte.
        """
        for device, policy, seconds in self._pace.take_slow():
            if not self._clock.virtual:
                at, fresh = self.stamp()
                self._waiting.append(events.PolicyTooSlow(at, fresh, device, policy, seconds))

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
        def then(result: inference.ModelAnswer | inference.Unanswered) -> None:
            self.take(self._answer(effect, result))

        self._ports.inference.ask(effect, then)

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
        intent = effect.intent
        written = self._ports.journal.append(fitting, effect.values, is_patient=intent is None)
        self._unwritten += 1
        written.add_done_callback(lambda done: self._written(intent, done))

    def _lose(self, entries: list[journal.JournalEntry]) -> None:
        """Give up what the hub would refuse; the engine's values are kept all the same."""
        sizes = ", ".join(str(len(entry.body)) for entry in entries)
        _LOG.error("a record is too long to be kept (bytes: %s)", sizes)
        self._ports.journal.lose(entries, agent.RECORD_TOO_LARGE)

    def _written(self, intent: effects.IntentKey | None, done: journal.Writing) -> None:
        self._unwritten -= 1
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or error is not None:
            self._not_written(intent, self._ports.journal.standing.reason or agent.RECORDER_FULL)
        elif intent is not None:
            at, fresh = self.stamp()
            self.take(events.IntentDurable(at, fresh, *intent))

    def _not_written(self, intent: effects.IntentKey | None, reason: str) -> None:
        if intent is not None:
            at, fresh = self.stamp()
            self.take(events.IntentFailed(at, fresh, *intent, reason))

    def _keep(self, effect: effects.Keep) -> None:
        kept = self._ports.journal.put(effect.key, effect.value)
        kept.add_done_callback(_look_at)

    def _command(self, effect: effects.SendCommand) -> None:
        if self._clock.monotonic() > effect.deadline:
            reason: str | None = command.TOO_LATE
        else:
            reason = self._ports.devices.send(effect)
        sent = (*self.stamp(), effect.command_id, effect.policy, effect.device)
        if reason is None:
            self.take(events.CommandSent(*sent))
        else:
            self.take(events.CommandNotSent(*sent, reason))

    def _advise(self, effect: effects.Advise) -> None:
        self._ports.devices.advise(effect)

    def _notice(self, effect: effects.Notice) -> None:
        about = " ".join(str(key) for key in (effect.device, effect.policy) if key is not None)
        _LOG.info("%s: %s%s", effect.reason, effect.message, f" ({about})" if about else "")
        self._ports.changed()

    def _observe(self, effect: effects.Observe) -> None:
        self._ports.meters.observe(effect, self._clock.monotonic())


def stamp(clock: clocks.Clock) -> tuple[events.Instant, str]:
    """Return what every event begins with: now, and a fresh UUIDv7."""
    return clock.instant(), clock.identity()


def _source(event: events.Event) -> str:
    """Return whose message an event is."""
    match event:
        case events.Sample() | events.Acknowledged():
            return str(event.device)
        case events.PeerBeat():
            return event.beat.node
        case events.Inferred():
            return event.node
    return "the hub"


def _look_at(done: journal.Writing) -> None:
    """A value that could not be kept is the journal's to report; look, or asyncio complains."""
    if not done.cancelled():
        done.exception()

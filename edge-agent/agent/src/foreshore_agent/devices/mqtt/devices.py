"""The devices of a site that speak MQTT: samples and answers in, commands and advice out.

What devices measure comes over the telemetry connection, their answers over control, where commands
go. Answers are passed on as they come; what is measured waits in `unread` until the engine's host
has a turn for it. `life` makes one, the `DevicesPort` of the runtime; `topics` and `orders` know
whose a topic is, `translate` reads a message.
"""

import contextlib
import functools
import logging
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Final

from foreshore_agent import documents, refusals
from foreshore_agent.devices import port
from foreshore_agent.devices.codecs import dialect, formats
from foreshore_agent.devices.mqtt import (
    availability,
    broker,
    channel,
    last_words,
    orders,
    topics,
    translate,
    unread,
)
from foreshore_agent.engine import effects, events
from foreshore_agent.engine.events import Key
from foreshore_api import printable
from foreshore_api.reasons import command as reasons
from foreshore_api.reasons import telemetry
from foreshore_api.wire import assignment

_LOG: Final = logging.getLogger(__name__)
LONGEST_WAIT: Final = 1.0
"""Seconds that a message may wait unread. A sample is decided on as of when it came: after a longer
wait, such as for a disk, that would take old values for fresh ones."""
READ_BYTES: Final = documents.MAXIMUM_BYTES
"""Bytes of payloads after which the others of a turn wait for the next: JSON of this size that is
made to be slow takes 10 ms, and ticks and renewals wait for a turn's end."""


class MqttDevices:
    """All devices of this agent's site; a `DevicesPort`."""

    def __init__(
        self,
        site: broker.SiteBroker,
        credentials: Path | None,
        stamp: events.EventStamp,
        deliver: port.Deliver,
        refused: refusals.Refusals,
        wake: Callable[[], None],
    ) -> None:
        """Speak to the devices of a site; `wake` is called when there is something measured."""
        self._broker: Final = site
        self._credentials: Final = credentials
        self._stamp: Final = stamp
        self._deliver: Final = deliver
        self._refused: Final = refused
        self._wake: Final = wake
        self._unread: Final = unread.Unread()
        self._missed: Final[dict[Key, dict[str, int]]] = {}
        """Messages of each device since its last sample that were not read, by reason."""
        self._announced: Final = availability.Announcements()
        self._lost: Final[dict[str, None]] = {}
        """Topics on which a message was dropped that said what is not said again."""
        self._logged: Final[set[tuple[str | Key, str, str]]] = set()
        """Topics, properties and actions of devices with a reason for which the log has a line."""
        self._routes = topics.Routes()
        self._watched = availability.AvailabilityTopics()
        self._words: last_words.Words = {}
        self._orders = orders.OrderTopics()
        self._telemetry: Final = site.telemetry(
            channel.Subscriber(self._measured, self._telemetry_changed)
        )
        self._control: Final = site.control(channel.Subscriber(self._answered))

    @property
    def is_connected(self) -> bool:
        """Whether a command could be sent now."""
        return self._broker.is_connected

    @property
    def problem(self) -> str | None:
        """Why the broker has no session with us, for people."""
        return self._broker.problem

    @property
    def reason(self) -> str | None:
        """The broker's own reason for that, as a code."""
        return self._broker.reason

    @property
    def denied(self) -> tuple[str, ...]:
        """What the broker does not let us publish or listen on."""
        return self._broker.denied

    async def run(self) -> None:
        """Keep the broker's connections up until cancelled."""
        await self._broker.run()

    def assign(
        self,
        site: assignment.AssignedSite | None,
        devices: Iterable[assignment.AssignedDevice],
        windowed: Collection[Key] = (),
    ) -> None:
        """Take a new desired state: another broker, other topics."""
        placed = () if site is None else tuple(devices)
        words = last_words.by_topic(placed)
        renewed, self._words = last_words.renewed(self._words, words), words
        before = frozenset(self._topic_problems())
        self._watched = availability.lay_out(placed)
        self._routes = topics.routes(placed, None if site is None else site.spec.time_zone)
        self._orders = orders.lay_out(placed)
        for problem in dict.fromkeys(self._topic_problems()):
            if problem not in before:
                _LOG.warning("no topic: %s", printable.clean(problem))
        telemetry_routes = self._routes.telemetry
        dropped = self._unread.assign(
            {
                topic: len(routes) == 1
                and routes[0].device not in windowed
                and routes[0].decoder.is_repeated
                for topic, routes in telemetry_routes.items()
            }
        )
        for taken in dropped:
            self._drop(taken)
        assigned = {route.device for routes in telemetry_routes.values() for route in routes}
        for gone in self._missed.keys() - assigned:
            del self._missed[gone]
        self._logged.clear()
        heard = {*self._routes.telemetry_filters, *self._watched.routes}
        self._telemetry.listen(tuple(sorted(heard)), renewed)
        self._control.listen(self._orders.filters)
        self._broker.assign(None if site is None else site.spec.broker, self._credentials)

    def _topic_problems(self) -> tuple[str, ...]:
        """Return which topics devices cannot have, as sentences."""
        return (*self._routes.problems, *self._orders.problems, *self._watched.problems)

    def send(self, command: effects.SendCommand) -> str | None:
        """Publish one command, now or never; return why it surely did not leave, or None."""
        to = self._orders.commands.get((command.device, command.action))
        if to is None:
            return reasons.NO_COMMAND_TOPIC
        try:
            body = to.encode(command)
        except dialect.MessageError as error:
            self._note_unmade(command, error)
            return reasons.MESSAGE_NOT_MADE
        within = max(0.0, command.deadline - self._stamp.now().monotonic)
        try:
            self._control.publish(
                to.topic,
                body,
                qos=1,
                expiry=_expiry(command),
                within=within,
                refused=functools.partial(self._refuse, command),
            )
        except channel.NotSentError as error:
            return error.reason
        return None

    def _note_unmade(self, command: effects.SendCommand, error: dialect.MessageError) -> None:
        """Say once in the log why an action of a device has no message."""
        if self._is_first((command.device, command.action, reasons.MESSAGE_NOT_MADE)):
            _LOG.warning("%s of %s has no message: %s", command.action, command.device, error)

    def advise(self, advice: effects.Advise) -> None:
        """Publish advice where the device has a topic for it; if it does not leave, never mind."""
        to = self._orders.advice.get(advice.device)
        if to is not None:
            with contextlib.suppress(channel.NotSentError):
                self._telemetry.publish(to.topic, to.codec.advice(advice))

    def _refuse(self, command: effects.SendCommand, why: str) -> None:
        """Pass on that the broker took a command from us and gives it to nobody."""
        refused = events.CommandNotSent(
            *self._stamp(), command.command_id, command.policy, command.device, why
        )
        self._deliver(refused)

    @property
    def has_measured(self) -> bool:
        """Whether messages of devices wait."""
        return bool(self._lost) or not (self._unread.is_empty and self._announced.is_empty)

    def measured(self, most: int) -> list[events.Sample]:
        """Decode the messages that wait, so many at most, and return what they measure.

        No further one once there are so many samples: a message on a topic that a thousand devices
        share measures for each of them. What was said of whether devices are there comes before it.
        """
        if not self._announced.is_empty:
            for announced in self._announced.take():
                self._deliver(announced)
        samples = self._of_lost() if self._lost else []
        oldest, size = self._stamp.now().monotonic - LONGEST_WAIT, 0
        for _ in range(most):
            taken = None if size >= READ_BYTES else self._unread.take()
            if taken is None:
                break
            size += len(taken.message.payload)
            at = taken.message.at
            is_overdue = at is not None and at.monotonic < oldest
            samples += self._of_overdue(taken) if is_overdue else self._of_newest(taken)
            if len(samples) >= most:
                break
        return samples

    def _measured(self, message: channel.MqttMessage) -> bool:
        """Keep a message of the telemetry connection until the engine's host has a turn for it."""
        for watched in self._watched.routes.get(message.topic, ()):
            self._announce(message, watched)
        for dropped in self._unread.put(message):
            self._drop(dropped)
        self._wake()
        return True

    def _announce(
        self, message: channel.MqttMessage, route: availability.AvailabilityRoute
    ) -> None:
        """Keep what a message says of whether a device is there."""
        is_online = route.read(message.payload)
        if isinstance(is_online, str):
            self._refused.note(f"a message on {message.topic}", is_online)
            return
        at = message.at or self._stamp.now()
        fresh = self._stamp.fresh()
        self._announced.put(
            events.Availability(at, fresh, route.device, is_online, message.retained)
        )

    def _drop(self, taken: unread.UnreadMessage) -> None:
        """Count a message that is never read, for the next sample of its devices."""
        topic = taken.message.topic
        self._note_dropped(taken)
        if any(route.decoder.states for route in self._routes.telemetry.get(topic, ())):
            self._lost[topic] = None

    def _note_dropped(self, taken: unread.UnreadMessage) -> None:
        topic = taken.message.topic
        self._refused.note(f"a message on {topic} that had to wait", telemetry.DROPPED)
        self._miss(topic, telemetry.DROPPED, 1)
        self._miss(topic, telemetry.NEWER_ON_TOPIC, taken.passed)

    def _of_lost(self) -> list[events.Sample]:
        """Return that states are void of which a message was dropped, before newer ones are read.

        Otherwise an older "closed" would outlive the "open" that nobody read.
        """
        topics_lost = tuple(self._lost)
        self._lost.clear()
        return [
            self._with_missed(sample)
            for topic in topics_lost
            for route in self._routes.telemetry.get(topic, ())
            for sample in translate.lost(route, *self._stamp())
        ]

    def _of_overdue(self, taken: unread.UnreadMessage) -> list[events.Sample]:
        """Return what holds however late it is taken: states. Drop the message if it has none."""
        routes = self._routes.telemetry.get(taken.message.topic, ())
        contents = formats.Contents(taken.message.payload, len(routes))
        samples: list[events.Sample] = []
        for route in routes:
            if route.decoder.states:
                arrival = self._measurement(taken.message, contents, route, is_overdue=True)
                if isinstance(arrival, list):
                    samples += arrival
                elif arrival != telemetry.NO_PROPERTY:
                    samples += self._unusable(taken.message, route, arrival)
        if not samples:
            self._note_dropped(taken)
        return [self._with_missed(sample) for sample in samples]

    def _of_newest(self, taken: unread.UnreadMessage) -> list[events.Sample]:
        """Return what a message measures; or, where it is unusable, the one that it replaced."""
        samples = self._of_message(taken.message)
        passed = taken.passed
        if not samples and taken.spare is not None:
            samples = self._of_message(taken.spare)
            passed -= 1
        self._miss(taken.message.topic, telemetry.NEWER_ON_TOPIC, passed)
        return [self._with_missed(sample) for sample in samples] if self._missed else samples

    def _of_message(self, message: channel.MqttMessage) -> list[events.Sample]:
        """Return what a message measures, of each device of its topic; count what is refused.

        On a topic that devices share, most messages are without a property of most of them.
        """
        routes = self._routes.telemetry.get(message.topic, ())
        contents = formats.Contents(message.payload, len(routes))
        samples: list[events.Sample] = []
        void: list[events.Sample] = []
        silent = 0
        for route in routes:
            arrival = self._measurement(message, contents, route)
            if isinstance(arrival, list):
                samples += arrival
            elif arrival == telemetry.NO_PROPERTY:
                silent += 1
            else:
                void += self._unusable(message, route, arrival)
        if silent == len(routes):
            for _ in routes:
                self._note(message.topic, telemetry.NO_PROPERTY)
        self._learn(message.topic, samples)
        return samples + void if void else samples

    def _unusable(
        self, message: channel.MqttMessage, route: topics.DeviceRoute, refusal: str | Exception
    ) -> list[events.Sample]:
        """Count a message that says nothing to a device, and return that its states are void.

        It may have been the "open" after the "closed" that is believed; unless it says null.
        """
        self._note(message.topic, refusal)
        if refusal == telemetry.NULL:
            return []
        reason = telemetry.DEFECT if isinstance(refusal, Exception) else refusal
        return translate.lost(route, *self._stamp(), reason, retained=message.retained)

    def _learn(self, topic: str, samples: Sequence[events.Sample]) -> None:
        """Note what a message named, for what may be passed over on its topic."""
        if len(samples) > 1:
            self._unread.read_in_full(topic)
        for sample in samples:
            self._unread.learn(topic, (*sample.values, *sample.refused))
            if sample.refused or sample.unread_times:
                self._note_unread(sample)

    def _note(self, topic: str, refusal: str | Exception) -> None:
        """Count why a message says nothing to a device."""
        what = f"a message on {topic}"
        if isinstance(refusal, Exception):
            self._refused.note(what, telemetry.DEFECT, refusal)
            return
        self._refused.note(what, refusal, is_first=self._is_first((topic, "", refusal)))
        if refusal in (telemetry.NULL, telemetry.NO_PROPERTY):
            self._unread.read_in_full(topic)

    def _miss(self, topic: str, reason: str, count: int) -> None:
        """Count messages that were not read for the next sample of each device of their topic."""
        if not count:
            return
        for route in self._routes.telemetry.get(topic, ()):
            counts = self._missed.setdefault(route.device, {})
            counts[reason] = counts.get(reason, 0) + count
        if reason == telemetry.NEWER_ON_TOPIC:
            self._refused.count_many(reason, count)

    def _with_missed(self, sample: events.Sample) -> events.Sample:
        missed = self._missed.pop(sample.device, None)
        if missed is None:
            return sample
        return sample._replace(replaced=tuple(missed.items()))

    def _measurement(
        self,
        message: channel.MqttMessage,
        contents: formats.Contents,
        route: topics.DeviceRoute,
        *,
        is_overdue: bool = False,
    ) -> list[events.Sample] | str | Exception:
        """Return what a message measures, why it is unusable, or the defect that it met.

        It is read in the engine's turn, where an error ends the process: no message may raise one.
        """
        try:
            return translate.telemetry(message, contents, route, self._stamp, is_overdue=is_overdue)
        except Exception as error:  # noqa: BLE001 - counted and logged
            return error

    def _note_unread(self, sample: events.Sample) -> None:
        """Count values and device times that cannot be read; say at least once whose these are."""
        for name, reason in sample.refused.items():
            is_first = self._is_first((sample.device, name, reason))
            self._refused.note(f"{name} of {sample.device}", reason, is_first=is_first)
        if sample.unread_times:
            self._refused.count(telemetry.INVALID_TIMESTAMP)
        for name, reason in sample.unread_times.items():
            if self._is_first((sample.device, name, reason)):
                why = refusals.explained(reason)
                _LOG.warning("%s of %s: %s%s", name, sample.device, reason, why)

    def _is_first(self, refusal: tuple[str | Key, str, str]) -> bool:
        """Whether something is refused for a reason that the log does not have of it yet.

        What is refused is a device's property or action, or a topic: there are not many.
        """
        is_first = refusal not in self._logged
        self._logged.add(refusal)
        return is_first

    def _telemetry_changed(self, is_up: bool) -> None:  # noqa: FBT001 - a callback
        """Pass on that telemetry begins or ends, after what came before it.

        A value from before a gap that is taken after it would end the gap of every window.
        """
        while is_up and self.has_measured:
            for sample in self.measured(unread.MAXIMUM_MESSAGES):
                self._deliver(sample)
        self._deliver(events.TelemetryChanged(*self._stamp(), is_up))

    def _answered(self, message: channel.MqttMessage) -> bool:
        """Pass a device's answers on, and what it says to an action in its own words."""
        answers = self._orders.answers.get(message.topic, ())
        replies = self._orders.replies.get(message.topic, ())
        for answer in answers:
            self._pass_on(translate.answer(message, answer, *self._stamp()), message.topic)
        arrivals = [translate.reply(message, reply, *self._stamp()) for reply in replies]
        is_any = any(isinstance(arrival, events.Replied) for arrival in arrivals)
        for arrival in arrivals:
            if not (is_any and isinstance(arrival, str)):  # actions share a topic, each its path
                self._pass_on(arrival, message.topic)
        return bool(answers or replies)

    def _pass_on(self, arrival: port.Arrival | str, topic: str) -> None:
        if isinstance(arrival, str):
            self._refused.note(f"a message on {topic}", arrival)
            return
        if isinstance(arrival, events.Acknowledged | events.Replied):  # samples count themselves
            self._refused.count(telemetry.ACCEPTED)
        self._deliver(arrival)


def _expiry(command: effects.SendCommand) -> int:
    """Return the MQTT 5 message expiry in whole seconds: a help, `notAfter` decides."""
    return max(1, math.ceil(command.time_to_live))

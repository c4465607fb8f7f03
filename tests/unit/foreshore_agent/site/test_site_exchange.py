"""What an agent hears of the others, and whether it is heard itself."""

import asyncio
from datetime import UTC, datetime

import pytest

from foreshore_agent import refusals
from foreshore_agent.devices.mqtt import channel
from foreshore_agent.engine import events
from foreshore_agent.site import echo, exchange
from foreshore_api.wire import beat

AT = events.Instant(datetime(2026, 1, 1, tzinfo=UTC), 1.0, 1.0)
OWN = beat.Beat(node="edge-1", boot_id="b", sequence=1, has_hub=True)
PEER = OWN.model_copy(update={"node": "edge-2"})
HELD = (beat.Held(namespace="hq", device="room-301", epoch=3),)


class Line:
    """The control connection of a broker that lets through what it is asked to."""

    def __init__(self) -> None:
        self.is_up = True
        self.refused: set[str] = set()
        self.filters: tuple[str, ...] = ()
        self.sent: list[tuple[str, bytes]] = []
        self.delivered: list[events.Event] = []
        self.requests: list[beat.RenewalRequest] = []
        self.counts: dict[str, int] = {}
        self.subscriber: channel.Subscriber
        calls = exchange.ExchangeCalls(self.delivered.append, self.requests.append)
        refused = refusals.Refusals(self.count)
        stamp = events.EventStamp(lambda: AT, lambda: "f")
        self.exchange = exchange.Exchange("edge-1", stamp, calls, refused, self.open)
        self.exchange.assign("hq")

    def open(self, subscriber: channel.Subscriber) -> channel.Channel:
        self.subscriber = subscriber
        return self

    def count(self, result: str) -> None:
        self.counts[result] = self.counts.get(result, 0) + 1

    def is_refused(self, topic_filter: str) -> bool:
        return topic_filter in self.refused

    def listen(self, filters: tuple[str, ...], renewed: frozenset[str] = frozenset()) -> None:
        self.filters = filters

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        expiry: int | None = None,
        within: float | None = None,
        refused: channel.Refused | None = None,
    ) -> None:
        if not self.is_up:
            raise channel.NotSentError("NotConnected")
        self.sent.append((topic, payload))

    def receive(self, topic: str, body: bytes, *, retained: bool = False) -> bool:
        return self.subscriber.take(channel.MqttMessage(topic, body, retained, redelivered=False))

    @property
    def deafness(self) -> list[tuple[bool, bool]]:
        changes = [each for each in self.delivered if isinstance(each, events.BrokerChanged)]
        return [(each.connected, each.is_deaf) for each in changes]


def test_beats_and_renewals_are_events_and_a_request_is_relayed() -> None:
    line = Line()
    renewal = beat.Renewal(node="edge-1", boot_id="b", number=1, devices=())
    request = beat.RenewalRequest(node="edge-2", boot_id="b", number=1, held=HELD)
    assert line.receive(beat.beat_topic("hq", "edge-2"), PEER.encode())
    assert line.receive(beat.renewed_topic("hq", "edge-1"), renewal.encode())
    assert line.receive(beat.renew_topic("hq", "edge-2"), request.encode())
    assert line.delivered == [
        events.PeerBeat(AT, "f", PEER),
        events.Renewed(AT, "f", renewal, relayed=True),
    ]
    assert line.requests == [request]
    assert line.counts == {}


async def test_what_is_refused_of_peers_is_counted_and_an_echo_is_not() -> None:
    line = Line()
    assert line.receive(beat.beat_topic("hq", "edge-1"), OWN.encode())
    assert line.receive(beat.beat_topic("hq", "edge-3"), PEER.encode())
    assert line.receive(beat.beat_topic("hq", "edge-2"), b"{", retained=True)
    assert not line.receive("hq/room/ack", b"{}"), "it may be another subscriber's"
    assert line.delivered == []
    assert line.counts == {"WrongSpeaker": 1, "Retained": 1}


async def test_beats_that_do_not_come_back_make_it_deaf_until_one_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(echo, "ECHO_SECONDS", 0.0)
    line = Line()
    line.subscriber.changed(True)
    assert line.exchange.announce(OWN)
    await asyncio.sleep(0.01)
    assert line.exchange.announce(OWN)
    (sentence,) = line.exchange.denied
    assert "foreshore/v1/hq/beat/edge-1" in sentence
    assert line.deafness == [(True, False), (True, True)]
    line.receive(beat.beat_topic("hq", "edge-1"), OWN.encode())
    assert line.exchange.denied == ()
    assert line.deafness[-1] == (True, False)


async def test_it_listens_since_its_own_beat_came_back_in_this_session() -> None:
    """Regression: whoever had only just connected bore witness to what it could not have heard."""
    line, loop = Line(), asyncio.get_running_loop()

    def come_back() -> float:
        begun = loop.time()
        line.receive(beat.beat_topic("hq", "edge-1"), OWN.encode())
        return begun

    line.subscriber.changed(True)
    line.receive(beat.beat_topic("hq", "edge-2"), PEER.encode())
    assert line.exchange.listening_seconds == 0.0, "a peer's beat may have been on its way"
    begun = come_back()
    await asyncio.sleep(0.01)
    assert 0.0 < line.exchange.listening_seconds <= loop.time() - begun
    line.subscriber.changed(True)
    assert line.exchange.listening_seconds == 0.0
    begun = come_back()
    assert line.exchange.listening_seconds <= loop.time() - begun
    line.is_up = False
    assert line.exchange.listening_seconds == 0.0


async def test_a_refused_filter_makes_it_deaf_from_the_first_moment() -> None:
    line = Line()
    line.refused.add(beat.beat_topic("hq"))
    line.subscriber.changed(True)
    assert line.deafness == [(True, True)]


async def test_what_does_not_leave_is_told_and_waits_for_nothing_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(echo, "ECHO_SECONDS", -1.0)
    line = Line()
    line.is_up = False
    request = beat.RenewalRequest(node="edge-1", boot_id="b", number=1, held=HELD)
    assert not line.exchange.announce(OWN)
    assert not line.exchange.ask(request)
    assert line.exchange.denied == ()


def test_without_a_site_it_listens_on_nothing() -> None:
    line = Line()
    assert beat.beat_topic("hq") in line.filters
    line.exchange.assign(None)
    assert not line.filters

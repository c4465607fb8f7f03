"""Messages between the socket and their taker."""

import pytest

from builders import site_side
from builders.site_wire import AT, SITE
from foreshore_agent import refusals
from foreshore_agent.devices.mqtt import broker, channel, devices, inbox, unread
from foreshore_agent.engine import events
from foreshore_api.reasons import telemetry


def message(topic: str, body: bytes = b"") -> channel.MqttMessage:
    return channel.MqttMessage(topic, body, retained=False, redelivered=False, at=AT)


def test_what_is_put_aside_waits_for_nothing() -> None:
    came: list[channel.MqttMessage] = []
    waiting = inbox.Inbox(came.append, is_aside=True)
    for number in range(3 * inbox.MAXIMUM_MESSAGES):
        waiting.put(message(str(number)))
    assert len(came) == 3 * inbox.MAXIMUM_MESSAGES
    assert not waiting.is_full


def test_the_loop_sees_to_others_after_a_few_messages_or_a_few_large_ones() -> None:
    came: list[channel.MqttMessage] = []
    waiting = inbox.Inbox(came.append)
    large = b"." * (inbox.HANDED_OVER_BYTES // 2)
    for body in (large, large, large, *(b"",) * 30):
        waiting.put(message("t", body))
    counts = []
    while not waiting.is_empty:
        before = len(came)
        waiting.hand_over()
        counts.append(len(came) - before)
    assert counts == [2, 16, 15]


@pytest.mark.parametrize("is_aside", [False, True])
def test_a_message_that_its_taker_chokes_on_costs_no_other(is_aside: bool) -> None:
    came: list[str] = []

    def take(taken: channel.MqttMessage) -> None:
        came.append(taken.topic)
        if taken.topic == "bad":
            raise ZeroDivisionError

    waiting = inbox.Inbox(take, is_aside=is_aside)
    for topic in ("bad", "good"):
        waiting.put(message(topic))
    waiting.hand_over()
    assert came == ["bad", "good"]


async def test_a_burst_of_one_device_costs_another_nothing_and_is_counted_for_its_records() -> None:
    """One read of the socket may bring thousands: all get to where they are told apart."""
    counts: list[str] = []
    site = broker.SiteBroker("n", refusals.Refusals(counts.append), lambda: AT)
    measured = devices.MqttDevices(
        site,
        None,
        events.EventStamp(lambda: AT, lambda: "f"),
        lambda _: None,
        refusals.Refusals(counts.append),
        lambda: None,
    )
    measured.assign(SITE, [site_side.device("quiet"), site_side.device("loud")])
    traffic = site._telemetry.lane._traffic
    waiting = inbox.Inbox(traffic.received, is_aside=traffic.is_aside)
    waiting.put(message("hq/quiet/telemetry", b'{"co2": 1.0}'))
    burst = 3 * unread.MAXIMUM_MESSAGES
    for _ in range(burst):
        waiting.put(message("hq/loud/telemetry", b'{"co2": 2.0}'))
    waiting.hand_over()
    samples = measured.measured(2 * burst)
    assert "quiet" in [sample.device.name for sample in samples]
    told = sum(count for sample in samples for _, count in sample.replaced)
    assert len(samples) + told == burst + 1
    assert counts == [telemetry.DROPPED] * told

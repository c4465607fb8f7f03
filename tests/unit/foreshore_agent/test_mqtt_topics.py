"""Where commands and advice go: each device's own topics, where its profile names any."""

from datetime import UTC, datetime

from foreshore_agent.devices.mqtt import broker, topics
from foreshore_agent.engine import effects, events
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.v1alpha1.device import DeviceSpec
from foreshore_api.wire import assignment

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def a_device(name: str, **mqtt: str) -> assignment.AssignedDevice:
    profile = deviceprofile.DeviceProfileSpec(
        mqtt=deviceprofile.Mqtt(telemetry_topic="{site}/{device}/telemetry", **mqtt),
        properties=(deviceprofile.Property(name="co2"),),
    )
    spec = DeviceSpec(profile_ref={"name": "room"}, site="hq")
    return assignment.AssignedDevice(
        namespace="hq", name=name, uid="u", generation=1, digest="d", spec=spec, profile=profile
    )


def test_each_device_is_commanded_and_advised_on_its_own_topics() -> None:
    both = {"command_topic": "{site}/{device}/command", "advice_topic": "{site}/{device}/advice"}
    routes = topics.routes("edge-1", "hq", (a_device("a", **both), a_device("b", **both)))
    assert routes.commands == {events.Key("hq", name): f"hq/{name}/command" for name in ("a", "b")}
    assert routes.advice == {events.Key("hq", name): f"hq/{name}/advice" for name in ("a", "b")}


def test_a_device_that_takes_no_commands_gets_none_and_the_cause_is_said() -> None:
    side = broker.Broker(
        "edge-1",
        lambda: (events.Instant(NOW, 0.0, 0.0), "id"),
        broker.Calls(lambda _: None, lambda _: None, lambda _: None),
    )
    side.assign(None, (), None)
    device, policy = events.Key("hq", "a"), events.Key("hq", "p")
    command = effects.Command(
        "d/1", 1, policy, device, "air", {}, "edge-1", 7, 8, NOW, NOW, 5.0, 9e9
    )
    assert side.command(command) == broker.NO_TOPIC

"""Where commands and advice go: each device's own topics, where its profile names any."""

from builders import site_side
from foreshore_agent.devices.mqtt import devices, topics
from foreshore_agent.engine import events


def test_each_device_is_commanded_and_advised_on_its_own_topics() -> None:
    advised = {"advice_topic": "{site}/{device}/advice"}
    routes = topics.routes("hq", [site_side.device(name, **advised) for name in ("a", "b")])
    assert routes.commands == {events.Key("hq", name): f"hq/{name}/command" for name in ("a", "b")}
    assert routes.advice == {events.Key("hq", name): f"hq/{name}/advice" for name in ("a", "b")}


async def test_a_device_that_takes_no_commands_gets_none_and_the_cause_is_said() -> None:
    side = site_side.SiteSide()
    assert side.devices.command(site_side.command("a")) == devices.NO_TOPIC

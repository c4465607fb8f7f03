"""Where commands and advice go: each device's own topics, where its profile names any."""

from builders import site_side
from foreshore_agent.devices.mqtt import orders
from foreshore_agent.engine import events


def test_each_device_is_commanded_and_advised_on_its_own_topics() -> None:
    advised = {"advice_topic": "{site}/{device}/advice"}
    laid = orders.lay_out("hq", [site_side.device(name, **advised) for name in ("a", "b")])
    for name in ("a", "b"):
        key = events.Key("hq", name)
        assert laid.commands[key, "air"].topic == f"hq/{name}/command"
        assert laid.advice[key].topic == f"hq/{name}/advice"

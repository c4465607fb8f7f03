"""Where commands and advice go: each device's own topics, where its profile names any."""

import pytest

from builders import engine_rig, plug, site_side
from builders.engine_rig import DEVICE
from builders.site_wire import AT, SITE, Wire
from foreshore_agent.devices.mqtt import channel, orders
from foreshore_agent.engine import events
from foreshore_api import v1alpha1
from foreshore_api.reasons import command as reasons
from foreshore_api.reasons import telemetry
from foreshore_api.wire import assignment


def test_each_device_is_commanded_and_advised_on_its_own_topics() -> None:
    advised = {"advice_topic": "{site}/{device}/advice"}
    laid = orders.lay_out([site_side.device(name, **advised) for name in ("a", "b")])
    for name in ("a", "b"):
        key = events.Key("hq", name)
        assert laid.commands[key, "air"].topic == f"hq/{name}/command"
        assert laid.advice[key].topic == f"hq/{name}/advice"


def plugged(*, name: str = "room-301", value: str = "Fan Plug") -> assignment.AssignedDevice:
    own = plug.device(value)
    spec = v1alpha1.Device.read(own).spec
    [made] = engine_rig.assign(plug.profile(plug.REPLY), plug.device(), plug.policy()).devices
    return made.model_copy(update={"name": name, "spec": spec})


def test_an_action_goes_to_its_own_topic_in_its_own_words() -> None:
    laid = orders.lay_out([plugged()])
    to = laid.commands[DEVICE, "switch"]
    assert to.topic == "zigbee2mqtt/Fan Plug/set"
    command = site_side.command()._replace(values={"value": True})
    assert to.encode(command) == b'{"state":"ON"}'
    assert laid.filters == ("stat/Fan Plug/RESULT",)
    [route] = laid.replies["stat/Fan Plug/RESULT"]
    assert (route.device, route.action) == (DEVICE, "switch")


def test_a_device_whose_topic_cannot_be_filled_in_is_named_and_the_others_go_on() -> None:
    laid = orders.lay_out([plugged(value="#"), plugged(name="b"), site_side.device("c")])
    assert [(key.name, action) for key, action in laid.commands] == [("b", "switch"), ("c", "air")]
    [problem] = laid.problems
    assert problem.startswith("hq/room-301 is not commanded: ")


def test_a_message_that_does_not_compile_is_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    device = plugged()
    [action] = device.profile.actions
    assert action.mqtt is not None
    broken = action.model_copy(
        update={"mqtt": action.mqtt.model_copy(update={"expression": '{"state": nowhere}'})}
    )
    profile = device.profile.model_copy(update={"actions": (broken,)})
    wire = Wire()
    wire.devices.assign(SITE, [device.model_copy(update={"profile": profile})])
    command = site_side.command()._replace(action="switch", values={"value": True})
    assert wire.devices.send(command) == reasons.MESSAGE_NOT_MADE
    assert wire.sent == []
    assert "undeclared reference" in caplog.text


def test_a_reply_reaches_the_engine_by_device_and_action() -> None:
    wire = Wire()
    wire.devices.assign(SITE, [plugged()])
    assert wire.answer("stat/Fan Plug/RESULT", b'{"POWER":"ON"}')
    assert wire.arrived == [events.Replied(AT, "f", DEVICE, "switch", "ON")]
    assert wire.answer("stat/Fan Plug/RESULT", b'{"Dimmer":3}')
    kept = channel.MqttMessage("stat/Fan Plug/RESULT", b'{"POWER":"ON"}', True, redelivered=False)
    assert wire.users[1].take(kept)
    assert len(wire.arrived) == 1
    assert wire.counts == [telemetry.ACCEPTED, telemetry.WRONG_TYPE, telemetry.RETAINED]

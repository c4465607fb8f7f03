"""Commands out and answers in, each device in its own dialect, without a broker."""

from typing import Any

import pytest

from builders import site_side, toy_codec
from builders.site_wire import AT, SITE, Wire
from foreshore_agent.devices.codecs import formats, payload, registry
from foreshore_agent.engine import effects, events
from foreshore_api.reasons import command as outcomes
from foreshore_api.reasons import telemetry
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import assignment, command


def placed(name: str, path: str) -> assignment.AssignedDevice:
    """A device that shares its topic, and has a place of its own in the document."""
    made = site_side.device(name, telemetry_topic="{site}/all")
    properties = (deviceprofile.Property(name="co2", path=path),)
    profile = made.profile.model_copy(update={"properties": properties})
    return made.model_copy(update={"profile": profile})


def advice(name: str) -> effects.Advise:
    key, policy = events.Key("hq", name), events.Key("hq", "ventilate")
    return effects.Advise(policy, key, "air", {"value": 1.0}, "StaleAir", "d", AT.now)


def test_another_dialect_is_a_module_and_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "CODECS", (toy_codec.ROW, *registry.CODECS))
    wire = Wire()
    toy = {"command_topic": "{site}/{device}/toy", "advice_topic": "{site}/{device}/advice"}
    wire.devices.assign(SITE, [site_side.device("toy", **toy), site_side.device("room-301")])
    assert wire.devices.send(site_side.command("toy")) is None
    wire.devices.advise(advice("toy"))
    assert wire.devices.send(site_side.command("room-301")) is None
    assert wire.sent[:2] == [("hq/toy/toy", b"d/1 7 air 1.0"), ("hq/toy/advice", b"try air")]
    assert command.Command.decode(wire.sent[2][1]).action == "air"
    assert wire.answer("hq/toy/ack", b"yes d/1")
    assert wire.answer("hq/toy/ack", b"maybe")
    accepted = command.Acknowledgement(command_id="d/1", result=command.Result.ACCEPTED)
    assert wire.arrived == [events.Acknowledged(AT, "f", events.Key("hq", "toy"), accepted)]
    assert wire.counts == [telemetry.ACCEPTED, "NotYesOrNo"]


def test_a_measurement_is_left_to_the_engine_to_count_and_an_unusable_one_is_counted() -> None:
    wire = Wire()
    wire.devices.assign(SITE, [site_side.device("a")])
    wire.measure("hq/a/telemetry", b'{"co2": 1.0}')
    assert len(wire.arrived) == 1
    assert wire.counts == []
    wire.measure("hq/a/telemetry", b"{}")
    assert len(wire.arrived) == 1
    assert wire.counts == [telemetry.NO_PROPERTY]


def test_on_a_shared_topic_what_is_another_devices_is_no_refusal() -> None:
    wire = Wire()
    shared = [placed(name, f"/{name}/co2") for name in ("a", "b")]
    wire.devices.assign(SITE, shared)
    wire.measure("hq/all", b'{"a": {"co2": 1.0}}')
    assert [each.device.name for each in wire.arrived if isinstance(each, events.Sample)] == ["a"]
    assert wire.counts == []
    wire.measure("hq/all", b'{"c": {"co2": 1.0}}')
    assert len(wire.arrived) == 1
    assert wire.counts == [telemetry.NO_PROPERTY] * 2


def test_a_message_that_its_decoder_chokes_on_costs_itself_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is read in the engine's turn, where an error ends the process."""
    wire = Wire()
    wire.devices.assign(SITE, [site_side.device("a")])
    really = payload.Decoder.read

    def read(self: payload.Decoder, contents: formats.Contents, **asked: bool) -> Any:
        assert 1 // len(contents.body) == 0
        return really(self, contents, **asked)

    monkeypatch.setattr(payload.Decoder, "read", read)
    wire.put("hq/a/telemetry", b"")
    wire.put("hq/a/telemetry", b'{"co2": 1.0}')
    assert [sample.values["co2"] for sample in wire.devices.measured(16)] == [1.0]
    assert wire.counts == [telemetry.DEFECT]


def test_every_profile_has_a_dialect() -> None:
    assert registry.choose(site_side.device("room-301").profile) is registry.CODECS[-1]


def test_why_a_command_did_not_leave_is_told_and_advice_may_be_lost() -> None:
    wire = Wire()
    wire.devices.assign(SITE, [site_side.device("a", advice_topic="{site}/{device}/advice")])
    wire.why = "Congested"
    assert wire.devices.send(site_side.command("a")) == "Congested"
    wire.devices.advise(advice("a"))
    assert wire.sent == []


def test_a_device_that_takes_no_commands_gets_none_and_the_cause_is_told() -> None:
    assert Wire().devices.send(site_side.command("a")) == outcomes.NO_COMMAND_TOPIC


def test_a_turn_takes_no_more_messages_than_come_to_its_samples() -> None:
    """Regression: 32 messages on a topic of a thousand devices held the loop for a second."""
    wire = Wire()
    names = [f"d{number}" for number in range(20)]
    wire.devices.assign(SITE, [placed(name, f"/{name}/co2") for name in names])
    body = b"{%b}" % b",".join(b'"%b": {"co2": 1.0}' % name.encode() for name in names)
    for _ in range(5):
        wire.put("hq/all", body)
    taken = [len(wire.devices.measured(32)) for _ in range(4)]
    assert taken == [40, 40, 20, 0]


def test_an_answer_on_a_topic_of_no_device_is_left_to_others() -> None:
    wire = Wire()
    wire.devices.assign(SITE, [site_side.device("a")])
    assert not wire.answer("hq/b/ack", b"{}")

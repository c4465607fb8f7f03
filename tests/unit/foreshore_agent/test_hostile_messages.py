"""No message ends an agent: whatever comes is an event that the engine takes, or a refusal.

Messages are JSON of the right shape with values nobody expects in any place (integers of 400
digits, 1e999, NaN, half a character, deep nesting, equal keys, long texts), and bytes of any kind.
"""

import contextlib
import gc
import json
import time
from typing import Any

import orjson
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import plug
from builders.engine_rig import DEVICE, NODE, Rig
from foreshore_agent import meters
from foreshore_agent.devices.codecs import formats, leaf, payload, registry
from foreshore_agent.devices.mqtt import channel, orders, topics, translate
from foreshore_agent.engine import effects, events
from foreshore_agent.inference.oip import answer
from foreshore_agent.site import messages
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import beat, command, report
from foreshore_decision import served

HOSTILE = [
    "1" + "0" * 400,
    "-1" + "0" * 400,
    "9" * 5000,
    "18446744073709551616",
    "9223372036854775808",
    "-9223372036854775809",
    "4611686018427387904",
    "1e999",
    "-1e999",
    "1e-999",
    "-0.0",
    "NaN",
    "Infinity",
    "null",
    "true",
    '"\\ud800"',
    '"\\u0000"',
    '"\\u001b[2J\\u202e"',
    '"' + "x" * 2000 + '"',
    "[" * 50 + "]" * 50,
    "[" * 20_000,
    '{"a":' * 50 + "1" + "}" * 50,
    '{"a":1,"a":2}',
    "{}",
    "[]",
]
VALUES = st.one_of(
    st.sampled_from(HOSTILE),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.text(max_size=20).map(json.dumps),
)


@st.composite
def mutated(draw: st.DrawFn, document: Any) -> bytes:
    """A document with some of its values replaced, some keys doubled, or cut somewhere."""

    def render(value: Any) -> str:
        if draw(st.integers(0, 5)) == 0:
            return draw(VALUES)
        if isinstance(value, dict):
            pairs = [f"{json.dumps(key)}:{render(each)}" for key, each in value.items()]
            if pairs and draw(st.integers(0, 9)) == 0:
                pairs.append(draw(st.sampled_from(pairs)))
            return "{" + ",".join(pairs) + "}"
        if isinstance(value, list):
            return "[" + ",".join(map(render, value)) + "]"
        return json.dumps(value)

    body = render(document).encode()
    if draw(st.integers(0, 9)) == 0:
        body = body[: draw(st.integers(0, len(body)))] + draw(st.binary(max_size=4))
    return body


HELD = [{"namespace": "hq", "device": "room-301", "epoch": 8}]
BEAT = {"node": "edge-2", "bootId": "b", "sequence": 1, "hasHub": True, "held": HELD}
REQUEST = {"node": "edge-2", "bootId": "b", "number": 7, "held": HELD}
RENEWED = [{**HELD[0], "epoch": 7, "standing": "Renewed"}]
TELEMETRY = {
    "co2": 900,
    "light": 400.0,
    "temperature": 21,
    "airflow": 300,
    "people": 3,
    "state": "Auto",
    "time": "2026-03-01T10:00:00Z",
}
fuzzed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


ANSWERS = orders.AnswerRoute(DEVICE, registry.CODECS[-1])


def route(rig: Rig) -> topics.DeviceRoute:
    profile = rig.state.devices[DEVICE].assigned.profile
    return topics.DeviceRoute(DEVICE, payload.Decoder(profile.properties))


def take(rig: Rig, event: events.Event | str) -> None:
    """Let the engine work on an event, and on with its life; a reason is no event."""
    if not isinstance(event, str):
        fields = {
            name: getattr(event, name)
            for name in event.__struct_fields__
            if name not in ("at", "fresh")
        }
        rig.feed(type(event), **fields)
    rig.wait(1)
    rig.sample()
    rig.boot()
    for record in rig.records:
        orjson.dumps(record)


def message(topic: str, body: bytes) -> channel.MqttMessage:
    return channel.MqttMessage(topic, body, retained=False, redelivered=False)


def telemetry(rig: Rig, body: bytes) -> list[events.Sample] | str:
    contents = formats.Contents(body)
    stamp = events.EventStamp(lambda: rig.at, lambda: "f")
    return translate.telemetry(message("t", body), contents, route(rig), stamp)


@fuzzed
@given(st.one_of(mutated(TELEMETRY), st.binary(max_size=64)))
def test_telemetry(body: bytes) -> None:
    rig = Rig()
    measured = telemetry(rig, body)
    for event in [measured] if isinstance(measured, str) else measured:
        take(rig, event)


@pytest.mark.parametrize("said", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_a_no_on_record(said: str) -> None:
    """Regression: the message was dropped, and nothing told of the decision not taken."""
    rig = Rig()
    body = json.dumps({**TELEMETRY, "light": "?"}).replace('"?"', said).encode()
    samples = telemetry(rig, body)
    assert isinstance(samples, list)
    [sample] = samples
    rig.feed(events.Sample, device=DEVICE, values=sample.values, refused=sample.refused)
    (recorded,) = rig.decisions
    assert rig.verdicts == [("NotApplicable", "InputRefused")]
    assert {line["name"]: line.get("problem") for line in recorded["inputs"]} == {
        "light": "InputRefused", "co2": None, "temperature": None
    }  # fmt: skip


ALL_TYPES = payload.Decoder(
    tuple(
        deviceprofile.Property(name=kind.value.lower(), type=kind)
        for kind in deviceprofile.DataType
    )
)


@fuzzed
@given(
    mutated({"number": 1.5, "integer": 3, "boolean": True, "string": "Auto"}),
)
def test_what_is_read_of_any_type_can_be_recorded(body: bytes) -> None:
    try:
        readings = ALL_TYPES.decode(body)
    except leaf.PayloadError:
        return
    for reading in readings:
        orjson.dumps(dict(reading.values))


def test_half_a_character_is_no_text() -> None:
    [reading] = ALL_TYPES.decode(b'{"string": "a\\ud800b"}')
    assert reading.values == {}
    assert reading.refused == {"string": "InvalidText"}


@fuzzed
@given(st.data())
def test_acknowledgements(data: st.DataObject) -> None:
    rig = Rig(acknowledges=False)
    rig.sample()
    said = {
        "commandId": rig.sent[0][1].command_id,
        "result": data.draw(st.sampled_from([*command.Result, "Sideways"])),
        "reason": "LowerEpoch",
        "time": "2026-03-01T10:00:00Z",
    }
    body = data.draw(mutated(said))
    take(rig, translate.answer(message("a", body), ANSWERS, rig.at, "f"))


@fuzzed
@given(st.data())
def test_no_answer_in_a_devices_own_words_ends_the_agent(data: st.DataObject) -> None:
    rig = Rig(plug.documents(plug.REPLY), acknowledges=False)
    rig.sample(on=False, power=200.0)
    [action] = rig.state.devices[DEVICE].assigned.profile.actions
    assert action.acknowledgement is not None
    assert action.acknowledgement.reply is not None
    waiting = orders.ReplyRoute(DEVICE, action.name, action.acknowledgement.reply)
    body = data.draw(mutated({"POWER": data.draw(st.sampled_from(["ON", "OFF", True, 1, None]))}))
    take(rig, translate.reply(message("a", body), waiting, rig.at, "f"))


TOPICS = messages.SiteTopics("hq", NODE)


def hear(rig: Rig, topic: str, body: bytes) -> None:
    """Let the engine take what another agent says."""
    match messages.read(TOPICS, topic, body, retained=False):
        case beat.Beat() as heard:
            take(rig, events.PeerBeat(rig.at, "f", heard))
        case beat.Renewal() as renewal:
            take(rig, events.Renewed(rig.at, "f", renewal, relayed=True))
        case beat.RenewalRequest() as request:
            assert beat.RenewalRequest.decode(request.encode()) == request


@fuzzed
@given(st.one_of(mutated(BEAT), st.binary(max_size=64)))
def test_beats(body: bytes) -> None:
    hear(Rig(), beat.beat_topic("hq", "edge-2"), body)


@fuzzed
@given(mutated(REQUEST))
def test_requests(body: bytes) -> None:
    hear(Rig(), beat.renew_topic("hq", "edge-2"), body)


@fuzzed
@given(st.data())
def test_renewals(data: st.DataObject) -> None:
    rig = Rig()
    rig.wait(4)
    renewal = {"node": NODE, "bootId": "boot-1", "number": rig.state.asked[-1], "devices": RENEWED}
    hear(rig, beat.renewed_topic("hq", NODE), data.draw(mutated(renewal)))


class Output:
    """A declared output."""

    name = "probabilities"
    data_type = "FP32"
    shape = (2,)


EXPECTED = answer.Expected(served.Served("m", "v", "sha256:0"), (Output(),))


@fuzzed
@given(
    mutated(
        {
            "model_name": "m",
            "model_version": "v",
            "parameters": {"digest": "sha256:0"},
            "outputs": [
                {"name": "probabilities", "datatype": "FP32", "shape": [2], "data": [0.1, 0.9]}
            ],
        }
    )
)
def test_answers_of_replicas(body: bytes) -> None:
    try:
        said = answer.read(body, EXPECTED, is_silence_refused=False)
    except answer.FailedError:
        return
    rig = Rig(hold=(events.Inferred,))
    orjson.dumps(said.outputs)
    rig.score = float(said.outputs["probabilities"][1])
    rig.sample()
    rig.boot()


@pytest.mark.parametrize("text", [*HOSTILE, "1e300", "1e15"])
def test_headers_of_replicas(text: str) -> None:
    timing = answer.server_timing(f"queue;dur={text}, infer;dur={text}")
    counted = meters.Meters()
    for _ in range(3):
        spent = (timing.seconds, "edge-1", timing.queued) if timing else (0.0, "edge-1", None)
        counted.observe(effects.Observe(DEVICE, "Inference", *spent), 10.0)
    [stage] = counted.stages(10.0)
    assert stage.histogram.count == 3
    written = pydantic.TypeAdapter(report.StageReport)
    assert written.validate_json(written.dump_json(stage)) == stage


def test_a_server_that_says_it_took_longer_than_its_call_is_not_believed() -> None:
    assert answer.server_timing("queue;dur=100, infer;dur=200", 0.25) is None
    assert answer.server_timing("queue;dur=100, infer;dur=100", 0.25) == (0.2, 0.1)


STOCK = tuple(
    deviceprofile.Property.model_validate(fields)
    for fields in (
        {"name": "bare", "topic": "t"},
        {"name": "text", "topic": "t", "payload": "Text", "type": "String"},
        {"name": "comma", "topic": "t", "payload": "Text", "decimal": "Comma", "suffix": "°C"},
        {"name": "written", "path": "/values/0/v", "payload": "Text", "position": "Fixed"},
        {"name": "whole", "path": "/values/0/v", "type": "Integer", "scale": "0.1"},
        {"name": "power", "path": "/ENERGY/Power", "timestampPath": "/Time", "offset": 1},
        {
            "name": "on",
            "path": "/POWER",
            "type": "Boolean",
            "values": [{"from": "ON", "to": "true"}, {"from": 0, "to": "false"}],
        },
        {
            "name": "motor",
            "pick": {"array": "/values", "key": "id", "equals": "m", "value": "v"},
            "quality": {"path": "q", "good": ["true", 192]},
            "time": {"path": "t", "format": "UnixMilliseconds"},
        },
        {"name": "top", "pick": {"key": "id", "equals": 7, "value": "/data/v"}},
        {"name": "sample", "batch": "/values", "path": "/v", "time": {"path": "/t"}},
        {"name": "state", "path": "/POWER", "type": "String", "retained": "State"},
    )
)
DOCUMENTS = (
    {"Time": "2026-03-01T14:20:38", "POWER": "ON", "ENERGY": {"Power": 41, "Factor": 0.71}},
    {"values": [{"id": "m", "v": 61.5, "q": True, "t": 1767225600193}, {"id": "n", "v": 2}]},
    [{"id": 7, "data": {"v": 1}, "t": 1767225600}, {"value": 22.7, "bare": 2}],
    21.5,
    "ON",
)


@fuzzed
@given(
    st.one_of(
        st.sampled_from(DOCUMENTS).flatmap(mutated),
        st.binary(max_size=64),
        st.text(max_size=20).map(str.encode),
    ),
    st.lists(st.sampled_from(STOCK), min_size=1, max_size=4, unique_by=lambda row: row.name),
    st.booleans(),
    st.booleans(),
)
def test_what_any_reader_makes_of_any_message_can_be_taken_and_recorded(
    body: bytes, properties: list[deviceprofile.Property], is_alone: bool, only_states: bool
) -> None:
    context = payload.ReadingContext(STOCK[-3].time, "Europe/Brussels")
    decoder = payload.Decoder(properties, context, is_alone=is_alone)
    try:
        readings = decoder.read(formats.Contents(body), only_states=only_states)
    except leaf.PayloadError:
        return
    names = {declared.name for declared in properties}
    assert len(readings) <= formats.MAXIMUM_SAMPLES
    for reading in readings:
        orjson.dumps(reading.values)
        assert {*reading.values, *reading.refused, *reading.silent} <= names
        assert not reading.values.keys() & reading.refused.keys()
        assert reading.sampled_at.keys() | reading.unread_times.keys() <= reading.values.keys()
        assert all(reason in reasons.TABLE for reason in reading.refused.values())


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b",".join([b'{"id":7}'] * 7000) + b"]",
        b'{"values":[' + b",".join([b'{"id":"m"}'] * 5000) + b"]}",
        b"[" + b",".join([b"[[[[[[1]]]]]]"] * 4000) + b"]",
        b"9" * 60_000,
        b'"' + b"\\u0041" * 10_000 + b'"',
        b" " * 60_000 + b"1",
        b"1," * 30_000,
    ],
    ids=["batch", "tags", "nested", "digits", "escapes", "space", "commas"],
)
def test_a_message_that_is_made_to_be_slow_is_over_soon(body: bytes) -> None:
    """64 KiB take some 10 ms; far more would be a cost that grows faster than the message."""
    decoder = payload.Decoder(STOCK)
    gc.collect()
    gc.disable()  # else what all tests before have left is looked through here
    try:
        begun = time.thread_time()
        with contextlib.suppress(leaf.PayloadError):
            decoder.decode(body)
        seconds = time.thread_time() - begun
    finally:
        gc.enable()
    assert seconds < 0.5

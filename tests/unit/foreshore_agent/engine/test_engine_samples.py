"""Models as exporters write them: windows of samples, text, preprocessing and labels."""

import functools
import hashlib
import json
import types
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import engine_rig, room
from builders.engine_rig import DEVICE, OCCUPIED, Rig
from builders.replays import assert_replays
from foreshore_agent.engine import effects, events
from foreshore_api.wire import record as wire
from foreshore_decision import explain, policy, samples
from foreshore_decision.record import answers, replay

STEPS = 3
FEATURES = ["light", "co2", "temperature"]
Json = room.Json


def model(*inputs: Json, preprocessing: tuple[Json, ...] = (), **changes: Any) -> Json:
    """A model of these inputs; without any, over a window of three features."""
    window = {
        "name": "window",
        "dataType": "FP32",
        "shape": [-1, STEPS, 3],
        "features": FEATURES,
        "window": {"steps": STEPS, "every": "1s"},
    }
    return room.changed(
        room.model(),
        spec__inputs=list(inputs) or [window],
        spec__preprocessing=list(preprocessing),
        **changes,
    )


def tensor(*features: str, kind: str = "FP32", **more: Any) -> Json:
    return {
        "name": "X",
        "dataType": kind,
        "shape": [1, len(features)],
        "features": list(features),
        **more,
    }


def stateful(*types: tuple[str, str]) -> tuple[Json, Json]:
    """A device that also says its state, in words or numbers, and a policy that reads it."""
    names = types or (("state", "String"),)
    profile, document = room.profile(), room.policy()
    for name, kind in names:
        profile["spec"]["properties"].append({"name": name, "type": kind})
        source = {"name": name, "property": name, "type": kind, "maximumAge": "90s"}
        document["spec"]["inputs"].append(source)
    return profile, room.changed(document, spec__record={"routineSampleRate": "1"})


def speak(rig: Rig, count: int, apart: float = 1.0, **more: Any) -> None:
    """Let the device speak so often, a number further each time."""
    for index in range(count):
        rig.sample(**{**OCCUPIED, "light": 100.0 + index, **more})
        rig.wait(apart)


def asked(rig: Rig) -> list[effects.Tensor]:
    """The tensors of every question, in order."""
    questions = (effect for effect in rig.seen if isinstance(effect, effects.Infer))
    return [tensor_ for question in questions for tensor_ in question.tensors]


def why(recorded: Json) -> str:
    """What is told of a decision."""
    event = json.dumps({"type": wire.DECISION, "time": "2026-03-01T10:00:00Z", "data": recorded})
    return "\n".join(explain.lines(explain.of_events([event])))


ROUTINE = room.changed(room.policy(), spec__record={"routineSampleRate": "1"})


@pytest.mark.parametrize("middle", [STEPS, -1], ids=["fixed", "free"])
def test_a_window_is_asked_oldest_first_once_it_is_full(middle: int) -> None:
    document = model()
    document["spec"]["inputs"][0]["shape"][1] = middle
    rig = Rig((document, ROUTINE))
    speak(rig, 4)
    first, second = asked(rig)
    assert (first.data_type, first.shape) == ("FP32", (1, STEPS, 3))
    assert first.data == (100.0, 900.0, 21.0, 101.0, 900.0, 21.0, 102.0, 900.0, 21.0)
    assert second.data[::3] == (101.0, 102.0, 103.0)
    assert [reason for _, reason in rig.verdicts] == [
        "FeatureNotReady",
        "FeatureNotReady",
        "RoomOccupied",
        "RoomOccupied",
    ]
    assert_replays(rig)


def test_a_window_that_is_not_full_says_how_many_samples_are_there_and_when_it_will_be() -> None:
    rig = Rig((model(), ROUTINE))
    speak(rig, 1)
    [recorded] = rig.decisions
    [line] = [gate for gate in recorded["gates"] if gate["gate"] == "Validity"]
    assert line["name"] == "light"
    assert line["operands"] == {"samples": 1, "steps": STEPS, "every": 1.0, "seconds": 2.0}
    assert line["message"] == (
        "light is not ready: 1 of 3 samples every 1 s are there; full in 2 s"
    )
    text = why(recorded)
    assert "window    window: 3 × 3 samples every 1 s, 1 there, full in 2 s" in text
    assert "it would have gone on with 2 s more of listening" in text


def test_a_window_that_its_device_is_too_slow_for_says_so() -> None:
    """It would be full in two seconds for ever."""
    rig = Rig((model(), ROUTINE))
    speak(rig, 2, apart=30.0)
    recorded = rig.decisions[-1]
    [line] = [gate for gate in recorded["gates"] if gate["gate"] == "Validity"]
    assert line["message"] == (
        "light is not ready: 1 of 3 samples every 1 s are there; full in 2 s; begun anew after 30 s"
        " without one, where 2 s may pass"
    )
    text = why(recorded)
    assert "1 there, full in 2 s, begun anew after 30 s without one" in text
    assert "enough values in the window of light, no more than 2 s apart" in text
    assert_replays(rig)


def test_why_says_that_a_window_was_full() -> None:
    rig = Rig((model(), ROUTINE))
    speak(rig, 3)
    assert "window    window: 3 × 3 samples every 1 s, full" in why(rig.decisions[-1])


def not_ready(rig: Rig) -> bool:
    """Whether a decision of now waits for its window."""
    before = len(rig.counted)
    rig.sample(**OCCUPIED)
    assert len(rig.counted) == before + 1
    return rig.counted[-1][1] == "FeatureNotReady"


def silence(rig: Rig) -> None:
    rig.wait(2.5)


def a_lost_connection(rig: Rig) -> None:
    rig.feed(events.TelemetryChanged, connected=False)
    rig.wait(2.5)
    rig.feed(events.TelemetryChanged, connected=True)


def a_pause_of_the_agent(rig: Rig) -> None:
    rig.seconds += 60.0


def refused_values(rig: Rig) -> None:
    """Nothing that is believed for longer than a gap may be."""
    for _ in range(3):
        rig.wait(1.0)
        rig.feed(events.Sample, device=DEVICE, values={}, refused={"light": "NonFinite"})


def values_out_of_range(rig: Rig) -> None:
    for _ in range(3):
        rig.wait(1.0)
        rig.sample(**{**OCCUPIED, "light": 1e6})


@pytest.mark.parametrize(
    "happening",
    [silence, a_lost_connection, a_pause_of_the_agent, refused_values, values_out_of_range],
    ids=lambda happening: happening.__name__,
)
def test_a_gap_starts_a_window_anew(happening: Callable[[Rig], None]) -> None:
    rig = Rig((model(), ROUTINE))
    speak(rig, 4)
    happening(rig)
    assert not_ready(rig)
    rig.wait(1.0)
    assert not_ready(rig)
    rig.wait(1.0)
    assert not not_ready(rig)
    assert_replays(rig)


def test_a_short_gap_holds_the_sample_before() -> None:
    rig = Rig((model(), ROUTINE))
    speak(rig, 3)
    rig.wait(1.0)
    rig.sample(**{**OCCUPIED, "light": 7.0})
    assert asked(rig)[-1].data[::3] == (102.0, 102.0, 7.0)


def test_what_the_broker_had_kept_is_no_sample() -> None:
    rig = Rig((model(), ROUTINE))
    for _ in range(STEPS):
        rig.feed(events.Sample, device=DEVICE, values=OCCUPIED, retained=True)
        rig.wait(1.0)
    assert not_ready(rig)


@pytest.mark.parametrize(
    "change",
    [
        {"spec__latencyBudget": "150ms"},
        {"spec__inference__timeout": "90ms"},
        {"spec__modelRef": {"version": "occupancy-v2"}},
    ],
    ids=["budget", "timeout", "version"],
)
def test_a_window_outlives_what_does_not_change_it(change: Json) -> None:
    newer = room.changed(room.version(name="occupancy-v2"), spec__digest="sha256:" + "cd" * 32)
    rig = Rig((model(), ROUTINE, newer))
    speak(rig, 4)
    rig.renews = False
    rig.assign(model(), room.changed(ROUTINE, **change), newer)
    assert not not_ready(rig)


@pytest.mark.parametrize(
    "declaration",
    [{"every": "2s", "steps": STEPS}, {"every": "1s", "steps": STEPS + 1}],
    ids=["distance", "steps"],
)
def test_a_window_of_another_declaration_starts_anew(declaration: Json) -> None:
    rig = Rig((model(), ROUTINE))
    speak(rig, 4)
    rig.renews = False
    other = model()
    other["spec"]["inputs"][0] |= {"window": declaration, "shape": [-1, -1, 3]}
    rig.assign(other, ROUTINE)
    assert not_ready(rig)


def test_a_column_may_be_of_another_device() -> None:
    other = room.changed(room.device(name="corridor"), metadata__labels={"zone": "hall"})
    document = room.changed(ROUTINE)
    document["spec"]["inputs"].append(
        {
            "name": "corridor",
            "property": "light",
            "maximumAge": "90s",
            "deviceRef": {"name": "corridor"},
        }
    )
    window = tensor("co2", "corridor", shape=[1, 2, 2], window={"steps": 2, "every": "1s"})
    rig = Rig((model(window), document, other))
    for index in range(3):
        rig.feed(
            events.Sample,
            device=events.Key("hq", "corridor"),
            values={"light": float(index), "co2": 1.0, "temperature": 20.0},
        )
        rig.sample()
        rig.wait(1.0)
    assert asked(rig)[-1].data == (900.0, 1.0, 900.0, 2.0)
    assert_replays(rig)


SCALE = {"name": "co2", "scale": {"mean": "400", "deviation": "250"}}


def test_a_value_that_is_not_scaled_beside_one_that_is_stays_what_it_is_to_the_last_bit() -> None:
    rig = Rig((model(tensor("light", "co2"), preprocessing=(SCALE,)), ROUTINE))
    rig.sample(**{**OCCUPIED, "light": 0.1 + 0.2})
    assert repr(asked(rig)[0].data) == repr((0.1 + 0.2, 2.0))


STATES = {"values": ["idle", "running", "stopped"]}


def test_a_scale_is_done_to_the_number_and_the_record_keeps_what_was_measured() -> None:
    rig = Rig((model(tensor("light", "co2"), preprocessing=(SCALE,)), ROUTINE))
    rig.sample()
    assert asked(rig)[0].data == (400.0, 2.0)
    assert rig.decisions[0]["features"]["co2"] == 900.0
    assert_replays(rig)


def test_a_scale_is_done_to_every_sample_of_a_window() -> None:
    window = tensor("co2", shape=[1, 2, 1], window={"steps": 2, "every": "1s"})
    rig = Rig((model(window, preprocessing=(SCALE,)), ROUTINE))
    speak(rig, 1)
    speak(rig, 1, co2=650.0)
    assert asked(rig)[-1].data == (2.0, 1.0)
    assert_replays(rig)


@pytest.mark.parametrize(
    ("categories", "columns", "expected"),
    [
        (STATES, 4, (400.0, 0.0, 1.0, 0.0)),
        ({**STATES, "encoding": "Index"}, 2, (400.0, 1.0)),
        ({"values": ["idle", "stopped"], "unknown": "Zeros"}, 3, (400.0, 0.0, 0.0)),
    ],
    ids=["one-hot", "index", "zeros"],
)
def test_a_category_becomes_numbers(
    categories: Json, columns: int, expected: tuple[float, ...]
) -> None:
    profile, document = stateful()
    taking = tensor("light", "state", shape=[1, columns])
    prepared = {"name": "state", "categories": categories}
    rig = Rig((profile, document, model(taking, preprocessing=(prepared,))))
    rig.sample(**OCCUPIED, state="running")
    assert asked(rig)[0].data == expected
    assert rig.decisions[0]["features"]["state"] == "running"
    assert_replays(rig)


@pytest.mark.parametrize(
    ("kind", "values", "said", "expected"),
    [
        ("Boolean", ["false", "true"], True, (0.0, 1.0)),
        ("Integer", ["3", "7"], 3, (1.0, 0.0)),
    ],
)
def test_a_category_may_be_a_truth_or_an_integer_as_it_is_written(
    kind: str, values: list[str], said: Any, expected: tuple[float, ...]
) -> None:
    profile, document = stateful(("state", kind))
    prepared = {"name": "state", "categories": {"values": values}}
    taking = tensor("state", shape=[1, 2])
    rig = Rig((profile, document, model(taking, preprocessing=(prepared,))))
    rig.sample(**OCCUPIED, state=said)
    assert asked(rig)[0].data == expected
    assert_replays(rig)


def test_a_value_that_is_no_category_is_refused_and_named() -> None:
    profile, document = stateful()
    prepared = {"name": "state", "categories": STATES}
    taking = tensor("state", shape=[1, 3])
    rig = Rig((profile, document, model(taking, preprocessing=(prepared,))))
    rig.sample(**OCCUPIED, state="burning")
    assert asked(rig) == []
    [recorded] = rig.decisions
    assert recorded["verdict"]["reason"] == "InferenceFailed"
    assert "FeatureUnknownCategory: state is burning; remedy: " in recorded["verdict"]["message"]
    assert_replays(rig)


@pytest.mark.parametrize("length", [7, 1024])
def test_a_text_feature_is_asked_as_it_is(length: int) -> None:
    profile, document = stateful()
    texts = {**tensor("state", kind="BYTES"), "name": "state"}
    rig = Rig((profile, document, model(tensor("light"), texts)))
    rig.sample(**OCCUPIED, state="é" * length)
    assert [asked_.data for asked_ in asked(rig)] == [(400.0,), ("é" * length,)]
    assert asked(rig)[1].data_type == "BYTES"
    assert_replays(rig)


def test_a_last_value_of_a_text_is_a_text_to_rules_and_to_the_model() -> None:
    profile, document = stateful()
    document["spec"]["features"] = [{"name": "mode", "input": "state"}]
    document["spec"]["rules"][0]["expression"] = "mode == 'running' && score > 0.5"
    rig = Rig((profile, document, model(tensor("mode", kind="BYTES"))))
    rig.sample(**OCCUPIED, state="running")
    assert asked(rig)[0].data == ("running",)
    assert rig.verdicts == [("Commanded", "RoomOccupied")]
    assert_replays(rig)


def test_a_window_may_be_of_texts_and_of_categories() -> None:
    profile, document = stateful()
    window = {"steps": 2, "every": "1s"}
    texts = tensor("state", kind="BYTES", shape=[1, 2, 1], window=window)
    rig = Rig((profile, document, model(texts)))
    speak(rig, 1, state="idle")
    speak(rig, 1, state="running")
    assert asked(rig)[-1].data == ("idle", "running")
    assert_replays(rig)
    codes = tensor("state", "light", shape=[1, 2, 4], window=window)
    prepared = {"name": "state", "categories": STATES}
    rig = Rig((profile, document, model(codes, preprocessing=(prepared,))))
    speak(rig, 1, state="idle")
    speak(rig, 1, state="running")
    assert asked(rig)[-1].data == (1.0, 0.0, 0.0, 100.0, 0.0, 1.0, 0.0, 100.0)
    assert_replays(rig)


def test_a_boolean_tensor_takes_truths() -> None:
    profile, document = stateful(("occupied", "Boolean"))
    rig = Rig((profile, document, model(tensor("occupied", kind="BOOL"))))
    rig.sample(**OCCUPIED, occupied=True)
    assert asked(rig)[0].data == (True,)
    assert asked(rig)[0].data[0] is True


@pytest.mark.parametrize(("shape", "asked_shape"), [([], ()), ([1], (1,)), ([-1], (1,))])
def test_a_scalar_and_a_vector_are_asked_as_declared(
    shape: list[int], asked_shape: tuple[int, ...]
) -> None:
    rig = Rig((model(tensor("co2", shape=shape)), ROUTINE))
    rig.sample()
    assert asked(rig)[0].shape == asked_shape
    assert asked(rig)[0].data == (900.0,)


@pytest.mark.parametrize(
    ("co2", "verdict"), [(9000.0, "RoomOccupied"), (65504.0, "RoomOccupied"), (7e4, "no")]
)
def test_half_a_float_takes_what_fits_it(co2: float, verdict: str) -> None:
    profile = room.profile()
    del profile["spec"]["properties"][0]["maximum"]
    rig = Rig((profile, model(tensor("co2", kind="FP16")), ROUTINE))
    rig.sample(**{**OCCUPIED, "co2": co2})
    [recorded] = rig.decisions
    if verdict == "no":
        assert "FeatureOutOfRange: co2 is 70000" in recorded["verdict"]["message"]
    else:
        assert recorded["verdict"]["reason"] == verdict


def labelled(kind: str = "BYTES", expression: str = "label == 'occupied'") -> tuple[Json, ...]:
    """A classifier that says a label, and a policy that reads it."""
    document = room.changed(
        ROUTINE,
        spec__inference={"outputs": [{"name": "label", "output": "label"}]},
        spec__rules=[
            {
                "name": "occupied",
                "effect": "Permit",
                "expression": expression,
                "reason": "RoomOccupied",
            }
        ],
    )
    outputs = [{"name": "label", "dataType": kind, "shape": [-1]}]
    return document, room.changed(room.model(), spec__outputs=outputs)


@pytest.mark.parametrize(
    ("kind", "expression", "answer", "recorded"),
    [
        ("BYTES", "label == 'occupied'", "occupied", "occupied"),
        ("BYTES", "label == 'NaN'", "NaN", "NaN"),
        ("INT64", "label == 3.0", 3, 3.0),
        ("BOOL", "label > 0.5", True, 1.0),
    ],
)
def test_a_label_is_read_recorded_and_replayed(
    kind: str, expression: str, answer: Any, recorded: Any
) -> None:
    rig = Rig(labelled(kind, expression), outputs={"label": (answer,)})
    rig.sample()
    assert rig.verdicts == [("Commanded", "RoomOccupied")]
    assert rig.decisions[0]["inference"]["outputs"] == {"label": recorded}
    assert_replays(rig)
    assert "label = " in why(rig.decisions[0])


@pytest.mark.parametrize(
    ("kind", "answer", "reason"),
    [
        ("BYTES", "x" * 1025, "OutputTooLong"),
        ("BYTES", "x" * 30_000, "OutputTooLong"),
        ("BYTES", 1.0, "OutputOfWrongType"),
        ("INT64", "1", "OutputOfWrongType"),
    ],
)
def test_a_label_that_cannot_be_used_is_refused_and_replayed(
    kind: str, answer: Any, reason: str
) -> None:
    expression = "label == 'a'" if kind == "BYTES" else "label == 1.0"
    rig = Rig(labelled(kind, expression), outputs={"label": (answer,)})
    rig.sample()
    assert [found for _, found in rig.verdicts] == [reason]
    assert len(json.dumps(rig.records[-1])) < 8_000
    assert_replays(rig)


def test_with_level_full_a_record_has_the_rows_and_stays_within_its_bound() -> None:
    full = room.changed(room.policy(), spec__record={"routineSampleRate": "1", "level": "Full"})
    rig = Rig((model(), full))
    speak(rig, 3)
    written = rig.decisions[-1]["facts"]["samples"]["window"]
    assert written["rows"][0] == [100.0, 900.0, 21.0]
    assert "no room" not in why(rig.decisions[-1])
    assert_replays(rig)
    large = model()
    large["spec"]["inputs"][0] |= {
        "shape": [1, 1024, 3],
        "window": {"steps": 1024, "every": "10ms"},
    }
    rig = Rig((large, full))
    for index in range(1030):
        rig.seconds += 0.01
        drift = index / 7000
        values = {"co2": 900.1 + drift, "temperature": 21.1 + drift, "airflow": 300.0}
        rig.sample(light=100.1 + drift, **values)
    recorded = rig.decisions[-1]
    assert recorded["verdict"]["result"] == "Commanded"
    assert recorded["facts"]["cut"] == ["window"]
    assert "rows" not in recorded["facts"]["samples"]["window"]
    assert f"window    {explain.CUT.format(name='window')}" in why(recorded)
    assert max(len(json.dumps(line)) for line in rig.records[-3:]) < wire.MAXIMUM_BYTES


def test_a_record_goes_through_the_rows_of_a_window_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig((model(), ROUTINE))
    speak(rig, 2)
    digests: list[bytes] = []
    genuine = hashlib.blake2b

    def digesting(body: bytes, *, digest_size: int) -> Any:
        digests.append(body)
        return genuine(body, digest_size=digest_size)

    monkeypatch.setattr(samples, "hashlib", types.SimpleNamespace(blake2b=digesting))
    rig.sample()
    assert "digest" in rig.decisions[-1]["facts"]["samples"]["window"]
    assert "question" in rig.decisions[-1]["facts"]["answer"]
    assert len(digests) == 1


@pytest.mark.parametrize("mode", ["Disabled", "Shadow", "Advise"])
@pytest.mark.parametrize("count", [1, 3], ids=["filling", "full"])
def test_whatever_ends_a_decision_its_window_is_recorded_and_replayed(
    mode: str, count: int
) -> None:
    rig = Rig((model(), room.changed(ROUTINE, spec__mode=mode)))
    speak(rig, count)
    line = rig.decisions[-1]["facts"]["samples"]["window"]
    assert line["samples"] == count
    assert ("digest" in line) is (count == 3)
    assert_replays(rig)


def test_a_window_is_the_one_that_was_asked_with_whatever_came_meanwhile() -> None:
    rig = Rig((model(), ROUTINE))
    speak(rig, 2)
    rig.hold = (effects.Infer,)
    rig.sample()
    question = asked(rig)[-1].data
    rig.seconds += 0.05
    rig.sample(**{**OCCUPIED, "light": 7.0})
    rig.release()
    recorded = rig.decisions[-1]
    assert recorded["verdict"]["result"] == "Commanded"
    assert question[-3] == 400.0
    assert_replays(rig)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in a document."""
    inner: dict[Any, Any] = document if isinstance(document, dict) else {}
    if isinstance(document, list):
        inner = dict(enumerate(document))
    return [path, *(place for key, part in inner.items() for place in places(part, (*path, key)))]


@functools.cache
def recorded_fully() -> tuple[Json, Any]:
    """A record with level Full of a window, and of a label that is a text."""
    document = room.changed(labelled()[0], spec__record={"routineSampleRate": "1", "level": "Full"})
    outputs = [{"name": "label", "dataType": "BYTES", "shape": [-1]}]
    rig = Rig((document, model(spec__outputs=outputs)), outputs={"label": ("occupied",)})
    speak(rig, 3)
    return rig.decisions[-1], engine_rig.assign(*rig.documents)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_facts_that_somebody_wrote_over_end_nothing(data: st.DataObject) -> None:
    genuine, assigned = recorded_fully()
    recorded = json.loads(json.dumps(genuine))
    inside = {key: recorded["facts"][key] for key in ("samples", "answer")}
    place = data.draw(st.sampled_from([path for path in places(inside) if len(path) > 1]))
    for key in place[:-1]:
        inside = inside[key]
    junk = [None, "x", -1, 1e308, 10**400, [], {}, [[[1]]], {"length": -1}, True, "NaN"]
    inside[place[-1]] = data.draw(st.sampled_from(junk))
    replay.replay(recorded, assigned.policies[0], assigned.devices[0])


def test_an_answer_to_another_window_or_preprocessing_is_no_answer() -> None:
    rig = Rig((model(preprocessing=(SCALE,)), ROUTINE))
    speak(rig, 3)
    recorded = rig.decisions[-1]
    scaled = {"name": "co2", "scale": {"mean": "400", "deviation": "251"}}
    assigned = engine_rig.assign(model(preprocessing=(scaled,)), ROUTINE)
    result = replay.replay(recorded, assigned.policies[0], assigned.devices[0])
    assert result == replay.MissingFact("answer of occupancy-v1 to what it is asked")
    other = model()
    other["spec"]["inputs"][0]["window"]["every"] = "2s"
    assigned = engine_rig.assign(other, ROUTINE)
    result = replay.replay(recorded, assigned.policies[0], assigned.devices[0])
    assert result == replay.MissingFact("window of samples window")


def test_an_answer_belongs_to_the_rows_that_it_was_asked_with() -> None:
    genuine, assigned = recorded_fully()
    recorded = json.loads(json.dumps(genuine))
    recorded["facts"]["samples"]["window"]["digest"] = "0123456789abcdef"
    result = replay.replay(recorded, assigned.policies[0], assigned.devices[0])
    assert result == replay.MissingFact("answer of occupancy-v1 to what it is asked")


def test_the_same_rows_at_another_distance_are_another_question() -> None:
    other = model()
    other["spec"]["inputs"][0]["window"]["every"] = "2s"
    seen = {"window": samples.SampledWindow(STEPS, 0, 0.0, ((1.0, 2.0, 3.0),) * STEPS)}
    questions = set()
    for document in (model(), other):
        assigned = engine_rig.assign(document, ROUTINE)
        asking = policy.compile(assigned.policies[0], assigned.devices[0]).inference
        assert asking is not None
        questions.add(answers.question(asking, {}, seen))
    assert len(questions) == 2


def test_the_digest_of_an_assignment_is_of_preprocessing_and_windows_too() -> None:
    other = model()
    other["spec"]["inputs"][0]["window"]["every"] = "2s"
    digests = {
        engine_rig.assign(document, ROUTINE).digest
        for document in (model(), other, model(preprocessing=(SCALE,)))
    }
    assert len(digests) == 3


MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "co2": st.floats(300, 5000),
        "light": st.floats(0, 900),
        "temperature": st.floats(15, 30),
        "state": st.sampled_from(["idle", "running", "burning"]),
    },
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(MESSAGE, st.sampled_from([0.3, 1.0, 1.5, 2.5])), min_size=4, max_size=14),
    st.sampled_from(["Facts", "Full"]),
    st.sampled_from(["occupied", "free"]),
)
def test_every_record_of_such_models_replays_to_itself(
    story: list[tuple[dict[str, Any], float]], level: str, label: str
) -> None:
    profile, document = stateful()
    document = room.changed(
        document,
        spec__record={"routineSampleRate": "1", "level": level},
        spec__trigger={"properties": ["co2", "light", "state"]},
        spec__inference={"outputs": [{"name": "label", "output": "label"}]},
        spec__rules=[{"name": "o", "expression": "label == 'occupied'", "reason": "Occupied"}],
    )
    window = {"steps": 2, "every": "1s"}
    inputs = (
        tensor("co2", "state", shape=[-1, 2, 4], window=window),
        {**tensor("light"), "name": "now"},
    )
    prepared = (SCALE, {"name": "state", "categories": STATES})
    outputs = [{"name": "label", "dataType": "BYTES", "shape": [-1]}]
    asking = model(*inputs, preprocessing=prepared, spec__outputs=outputs)
    rig = Rig((profile, document, asking), outputs={"label": (label,)})
    rig.sample(**OCCUPIED, state="idle")
    for values, apart in story:
        rig.wait(apart)
        if values:
            rig.sample(**values)
    assert_replays(rig)

"""Facts in a record: every field of what the gates were given, exactly, within a record's bound."""

import dataclasses
import enum
import functools
import json
import math
import types
from datetime import UTC, datetime
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import engine_rig, room
from foreshore_agent.engine import events
from foreshore_api.wire import record as wire
from foreshore_decision import features, fencing, policy, served
from foreshore_decision.chain import evaluate, facts, limiter, modes
from foreshore_decision.policy import compiled
from foreshore_decision.record import answers, layout, plain, render, replay
from foreshore_decision.record import facts as codec

WINDOW = {"name": "co2Mean", "input": "co2", "window": "1m", "aggregate": "Mean"}
FULL = room.changed(
    room.policy(),
    spec__record={"level": "Full"},
    spec__features=[WINDOW],
    spec__rateLimit={"burst": 2, "per": "10s"},
    spec__inputs=[
        {"name": name, "property": name, "maximumAge": "90s", "onInvalid": "LastGood"}
        for name in ("light", "co2", "temperature")
    ],
)
MADE = policy.compile(engine_rig.assign(FULL).policies[0], engine_rig.assign(FULL).devices[0])
PROPERTIES = ("light", "co2", "temperature", "airflow")
INPUTS = ("light", "co2", "temperature")
FINITE = st.floats(allow_nan=False, allow_infinity=False)
INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)


@functools.cache
def drawn(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a kind, by its annotations: a field that is new is drawn too."""
    if kind is float:
        return FINITE
    if kind is int:
        return INTEGERS
    if get_origin(kind) in (Union, types.UnionType):
        return st.one_of([drawn(each) for each in get_args(kind)])
    if get_origin(kind) is tuple:
        inner, *more = get_args(kind)
        if more and more != [...]:
            return st.tuples(drawn(inner), *map(drawn, more))
        return st.lists(drawn(inner), max_size=3).map(tuple)
    if hasattr(kind, "_fields"):
        return st.builds(kind, **{name: drawn(each) for name, each in get_type_hints(kind).items()})
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return st.sampled_from(list(kind))
    return st.from_type(kind)


def named(names: tuple[str, ...], kind: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), drawn(kind))


moments = st.datetimes(timezones=st.just(UTC))
triggers = st.builds(
    facts.Trigger, st.text(), st.none() | st.text(), st.none() | moments, st.none() | moments
)


def panes() -> st.SearchStrategy[features.Pane]:
    """Panes as values make them, singly or summed up."""
    merged = drawn(features.Pane).map(
        lambda pane: pane._replace(
            size=abs(pane.size) % 1000 + 1, time2=abs(pane.time2), value2=abs(pane.value2)
        )
    )
    return st.one_of(merged, st.builds(features.single, FINITE, FINITE))


STATE = st.fixed_dictionaries(
    {
        name: drawn(codec.KINDS[name])
        for name, _ in codec.STATE
        if name not in ("policy_spent", "actuator_spent")
    }
)
READINGS, GOOD = named(PROPERTIES, facts.Reading), named(INPUTS, facts.Good)
PANES = st.lists(panes(), max_size=4).map(tuple)
MOMENT = st.none() | FINITE


@st.composite
def gathered(draw: st.DrawFn) -> facts.Given:
    """Anything that could be given to the gates of the policy `MADE`."""
    fields = draw(STATE)
    state = {name: fields[name] for name in ("is_recorder_full", "is_too_slow")}
    mode, caps = modes.of(MADE, **state)
    spent = limiter.Spent(draw(MOMENT), 2, 10.0, draw(st.integers(0, 2)), draw(MOMENT))
    return facts.Given(
        decision_id=draw(st.text(max_size=9)),
        policy=MADE,
        mode=mode,
        caps=caps,
        trigger=draw(triggers),
        readings=draw(READINGS),
        windows={"co2Mean": draw(drawn(features.Window))._replace(seconds=60.0, panes=draw(PANES))},
        last_good=draw(GOOD),
        holder=draw(drawn(facts.Holder)),
        policy_spent=spent,
        actuator_spent=limiter.Spent(draw(MOMENT)),
        **fields,
    )


def recorded_of(found: facts.Facts) -> dict[str, Any]:
    """The data of a record, as it arrives after its travel."""
    evaluation = evaluate.Evaluation(found, (), None)
    data = render.decision(evaluation, wire.Verdict.COMMANDED, command=None, latency={}, engine={})
    return dict(orjson.loads(orjson.dumps(data)))


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(gathered(), st.none() | gathered())
def test_what_was_given_comes_back_exactly(given: facts.Given, later: facts.Given | None) -> None:
    found = facts.Facts(given)
    if later is not None:
        later = later._replace(
            decision_id=given.decision_id,
            trigger=given.trigger,
            windows=given.windows,
            last_good=given.last_good,
        )
        found = facts.Facts(later, before=given)
    recalled = codec.decode(recorded_of(found), MADE)
    assert exact(recalled.given) == exact(given)
    assert exact(recalled.later) == exact(later)


def exact(given: facts.Given | None) -> Any:
    """Every field, down to whether a number is an integer and which zero it is."""
    if given is None:
        return None
    names = [name for name in given.__struct_fields__ if name != "policy"]
    return {name: written(getattr(given, name)) for name in names}


def written(value: Any) -> Any:
    if hasattr(value, "items"):
        return {key: written(each) for key, each in sorted(value.items())}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, tuple):
        return [written(each) for each in value]
    return repr(value)


CHANGED: dict[str, Any] = {
    "decision_id": "another",
    "seconds": 100.1 + 0.2,
    "is_locked": True,
    "trigger": facts.Trigger("Silence", None, None),
    "readings": {"co2": facts.Reading(900.0, 99.0, None, math.inf)},
    "windows": {"co2Mean": features.Window(60.0, (features.single(99.0, 900.0),))},
    "last_good": {"co2": facts.Good(901.0, 98.0)},
    "policy_spent": limiter.Spent(97.0, 2, 10.0, 1, None),
    "actuator_spent": limiter.Spent(96.5),
    "outstanding": 3,
    "held_until": 104.5,
    "holder": facts.Holder("edge-9", 8, fencing.Standing.LAPSED),
    "is_recorder_full": True,
    "is_too_slow": True,
    "replaced": (("NewerInTurn", 3),),
}
FOLLOWING = {"policy", "mode", "caps", "measured", "sampled", "grids"}
"""What follows from the policy, what only a record gives, and what `test_engine_samples` tests."""


def test_every_field_of_what_is_given_has_a_change_to_be_tested_with() -> None:
    assert set(CHANGED) | FOLLOWING == set(facts.Given.__struct_fields__)


def plain_given() -> facts.Given:
    return facts.Given(
        decision_id="d",
        seconds=100.0,
        policy=MADE,
        mode=MADE.mode,
        caps=(),
        is_locked=False,
        trigger=facts.Trigger("Property", "co2", engine_rig.START),
        readings={},
        windows={"co2Mean": features.Window(60.0)},
        last_good={},
        policy_spent=limiter.Spent(None, 2, 10.0),
        actuator_spent=limiter.Spent(),
        outstanding=0,
        held_until=None,
        holder=facts.Holder("edge-1", 7, fencing.Standing.RENEWED),
    )


@pytest.mark.parametrize("field", sorted(CHANGED))
def test_a_field_that_changes_changes_the_record_and_comes_back(field: str) -> None:
    before = plain_given()
    after = before._replace(**{field: CHANGED[field]})
    assert recorded_of(facts.Facts(before)) != recorded_of(facts.Facts(after))
    recalled = codec.decode(recorded_of(facts.Facts(after)), MADE).given
    assert written(getattr(recalled, field)) == written(CHANGED[field])


@pytest.mark.parametrize("kind", [facts.Reading, facts.Good, facts.Holder, limiter.Spent])
@given(st.data())
def test_a_part_of_what_is_given_comes_back_by_the_names_of_its_fields(
    kind: Any, data: st.DataObject
) -> None:
    value = data.draw(drawn(kind))
    assert plain.typed(kind, json.loads(json.dumps(plain.plain(value)))) == value


def test_what_facts_are_compared_by_is_what_it_was_when_they_were_written() -> None:
    """Where this fails, records that are on disk no longer replay: FORMAT goes up."""
    asked, source = MADE.inference, MADE.inputs[1]
    assert asked is not None
    assert (codec.FORMAT, layout.judged(source), layout.remembered(source)) == (
        1,
        "adc07c401bbd4ea1",
        "deeeee6678f9e24a",
    )
    measured = {"light": 400.0, "co2": 900.5, "temperature": None}
    assert answers.question(asked, measured, {}) == "4f92239f637715f9"


class Newer(NamedTuple):
    """A part with a field that this release does not know of yet."""

    value: float
    listening_since: float | None = None
    gaps: tuple[tuple[float, float], ...] = ()


def test_a_field_of_two_words_and_a_list_of_pairs_come_back() -> None:
    value = Newer(1.0, 2.5, ((1.0, 2.0), (3.0, math.inf)))
    document = plain.plain(value)
    assert document["listeningSince"] == 2.5
    assert plain.typed(Newer, document) == value


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -0.0, 0.1 + 0.2, 5e-324, 7])
def test_every_number_comes_back(number: float) -> None:
    back = plain.number(json.loads(json.dumps(plain.plain(number), allow_nan=False)))
    assert repr(back) == repr(number)


def test_of_a_long_tensor_the_numbers_that_were_read_are_kept() -> None:
    asked = MADE.inference
    assert asked is not None
    outputs = (compiled.Output("last", "classes", 999), compiled.Output("none", "classes", 5000))
    asked = compiled.Inference(
        asked.model, asked.version, asked.digest, asked.tensors, outputs, asked.timeout, False
    )  # fmt: skip
    answer = facts.Answer({"classes": tuple(float(each) for each in range(1000))})
    line = answers.encode(asked, answer, {}, {})
    assert len(orjson.dumps(line)) < 200
    data: dict[str, Any] = {"inference": {"attempts": []}}
    tensor = answers.decode(orjson.loads(orjson.dumps(line)), data).outputs["classes"]
    assert (len(tensor), tensor[999]) == (1000, 999.0)
    with pytest.raises(plain.MissingFactError, match="number 7 of the output classes"):
        tensor[7]


def crowded(level: str) -> tuple[engine_rig.Rig, room.Json]:
    """An engine whose policy keeps ten windows full of values that were summed up."""
    windows = [
        {"name": f"co2Level{index}", "input": "co2", "window": "10s", "aggregate": "Mean"}
        for index in range(10)
    ]
    document = room.changed(
        room.policy(),
        spec__features=windows,
        spec__record={"routineSampleRate": "1", "level": level},
        spec__trigger={"properties": ["light"]},
    )
    rig = engine_rig.Rig((document,))
    for index in range(300):
        rig.seconds += 10 / 300
        rig.feed(
            events.Sample,
            device=engine_rig.DEVICE,
            values={"co2": 700.123456789 + index / 7, "temperature": 21.0, "airflow": 300.0},
        )
    rig.sample(light=400.0)
    return rig, document


def test_windows_beyond_the_bound_are_cut_and_named_and_the_record_still_replays() -> None:
    rig, document = crowded("Full")
    recorded = rig.decisions[-1]
    sizes = [len(orjson.dumps(each)) for each in rig.records]
    assert 24_000 < max(sizes) <= wire.MAXIMUM_BYTES - 20
    cut = recorded["facts"]["cut"]
    kept = [name for name, each in recorded["facts"]["windows"].items() if "panes" in each]
    assert cut
    assert kept
    assert sorted((*cut, *kept)) == sorted(recorded["facts"]["windows"])
    assigned = engine_rig.assign(document)
    result = replay.replay(recorded, assigned.policies[0], assigned.devices[0])
    assert isinstance(result, replay.Replayed)
    assert result.is_same


def test_a_record_without_windows_stays_small() -> None:
    rig, _ = crowded("Facts")
    assert max(len(orjson.dumps(each)) for each in rig.records) < 8_000


@pytest.mark.parametrize(
    ("answered", "named"),
    [(None, False), (served.Served("occupancy", "occupancy-v1", room.DIGEST), True)],
    ids=["it did not say", "it said"],
)
def test_what_answered_comes_back_only_where_it_said_so(
    answered: served.Served | None, named: bool
) -> None:
    answer = facts.Answer({"probabilities": (0.1, 0.9)}, model=answered)
    found = facts.Facts(plain_given(), answer=answer)
    recorded = recorded_of(found)
    assert recorded["facts"]["answer"].get("isNamed", False) is named
    back = codec.decode(recorded, MADE).answer
    assert back is not None
    assert back.model == answered
    assert back.outputs["probabilities"] == (0.1, 0.9)


def test_values_whose_squares_have_no_number_are_recorded_and_replayed() -> None:
    profile = room.profile()
    for each in profile["spec"]["properties"]:
        if each["name"] != "airflow":
            del each["minimum"], each["maximum"]
    document = room.changed(
        room.policy(),
        spec__features=[{**WINDOW, "aggregate": "StandardDeviation"}],
        spec__record={"routineSampleRate": "1", "level": "Full"},
    )
    rig = engine_rig.Rig((profile, document))
    for co2 in (1e200, -1e200, 3e200):
        rig.seconds += 0.1
        rig.sample(**{**engine_rig.OCCUPIED, "co2": co2})
    recorded = rig.decisions[-1]
    panes = recorded["facts"]["windows"]["co2Mean"]["panes"]
    assert "Infinity" in panes[0]
    assigned = engine_rig.assign(profile, document)
    result = replay.replay(recorded, assigned.policies[0], assigned.devices[0])
    assert isinstance(result, replay.Replayed)
    assert result.is_same


def test_commands_to_another_actuator_are_missing() -> None:
    action = dataclasses.replace(MADE.action, actuators=frozenset({"heater"}))
    with pytest.raises(plain.MissingFactError, match="state of heater"):
        codec.decode(
            recorded_of(facts.Facts(plain_given())), dataclasses.replace(MADE, action=action)
        )

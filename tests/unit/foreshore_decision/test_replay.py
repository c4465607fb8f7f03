"""A record explains itself: the chain, run again on it, decides the same, byte for byte."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import engine_rig, room
from foreshore_agent.engine import effects, events
from foreshore_api.wire import record as wire
from foreshore_decision import explain, served
from foreshore_decision.record import replay

PARTS: dict[str, dict[str, Any]] = {
    "Shadow": {"spec__mode": "Shadow"},
    "Advise": {"spec__mode": "Advise"},
    "Disabled": {"spec__mode": "Disabled"},
    "rate": {"spec__rateLimit": {"minimumInterval": "3s", "burst": 2, "per": "10s"}},
    "interval": {"spec__rateLimit": {"minimumInterval": "2s"}},
    "burst of one": {"spec__rateLimit": {"burst": 1, "per": "4s"}},
    "clamp": {
        "spec__action__onLimit": "Clamp",
        "spec__action__limits": [{"input": "value", "maximum": 350}],
    },
    "deny": {"spec__action__limits": [{"input": "value", "maximum": 350, "maximumStep": 250}]},
    "windows": {
        "spec__features": [
            {"name": "lightPeak", "input": "light", "window": "10s", "aggregate": "Maximum"},
            {"name": "lightMean", "input": "light", "window": "1m", "aggregate": "Mean"},
        ],
        "spec__rules": [
            {"name": "bright", "effect": "Permit", "expression": "lightPeak > 300.0 && score > 0.2",
             "reason": "Bright"},
        ],
    },
    "full": {"spec__record": {"routineSampleRate": "1", "level": "Full"}},
    "condition": {
        "spec__matchConditions": [{"name": "day", "expression": "light > 10.0"}],
    },
    "variables": {
        "spec__variables": [
            {"name": "warm", "expression": "temperature > 20.0"},
            {"name": "sure", "expression": "score > 0.9"},
        ],
        "spec__matchConditions": [{"name": "warm", "expression": "warm"}],
    },
    "forbid": {
        "spec__rules": [
            {
                "name": "occupied",
                "effect": "Permit",
                "expression": "score >= 0.8 || co2Slope > 1.0",
                "reason": "RoomOccupied",
                "messageExpression": "'score ' + string(score)",
            },
            {
                "name": "cold",
                "effect": "Forbid",
                "expression": "temperature < 18.0",
                "reason": "TooCold",
            },
        ],
        "spec__features": [
            {"name": "co2Slope", "input": "co2", "window": "1m", "aggregate": "Slope"},
            {"name": "lightMean", "input": "light", "window": "1m", "aggregate": "Mean"},
            {"name": "lightSpread", "input": "light", "window": "1m",
             "aggregate": "StandardDeviation"},
            {"name": "samples", "input": "light", "window": "5s", "aggregate": "Count"},
        ],
    },
    "rule only": {
        "spec__inference__onError": "RuleOnly",
        "spec__rules": [
            {
                "name": "stale-air",
                "effect": "Permit",
                "expression": "co2 > 800.0",
                "reason": "StaleAir",
            }
        ],
    },
    "default": {
        "spec__inputs": [
            {"name": "light", "property": "light", "maximumAge": "4s", "onInvalid": "Default",
             "default": "50"},
            {"name": "co2", "property": "co2", "maximumAge": "4s",
             "range": {"minimum": 300, "maximum": 1200}},
            {"name": "temperature", "property": "temperature", "maximumAge": "4s",
             "maximumRate": "2"},
        ]
    },
    "last good": {
        "spec__inputs": [
            {"name": "light", "property": "light", "maximumAge": "4s", "onInvalid": "LastGood",
             "range": {"maximum": 500}},
            {"name": "co2", "property": "co2", "maximumAge": "4s"},
            {"name": "temperature", "property": "temperature", "maximumAge": "4s",
             "onInvalid": "LastGood", "maximumRate": "2"},
        ]
    },
}  # fmt: skip

samples = st.fixed_dictionaries(
    {},
    optional={
        "co2": st.floats(min_value=-100, max_value=20000),
        "light": st.floats(min_value=0, max_value=900),
        "temperature": st.floats(min_value=15, max_value=30),
        "airflow": st.sampled_from([0.0, 120.0, 300.0, 600.0]),
    },
)
happenings = st.one_of(
    st.tuples(st.just("sample"), samples),
    st.tuples(st.just("sample"), st.just(engine_rig.OCCUPIED)),
    st.tuples(st.just("refuse"), st.sampled_from(["co2", "light", "temperature"])),
    st.tuples(st.just("wait"), st.sampled_from([0.25, 1.0, 2.0, 5.0])),
    st.tuples(st.just("score"), st.floats(min_value=0, max_value=1)),
    st.tuples(
        st.just("model"),
        st.sampled_from(["answers", "fails", "late", "nan", "short", "other", "others"]),
    ),
    st.tuples(st.just("recorder"), st.booleans()),
    st.tuples(st.just("hub"), st.booleans()),
    st.tuples(st.just("lock"), st.booleans()),
)


def documents(parts: list[str], *, locked: bool = False) -> tuple[room.Json, ...]:
    policy = room.changed(room.policy(), spec__record={"routineSampleRate": "1"})
    for part in parts:
        policy = room.changed(policy, **PARTS[part])
    lock = "Locked" if locked else "Unlocked"
    return policy, room.changed(room.device(), spec__lock=lock)


class Story:
    """An engine that things happen to; each record is kept with what it was decided by."""

    def __init__(self, parts: list[str]) -> None:
        self.parts = parts
        self.model = "answers"
        self.rig = engine_rig.Rig(documents(parts), hold=(effects.Infer,))
        self.recorded: list[tuple[dict[str, Any], Any]] = []
        self._assigned = engine_rig.assign(*self.rig.documents)
        self._taken = 0

    def happen(self, what: str, detail: Any) -> None:  # noqa: C901 - one line a happening
        match what:
            case "sample":
                self.rig.sample(**detail)
            case "refuse":
                self.rig.feed(
                    events.Sample,
                    device=engine_rig.DEVICE,
                    values={"co2": 900.0} if detail != "co2" else {},
                    refused={detail: "NonFinite"},
                )
            case "wait":
                self.rig.wait(detail)
            case "score":
                self.rig.score = detail
            case "model":
                self.model = detail
            case "recorder":
                self.rig.feed(events.RecorderChanged, full=detail, reason="Full")
            case "hub":
                self.rig.renews = detail
            case "lock":
                self.keep()
                written = documents(self.parts, locked=detail)
                self.rig.assign(*written)
                self._assigned = engine_rig.assign(*written)
        self.answer()
        self.keep()

    def answer(self) -> None:
        waiting, self.rig.waiting = self.rig.waiting, []
        for effect in waiting:
            assert isinstance(effect, effects.Infer)
            identity = effect.decision_id
            match self.model:
                case "answers":
                    self.rig.carry(effect)
                case "fails":
                    self.rig.feed(events.InferenceFailed, decision_id=identity, reason="Refused")
                case "late":
                    self.rig.feed(events.InferenceLate, decision_id=identity)
                case "others":
                    self.rig.feed(
                        events.InferenceFailed, decision_id=identity, reason="OtherVersion"
                    )
                case "other":
                    self.rig.model = served.Served("occupancy", "occupancy-v0", "sha256:0")
                    self.rig.carry(effect)
                    self.rig.model = None
                case "nan" | "short":
                    data = (0.5, float("nan")) if self.model == "nan" else (0.5,)
                    self.rig.feed(
                        events.Inferred, decision_id=identity, outputs={"probabilities": data}
                    )

    def keep(self) -> None:
        decisions = self.rig.decisions
        self.recorded += [(each, self._assigned) for each in decisions[self._taken :]]
        self._taken = len(decisions)


def again(recorded: dict[str, Any], assigned: Any) -> replay.Replayed:
    travelled = json.loads(json.dumps(recorded))
    replayed = replay.replay(travelled, assigned.policies[0], assigned.devices[0])
    assert isinstance(replayed, replay.Replayed), replayed
    return replayed


def assert_replays(recorded: dict[str, Any], assigned: Any) -> None:
    replayed = again(recorded, assigned)
    assert replay.projection(replayed.data) == replay.projection(recorded)
    assert replayed.is_same


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.sampled_from(sorted(PARTS)), max_size=3, unique=True),
    st.lists(happenings, min_size=1, max_size=15),
)
def test_every_record_replays_to_itself(parts: list[str], story: list[tuple[str, Any]]) -> None:
    if "rule only" in parts:
        parts = [each for each in parts if each not in ("forbid", "variables")]
    run = Story(parts)
    run.happen("sample", engine_rig.OCCUPIED)
    for what, detail in story:
        run.happen(what, detail)
    assert run.recorded
    for recorded, assigned in run.recorded:
        assert_replays(recorded, assigned)


@pytest.mark.parametrize("part", sorted(PARTS))
def test_each_part_of_a_policy_replays(part: str) -> None:
    story = Story([part])
    for score in (0.95, 0.5):
        story.happen("score", score)
        for values in (
            engine_rig.OCCUPIED,
            {"co2": 5000.0, "light": 700.0, "temperature": 16.0, "airflow": 0.0},
            {"co2": 1100.0},
        ):
            story.happen("sample", values)
            story.happen("wait", 2.0)
    story.happen("wait", 5.0)
    story.happen("sample", {"co2": 1100.0})
    for recorded, assigned in story.recorded:
        assert_replays(recorded, assigned)


def test_another_policy_says_what_it_would_have_decided() -> None:
    story = Story([])
    story.happen("score", 0.85)
    story.happen("sample", engine_rig.OCCUPIED)
    recorded, _ = story.recorded[-1]
    stricter = room.changed(
        documents([])[0],
        spec__rules=[
            {
                "name": "occupied",
                "effect": "Permit",
                "expression": "score >= 0.9",
                "reason": "RoomOccupied",
            }
        ],
    )
    assigned = engine_rig.assign(stricter, documents([])[1])
    replayed = again(recorded, assigned)
    assert not replayed.is_same
    assert (recorded["verdict"]["result"], replayed.data["verdict"]["result"]) == (
        "Commanded",
        "NotTriggered",
    )


@pytest.mark.parametrize("model", ["other", "others"])
@pytest.mark.parametrize("parts", [[], ["rule only"]], ids=["model", "rule only"])
def test_an_answer_of_another_version_replays(model: str, parts: list[str]) -> None:
    story = Story(parts)
    story.happen("model", model)
    story.happen("sample", engine_rig.OCCUPIED)
    for recorded, assigned in story.recorded:
        assert_replays(recorded, assigned)


def test_what_a_version_answered_is_no_answer_of_another_one() -> None:
    story = Story([])
    story.happen("sample", engine_rig.OCCUPIED)
    recorded, _ = story.recorded[-1]
    newer = room.changed(room.version(name="occupancy-v2"), spec__digest="sha256:" + "cd" * 32)
    asking = room.changed(documents([])[0], spec__modelRef={"version": "occupancy-v2"})
    assigned = engine_rig.assign(newer, asking)
    result = replay.replay(recorded, assigned.policies[0], assigned.devices[0])
    assert result == replay.MissingFact("answer of occupancy-v2 to what it is asked")


def test_a_record_that_was_tampered_with_does_not_replay() -> None:
    story = Story([])
    story.happen("sample", engine_rig.OCCUPIED)
    recorded, assigned = story.recorded[-1]
    forged = json.loads(json.dumps(recorded))
    forged["inference"]["outputs"]["score"] = 0.1
    assert not again(forged, assigned).is_same


def test_the_intent_that_could_not_be_written_is_replayed_as_such() -> None:
    story = Story([])
    story.rig.hold = (effects.Infer, effects.Journal)
    story.happen("sample", engine_rig.OCCUPIED)
    (journal,) = (each for each in story.rig.waiting if isinstance(each, effects.Journal))
    assert journal.token is not None
    story.rig.hold = (effects.Infer,)
    story.rig.feed(events.IntentFailed, token=journal.token, reason="RecorderFull")
    story.keep()
    recorded, assigned = story.recorded[-1]
    assert recorded["verdict"]["reason"] == "RecorderFull"
    assert_replays(recorded, assigned)


RULES_ONLY: dict[str, Any] = {"spec__modelRef": None, "spec__inference": None}


def mean(aggregate: str, **more: Any) -> room.Json:
    """A policy that commands while the room's co2 is high over a minute."""
    return room.changed(
        room.policy(),
        **RULES_ONLY,
        spec__features=[
            {"name": "co2Level", "input": "co2", "window": "1m", "aggregate": aggregate}
        ],
        spec__rules=[
            {
                "name": "stale",
                "effect": "Permit",
                "expression": "co2Level > 500.0",
                "reason": "StaleAir",
            }
        ],
        **more,
    )


@pytest.mark.parametrize("level", ["Facts", "Full"])
def test_another_aggregate_is_never_made_of_the_number_of_the_first(level: str) -> None:
    record = {"routineSampleRate": "1", "level": level}
    rig = engine_rig.Rig((mean("Mean", spec__record=record),))
    for co2 in (900.0, 100.0, 100.0):
        rig.sample(**{**engine_rig.OCCUPIED, "co2": co2})
        rig.wait(1.0)
    recorded = rig.decisions[-1]
    assert recorded["verdict"]["result"] == "NotTriggered"
    assert recorded["features"]["co2Level"] == pytest.approx(366.67, abs=0.01)
    assigned = engine_rig.assign(mean("Maximum", spec__record=record))
    result = replay.replay(recorded, assigned.policies[0], assigned.devices[0])
    if level == "Facts":
        assert result == replay.MissingFact("window of co2Level")
    else:
        assert isinstance(result, replay.Replayed)
        assert result.data["verdict"]["result"] == "Commanded"
        assert result.data["features"]["co2Level"] == 900.0


@pytest.mark.parametrize(
    "facts", [None, {"format": 0}, {"format": 2, "seconds": 1.0}], ids=["none", "older", "newer"]
)
def test_facts_of_another_format_are_named_so_and_the_record_still_explains_itself(
    facts: dict[str, Any] | None,
) -> None:
    story = Story([])
    story.happen("sample", engine_rig.OCCUPIED)
    recorded, assigned = story.recorded[-1]
    older = {key: each for key, each in recorded.items() if key != "facts"}
    if facts is not None:
        older["facts"] = facts
    result = replay.replay(older, assigned.policies[0], assigned.devices[0])
    assert result == replay.OlderFormat()
    event = {"type": wire.DECISION, "time": "2026-03-01T10:00:00Z", "data": older}
    assert explain.of_events([json.dumps(event)]).verdict == "Commanded"


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in a document."""
    inner: dict[Any, Any] = document if isinstance(document, dict) else {}
    if isinstance(document, list):
        inner = dict(enumerate(document))
    return [path, *(place for key, each in inner.items() for place in places(each, (*path, key)))]


@settings(max_examples=150)
@given(st.data())
def test_facts_that_somebody_wrote_over_end_nothing(data: st.DataObject) -> None:
    recorded = json.loads(json.dumps(data.draw(st.sampled_from(FORGED.recorded))[0]))
    place = data.draw(st.sampled_from([each for each in places(recorded["facts"]) if each]))
    junk = st.sampled_from([None, "x", -1, 1e308, [], {}, [[[1]]], {"length": -1}, True, "NaN"])
    inside = recorded["facts"]
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = data.draw(junk)
    assigned = FORGED.recorded[-1][1]
    replay.replay(recorded, assigned.policies[0], assigned.devices[0])


def forged() -> Story:
    story = Story(["full", "windows", "last good", "rate"])
    for light in (400.0, 700.0, 350.0):
        story.happen("sample", {**engine_rig.OCCUPIED, "light": light})
        story.happen("wait", 1.0)
    return story


FORGED = forged()

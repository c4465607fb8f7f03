"""A record explains itself: the chain, run again on it, decides the same, byte for byte."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import engine_rig, room
from builders.story import HAPPENINGS, MODEL, PARTS, Story, documents
from foreshore_agent.engine import effects, events
from foreshore_api.wire import record as wire
from foreshore_decision import explain
from foreshore_decision.record import replay


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
    st.lists(HAPPENINGS, min_size=1, max_size=15),
)
def test_every_record_replays_to_itself(parts: list[str], story: list[tuple[str, Any]]) -> None:
    if "rule only" in parts:
        parts = [each for each in parts if each not in ("forbid", "variables", "windows")]
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


@pytest.mark.parametrize("model", MODEL)
@pytest.mark.parametrize("parts", [[], ["full", "windows", "Advise"]], ids=["plain", "windows"])
def test_whatever_the_model_does_replays(model: str, parts: list[str]) -> None:
    story = Story(parts)
    for kind in ("answers", model):
        story.happen("model", kind)
        story.happen("sample", engine_rig.OCCUPIED)
        story.happen("wait", 1.0)
    assert len(story.recorded) >= 2
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
    story.rig.hold = (effects.Infer, effects.AppendRecords)
    story.happen("sample", engine_rig.OCCUPIED)
    (journal,) = (each for each in story.rig.waiting if isinstance(each, effects.AppendRecords))
    assert journal.intent is not None
    story.rig.hold = (effects.Infer,)
    story.rig.feed(events.IntentFailed, **journal.intent._asdict(), reason="RecordTooLarge")
    story.keep()
    recorded, assigned = story.recorded[-1]
    assert recorded["verdict"]["reason"] == "RecorderFull"
    assert recorded["gates"][-1]["operands"] == {"cause": "RecordTooLarge"}
    assert_replays(recorded, assigned)


RULES_ONLY: dict[str, Any] = {"spec__modelRef": None, "spec__inference": None}


def mean(aggregate: str, **more: Any) -> room.Json:
    """A policy that commands while the room's co2 is high over a minute."""
    return room.changed(
        room.policy(),
        **RULES_ONLY,
        spec__features=[
            {
                "name": "co2Level",
                "input": "co2",
                "window": "1m",
                "aggregate": aggregate,
                "minimumCoverage": "0",
            }
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
    junk = st.sampled_from(
        [None, "x", -1, 1e308, 10**400, [], {}, [[[1]]], {"length": -1}, True, "NaN"]
    )
    inside = recorded["facts"]
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = data.draw(junk)
    assigned = FORGED.recorded[-1][1]
    replay.replay(recorded, assigned.policies[0], assigned.devices[0])


def test_a_number_that_no_gate_can_count_with_is_no_fact() -> None:
    story = Story([])
    story.happen("sample", engine_rig.OCCUPIED)
    recorded, assigned = story.recorded[-1]
    recorded["facts"]["readings"]["airflow"]["value"] = 10**400
    result = replay.replay(recorded, assigned.policies[0], assigned.devices[0])
    assert isinstance(result, replay.UnreadableFacts)


def forged() -> Story:
    story = Story(["full", "windows", "last good", "rate"])
    for light in (400.0, 700.0, 350.0):
        story.happen("sample", {**engine_rig.OCCUPIED, "light": light})
        story.happen("wait", 1.0)
    return story


FORGED = forged()


def test_a_record_of_a_release_that_named_no_fence_replays() -> None:
    rig = engine_rig.Rig()
    rig.sample()
    [recorded] = rig.decisions
    assert recorded["device"].pop("fence") == "Device"
    assigned = engine_rig.assign()
    result = replay.replay(recorded, assigned.policies[0], assigned.devices[0])
    assert isinstance(result, replay.Replayed)
    assert result.is_same


def test_what_computed_an_answer_is_recorded_explained_and_replayed() -> None:
    run = Story([])
    run.rig.provider = "CUDA"
    run.happen("sample", engine_rig.OCCUPIED)
    (recorded, assigned), *_ = run.recorded
    assert recorded["inference"]["provider"] == "CUDA"
    assert wire.Decision.model_validate(recorded).inference is not None
    assert_replays(recorded, assigned)
    replayed = again(recorded, assigned)
    assert replayed.data["inference"]["provider"] == "CUDA"
    told = explain.lines(explain.of_events([json.dumps(each) for each in run.rig.records]))
    assert any("(computed by CUDA)" in line for line in told)


def test_a_record_of_a_server_that_does_not_say_names_no_provider() -> None:
    run = Story([])
    run.happen("sample", engine_rig.OCCUPIED)
    (recorded, _), *_ = run.recorded
    assert "provider" not in recorded["inference"]

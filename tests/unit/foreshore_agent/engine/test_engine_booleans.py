"""Booleans as numbers: a sensor's occupancy in a model, in a window and in a rule at once."""

from typing import Any

import pytest

from builders import engine_rig, room
from builders.engine_rig import Rig
from foreshore_agent.engine import effects
from foreshore_decision.record import replay

MEAN = {"name": "motion", "input": "occupancy", "window": "1m", "aggregate": "Mean"}


def profile(**types: str) -> room.Json:
    """The room, whose sensor also reports these properties."""
    document = room.profile()
    del document["spec"]["actions"][0]["input"][0]["maximumStep"]
    document["spec"]["properties"] += [{"name": name, "type": kind} for name, kind in types.items()]
    return document


def policy(**changes: Any) -> room.Json:
    inputs = [
        {"name": "occupancy", "property": "occupancy", "type": "Boolean", "maximumAge": "90s"},
        {"name": "light", "property": "light", "maximumAge": "90s"},
    ]
    return room.changed(
        room.policy(),
        spec__inputs=inputs,
        spec__trigger={"properties": ["occupancy"]},
        spec__action__input=[{"name": "value", "expression": "300.0"}],
        **changes,
    )


def model(*features: str, kind: str = "FP32") -> room.Json:
    tensor = {"name": "X", "dataType": kind, "shape": [-1, len(features)], "features": features}
    return room.changed(room.model(), spec__inputs=[tensor])


def asked(rig: Rig) -> list[Any]:
    return [
        tensor.data
        for each in rig.seen
        if isinstance(each, effects.Infer)
        for tensor in each.tensors
    ]


@pytest.mark.parametrize("kind", ["FP32", "INT64", "UINT8"])
@pytest.mark.parametrize(("is_occupied", "number"), [(True, 1), (False, 0)])
def test_a_model_takes_a_boolean_as_one_or_nought(
    kind: str, is_occupied: bool, number: int
) -> None:
    rig = Rig((profile(occupancy="Boolean"), policy(), model("occupancy", "light", kind=kind)))
    rig.sample(occupancy=is_occupied, light=54.0)
    assert asked(rig) == [(number, 54)]
    assert rig.verdicts == [("Commanded", "RoomOccupied")]


def test_a_rule_reads_the_boolean_that_the_model_takes_as_a_boolean() -> None:
    rules = [{"name": "moved", "expression": "occupancy && score >= 0.8", "reason": "Moved"}]
    rig = Rig(
        (profile(occupancy="Boolean"), policy(spec__rules=rules), model("occupancy", "light"))
    )
    rig.sample(occupancy=True, light=54.0)
    assert rig.verdicts == [("Commanded", "Moved")]
    [shown] = [each for each in rig.decisions[0]["inputs"] if each["name"] == "occupancy"]
    assert shown["value"] is True
    assert rig.decisions[0]["features"]["occupancy"] == 1.0


def test_a_rule_reads_the_integer_that_the_model_takes_as_an_integer() -> None:
    """Regression: the model's number took its place, which is no Integer, and the rule failed."""
    rules = [{"name": "many", "expression": "people > 1", "reason": "Many"}]
    inputs = [{"name": "people", "property": "people", "type": "Integer", "maximumAge": "90s"}]
    document = policy(spec__rules=rules)
    document["spec"] |= {"inputs": inputs, "trigger": {}}
    rig = Rig((profile(people="Integer"), document, model("people")))
    rig.sample(people=2)
    assert rig.verdicts == [("Commanded", "Many")]


def test_the_mean_of_a_boolean_is_how_often_it_was_true() -> None:
    document = policy(spec__features=[MEAN])
    rig = Rig((profile(occupancy="Boolean"), document, model("motion", "light")))
    for second in range(60):
        rig.wait(1.0)
        rig.sample(occupancy=second % 4 == 0, light=54.0)
    assert asked(rig)[-1] == (pytest.approx(0.25), 54.0)


def test_a_record_with_a_boolean_feature_replays_to_itself() -> None:
    document = policy(spec__features=[MEAN], spec__record={"level": "Full"})
    documents = (profile(occupancy="Boolean"), document, model("motion", "occupancy", "light"))
    rig = Rig(documents)
    for second in range(40):
        rig.wait(1.0)
        rig.sample(occupancy=second % 3 == 0, light=54.0)
    assigned = engine_rig.assign(*documents)
    for recorded in rig.decisions:
        replayed = replay.replay(recorded, assigned.policies[0], assigned.devices[0])
        assert isinstance(replayed, replay.Replayed), replayed
        assert replayed.is_same
    assert ("Commanded", "RoomOccupied") in rig.verdicts


def test_a_truth_that_is_missing_is_no_nought() -> None:
    rig = Rig((profile(occupancy="Boolean"), policy(), model("occupancy", "light")))
    rig.sample(light=54.0)
    rig.sample(occupancy=True)
    assert asked(rig) == [(1.0, 54.0)]


def test_no_truth_at_all_asks_nothing() -> None:
    document = room.changed(policy(), spec__trigger={})
    rig = Rig((profile(occupancy="Boolean"), document, model("occupancy", "light")))
    rig.sample(light=54.0)
    assert asked(rig) == []
    assert rig.verdicts == [("NotApplicable", "InputMissing")]

"""Two policies that command one actuator: said on both, naming the other."""

from typing import Any

import pytest

from builders import planning as build
from foreshore_api import v1alpha1
from foreshore_planner import plan as planner

MQTT = {
    "telemetryTopic": "{site}/{device}/telemetry",
    "commandTopic": "{site}/{device}/command",
    "acknowledgementTopic": "{site}/{device}/ack",
}


def action(name: str, property_: str) -> dict[str, Any]:
    return {
        "name": name,
        "idempotency": "Idempotent",
        "input": [{"name": "value", "property": property_}],
    }


def profile(*actions: dict[str, Any]) -> v1alpha1.DeviceProfile:
    writable = sorted({one["input"][0]["property"] for one in actions})
    return build.profile(
        mqtt=MQTT,
        properties=[
            {"name": "co2"},
            *({"name": name, "access": "ReadWrite"} for name in writable),
        ],
        actions=list(actions),
    )


AIRFLOW = action("setAirflow", "airflow")


def policy(name: str, does: str = "setAirflow", **spec: Any) -> v1alpha1.DecisionPolicy:
    inputs = [{"name": "value", "expression": "300.0"}]
    return build.policy(name, action={"name": does, "input": inputs, "timeToLive": "5s"}, **spec)


def shared(*policies: v1alpha1.DecisionPolicy, **changes: Any) -> dict[str, str]:
    """The message of every policy that says it shares an actuator."""
    seen = build.world(**{"profiles": (profile(AIRFLOW),), "policies": policies, **changes})
    made = planner.plan(seen)
    return {
        one.name: build.message(made, "DecisionPolicy", one.name, "ActuatorShared")
        for one in policies
        if build.condition(made, "DecisionPolicy", one.name, "ActuatorShared")
        == ("True", "ActuatorShared")
    }


def test_each_of_two_policies_on_one_actuator_names_the_other() -> None:
    said = shared(policy("cool"), policy("ventilate"))
    assert set(said) == {"cool", "ventilate"}
    assert "ventilate (setAirflow of room-301)" in said["cool"]
    assert "cool (setAirflow of room-301)" in said["ventilate"]
    assert "nothing decides which of them wins" in said["cool"]


def test_two_actions_that_write_one_property_are_one_actuator() -> None:
    both = profile(AIRFLOW, action("boost", "airflow"))
    said = shared(policy("cool", "boost"), policy("ventilate"), profiles=(both,))
    assert "ventilate (setAirflow of room-301)" in said["cool"]
    assert "cool (boost of room-301)" in said["ventilate"]


def test_two_actions_that_write_different_properties_are_two_actuators() -> None:
    both = profile(AIRFLOW, action("setLamp", "lamp"))
    assert shared(policy("light", "setLamp"), policy("ventilate"), profiles=(both,)) == {}


@pytest.mark.parametrize("mode", ["Disabled", "Shadow", "Advise"])
def test_a_policy_that_moves_nothing_shares_nothing(mode: str) -> None:
    assert shared(policy("cool", mode=mode), policy("ventilate")) == {}


def test_a_device_that_lowers_every_policy_is_commanded_by_none() -> None:
    unguarded = build.profile(mqtt=MQTT, guards={})
    assert shared(policy("cool"), policy("ventilate"), profiles=(unguarded,)) == {}


def test_policies_of_different_devices_share_nothing() -> None:
    other = {"matchLabels": {"zone": "east"}}
    assert shared(policy("cool", deviceSelector=other), policy("ventilate")) == {}


def test_a_policy_that_is_not_accepted_shares_nothing() -> None:
    lost = policy("cool", modelRef={"version": "nowhere"})
    assert shared(lost, policy("ventilate")) == {}


def test_many_policies_on_many_devices_fit_into_one_message() -> None:
    devices = tuple(build.device(f"room-{number:03}-{'x' * 40}") for number in range(200))
    many = tuple(policy(f"policy-{number:02}-{'y' * 40}") for number in range(20))
    said = shared(*many, devices=devices)
    assert len(said) == 20
    assert all(len(one) <= 1024 for one in said.values())
    assert "and 16 more policies" in said[many[0].name]

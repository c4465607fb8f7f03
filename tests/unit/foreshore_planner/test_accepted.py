"""What a profile and a device say wrongly of reading is a condition, and stops nobody else."""

from typing import Any

import pytest

from builders import planning as build
from foreshore_api import v1alpha1
from foreshore_planner import plan as planning


def of(made: planning.Plan, kind: str, name: str) -> tuple[Any, str]:
    """Ready of an object, and what it says."""
    return build.condition(made, kind, name, "Ready"), build.message(made, kind, name, "Ready")


def device(name: str, *, created: str = "2026-03-01T09:00:00Z", **spec: Any) -> v1alpha1.Device:
    document = build.device(name).document()
    document["spec"] |= spec
    document["metadata"]["creationTimestamp"] = created
    return v1alpha1.Device.read(document)


def plug(friendly: str | None) -> dict[str, Any]:
    return {} if friendly is None else {"parameters": [{"name": "called", "value": friendly}]}


STOCK = build.profile(
    mqtt={"telemetryTopic": "z/{parameters.called}"},
    actions=[
        {
            "name": "setAirflow",
            "idempotency": "Idempotent",
            "input": [{"name": "value", "property": "airflow"}],
            "mqtt": {"topic": "z/{parameters.called}/set", "expression": "value"},
            "acknowledgement": {"type": "None"},
        }
    ],
    guards={"fence": "None"},
)


def test_a_profile_that_contradicts_itself_is_stalled_with_field_and_remedy() -> None:
    wrong = build.profile(properties=[{"name": "co2", "scale": 0}, {"name": "airflow"}])
    made = planning.plan(build.world(profiles=(wrong,)))
    condition, message = of(made, "DeviceProfile", "room-climate")
    assert condition == ("False", "Invalid")
    assert message.startswith("spec.properties[co2].scale: ")
    assert "the last good one, if there was one, stays in force" in message
    assert build.condition(made, "DeviceProfile", "room-climate", "Stalled") is not None
    assert of(made, "Device", "room-301")[0] == ("False", "ReferenceNotFound")
    assert not made.defects


def test_a_device_that_lacks_a_parameter_of_its_topics_says_which() -> None:
    devices = (device("plug-1", **plug("Hall 1")), device("plug-2"))
    made = planning.plan(build.world(profiles=(STOCK,), devices=devices))
    assert of(made, "Device", "plug-1")[0] == ("True", "AwaitingDelivery")
    condition, message = of(made, "Device", "plug-2")
    assert condition == ("False", "Invalid")
    assert message.startswith("spec.parameters[called]: ")
    assert [grant.device for grant in made.grants] == ["plug-1"]
    assert not made.defects


@pytest.mark.parametrize("called", ["Hall/+", "$SYS/x"])
def test_a_name_that_would_be_others_topics_is_no_defect_of_ours(called: str) -> None:
    made = planning.plan(
        build.world(profiles=(STOCK,), devices=(device("plug-1", **plug(called)),))
    )
    assert of(made, "Device", "plug-1")[0] == ("False", "Invalid")
    assert not made.defects


def test_two_devices_on_one_topic_of_an_action_are_one_actuator() -> None:
    """The older keeps it: both would be told by two policies, and neither would know."""
    devices = (
        device("plug-2", **plug("Hall 1"), created="2026-03-01T09:00:01Z"),
        device("plug-1", **plug("Hall 1")),
        device("plug-3", **plug("Hall 3")),
    )
    made = planning.plan(build.world(profiles=(STOCK,), devices=devices))
    condition, message = of(made, "Device", "plug-2")
    assert condition == ("False", "EndpointConflict")
    assert "Device hq/plug-1 already listens on z/Hall 1/set of this broker" in message
    assert of(made, "Device", "plug-1")[0] == ("True", "AwaitingDelivery")
    assert of(made, "Device", "plug-3")[0] == ("True", "AwaitingDelivery")


def test_a_device_in_conflict_takes_no_topic_from_a_younger_one() -> None:
    action = STOCK.spec.actions[0].document()
    message = {"topic": "z/{parameters.second}/set", "expression": "true"}
    second = {**action, "name": "stop", "input": [], "mqtt": message}
    second["acknowledgement"] = {"type": "None"}
    profile = build.profile(**{**STOCK.spec.document(), "actions": [action, second]})

    def both(first: str, other: str) -> dict[str, Any]:
        named = {"called": first, "second": other}
        return {"parameters": [{"name": key, "value": value} for key, value in named.items()]}

    devices = (
        device("a", **both("1", "2"), created="2026-03-01T09:00:00Z"),
        device("b", **both("3", "1"), created="2026-03-01T09:00:01Z"),
        device("c", **both("3", "4"), created="2026-03-01T09:00:02Z"),
    )
    made = planning.plan(build.world(profiles=(profile,), devices=devices))
    assert [of(made, "Device", name)[0][1] for name in "abc"] == [
        "AwaitingDelivery", "EndpointConflict", "AwaitingDelivery",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second"),
    [("fd42::9", "FD42:0::9"), ("Broker.example", "broker.example"), ("10.0.0.9", "10.0.0.9")],
)
def test_two_spellings_of_a_broker_are_one_broker(first: str, second: str) -> None:
    def site(name: str, host: str) -> v1alpha1.Site:
        document = build.site_of(name).document()
        document["spec"]["broker"]["host"] = host
        return v1alpha1.Site.read(document)

    devices = (
        device("plug-1", **plug("Hall 1")),
        device("plug-2", **plug("Hall 1"), site="plant", created="2026-03-01T09:00:01Z"),
    )
    sites = (site("hq", first), site("plant", second))
    made = planning.plan(build.world(profiles=(STOCK,), devices=devices, sites=sites))
    assert of(made, "Device", "plug-2")[0] == ("False", "EndpointConflict")

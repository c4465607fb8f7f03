"""A hub that is out of reach is one condition of each Site; no Device needs a write for it."""

import dataclasses
from typing import Any

import pytest

from builders import planning as build
from foreshore_api import conditions, v1alpha1
from foreshore_planner import plan as planning
from foreshore_planner import snapshot

DEVICES = tuple(f"room-{number}" for number in range(301, 309))


@pytest.fixture
def settled() -> snapshot.Snapshot:
    devices = tuple(build.device(name) for name in DEVICES)
    return written(build.settle(build.world(devices=devices)))


def written(seen: snapshot.Snapshot) -> snapshot.Snapshot:
    """The world once every status of a pass was written."""
    statuses = {
        (write.kind, write.namespace, write.name): write.status
        for write in planning.plan(seen).statuses
    }

    def with_status(resource: Any) -> Any:
        metadata = resource.metadata
        status = statuses[resource.kind, metadata.namespace, metadata.name]
        if isinstance(resource, v1alpha1.Device):
            kept = {"authority": resource.status.authority}
            status = status.model_copy(update=kept)
        return resource.model_copy(update={"status": status})

    return dataclasses.replace(
        seen,
        devices=tuple(map(with_status, seen.devices)),
        sites=tuple(map(with_status, seen.sites)),
        policies=tuple(map(with_status, seen.policies)),
    )


def differing(seen: snapshot.Snapshot) -> dict[str, list[str]]:
    """Objects whose status a pass would write, by kind."""
    before = {
        (kind, resource.namespace, resource.name): resource.status.document()
        for kind, resources in (
            ("Device", seen.devices),
            ("Site", seen.sites),
            ("DecisionPolicy", seen.policies),
        )
        for resource in resources
    }
    writes: dict[str, list[str]] = {}
    for write in planning.plan(seen).statuses:
        key = (write.kind, write.namespace or "", write.name)
        if key in before and without_authority(write.status.document()) != without_authority(
            before[key]
        ):
            writes.setdefault(write.kind, []).append(write.name)
    return writes


def without_authority(status: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in status.items() if key != "authority"}


def device_says(seen: snapshot.Snapshot, name: str, type_: str) -> tuple[str, str] | None:
    return build.condition(planning.plan(seen), "Device", name, type_)


def stated(seen: snapshot.Snapshot, name: str, **changes: str) -> snapshot.Snapshot:
    """The world with a condition stated of a Device."""
    wanted = conditions.Condition.model_validate(
        {"lastTransitionTime": "2026-03-01T10:00:00Z", "observedGeneration": 1, **changes}
    )

    def with_it(device: v1alpha1.Device) -> v1alpha1.Device:
        if device.name != name:
            return device
        others = [other for other in device.status.conditions if other.type != wanted.type]
        status = device.status.model_copy(update={"conditions": (*others, wanted)})
        return device.model_copy(update={"status": status})

    return dataclasses.replace(seen, devices=tuple(map(with_it, seen.devices)))


def test_nothing_is_to_be_written_of_a_world_that_is_settled(settled: snapshot.Snapshot) -> None:
    assert differing(settled) == {}


def test_no_device_is_written_when_the_hub_goes_away(settled: snapshot.Snapshot) -> None:
    away = dataclasses.replace(settled, fleet=None)
    assert differing(away) == {"Site": ["hq"]}
    assert build.condition(planning.plan(away), "Site", "hq", "Connected") == (
        "Unknown", "HubUnreachable",
    )  # fmt: skip


def test_no_device_is_written_when_the_hub_comes_back(settled: snapshot.Snapshot) -> None:
    away = written(dataclasses.replace(settled, fleet=None))
    assert differing(dataclasses.replace(away, fleet=settled.fleet)) == {"Site": ["hq"]}


def test_no_device_is_written_while_a_hub_that_restarted_waits_for_its_agents(
    settled: snapshot.Snapshot,
) -> None:
    assert settled.fleet is not None
    young = settled.fleet.model_copy(update={"uptime_seconds": 2.0, "agents": ()})
    assert differing(dataclasses.replace(settled, fleet=young)) == {"Site": ["hq"]}


def test_agents_that_a_hub_does_not_hear_once_it_is_old_enough_are_silent(
    settled: snapshot.Snapshot,
) -> None:
    assert settled.fleet is not None
    deaf = settled.fleet.model_copy(update={"uptime_seconds": 600.0, "agents": ()})
    seen = dataclasses.replace(settled, fleet=deaf)
    assert device_says(seen, "room-301", "Connected") == ("Unknown", "AgentSilent")


def test_a_device_that_is_new_says_that_nobody_can_be_asked(settled: snapshot.Snapshot) -> None:
    devices = (*settled.devices, build.device("new"))
    seen = dataclasses.replace(settled, devices=devices, fleet=None)
    assert device_says(seen, "new", "Connected") == ("Unknown", "HubUnreachable")


def test_a_silent_holder_does_not_become_well_because_nobody_can_be_asked(
    settled: snapshot.Snapshot,
) -> None:
    seen = stated(
        settled, "room-301", type="Ready", status="False", reason="AgentSilent", message="silent"
    )
    away = dataclasses.replace(seen, fleet=None)
    assert device_says(away, "room-301", "Ready") == ("False", "AgentSilent")
    assert device_says(away, "room-302", "Ready") == ("True", "Delivered")


def test_a_right_that_is_held_back_is_not_let_go_because_nobody_can_be_asked(
    settled: snapshot.Snapshot,
) -> None:
    seen = stated(
        settled, "room-301", type="Held", status="True", reason="SiteSilent", message="silent"
    )
    away = dataclasses.replace(seen, fleet=None)
    assert device_says(away, "room-301", "Held") == ("True", "SiteSilent")
    assert device_says(away, "room-302", "Held") is None


def test_nothing_is_granted_while_the_hub_is_away(settled: snapshot.Snapshot) -> None:
    devices = (*settled.devices, build.device("new"))
    assert planning.plan(dataclasses.replace(settled, devices=devices, fleet=None)).grants == ()


def test_an_edit_while_the_hub_is_away_is_not_said_to_be_delivered(
    settled: snapshot.Snapshot,
) -> None:
    (policy,) = settled.policies
    metadata = policy.metadata.model_copy(update={"generation": 2})
    edited = policy.model_copy(update={"metadata": metadata})
    away = dataclasses.replace(settled, policies=(edited,), fleet=None)
    made = planning.plan(away)
    assert build.condition(made, "DecisionPolicy", "ventilate", "Ready") == (
        "True", "AwaitingDelivery",
    )  # fmt: skip

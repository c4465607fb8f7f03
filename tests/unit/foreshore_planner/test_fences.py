"""Who fences a device is shown, and a device that nobody fences says what that risks."""

from typing import Any

import pytest

from builders import planning as build
from foreshore_api import conditions, v1alpha1
from foreshore_api.reasons import cap
from foreshore_planner import plan as planning

CHECKED = {"epoch": "Checked", "duplicates": "Checked"}
DEVICE = ("Device", "room-301")


def planned(guards: dict[str, Any], narrowed: dict[str, Any] | None = None, **spec: Any) -> Any:
    device = build.device().document()
    if narrowed is not None:
        device["spec"]["guards"] = narrowed
    return planning.plan(
        build.world(
            profiles=(build.profile(guards=guards, **spec),),
            devices=(v1alpha1.Device.read(device),),
        )
    )


def fence(made: planning.Plan) -> Any:
    (row,) = (row for row in made.statuses if row.kind == "Device")
    return row.status.document().get("fence")


@pytest.mark.parametrize(
    ("guards", "narrowed", "shown"),
    [
        (CHECKED, None, "Device"),
        ({**CHECKED, "fence": "Device"}, None, "Device"),
        (CHECKED, {"epoch": "Ignored"}, None),
        ({"epoch": "Checked"}, None, None),
        ({}, None, None),
        ({"fence": "None"}, None, "None"),
        ({**CHECKED, "fence": "None"}, None, "None"),
    ],
)
def test_a_devices_status_shows_who_fences_it(
    guards: dict[str, Any], narrowed: dict[str, Any] | None, shown: str | None
) -> None:
    assert fence(planned(guards, narrowed)) == shown


def test_a_device_that_nobody_fences_says_what_that_risks_and_how_to_end_it() -> None:
    made = planned({"fence": "None"})
    assert build.condition(made, *DEVICE, "Unfenced") == ("True", "NoFence")
    message = build.message(made, *DEVICE, "Unfenced")
    assert "two agents may command it at once" in message
    assert conditions.Reason.NO_FENCE.remedy in message
    assert build.condition(made, *DEVICE, "Ready") == ("True", "AwaitingDelivery"), (
        "it informs only"
    )


@pytest.mark.parametrize("guards", [CHECKED, {}, {"epoch": "Checked"}])
def test_a_device_that_is_fenced_or_not_commanded_is_not_called_unfenced(
    guards: dict[str, Any],
) -> None:
    assert build.condition(planned(guards), *DEVICE, "Unfenced") is None


def test_a_device_that_can_be_told_nothing_needs_no_fence() -> None:
    made = planned({"fence": "None"}, mqtt={"telemetryTopic": "t/{device}"}, actions=[])
    assert fence(made) == "None"
    assert build.condition(made, *DEVICE, "Unfenced") is None


def test_a_device_whose_profile_was_deleted_keeps_the_fence_that_is_in_force() -> None:
    document = build.device().document()
    document["status"] = {"fence": "Device"}
    device = v1alpha1.Device.read(document)
    assert fence(planning.plan(build.world(devices=(device,), profiles=()))) == "Device"


@pytest.mark.parametrize("row", cap.TABLE.values(), ids=str)
def test_whatever_caps_a_mode_says_how_to_lift_it(row: Any) -> None:
    assert row.remedy

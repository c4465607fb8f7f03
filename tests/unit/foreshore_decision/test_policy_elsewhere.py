"""Inputs of another device: what they may be, and what is said where they cannot be."""

import time
from typing import Any

import pytest

from builders import engine_rig, neighbours, room
from foreshore_api import v1alpha1
from foreshore_api.wire import assignment as wire
from foreshore_decision import narrowing, policy
from foreshore_decision.policy.compiled import OtherProperty


def assigned(*documents: room.Json) -> tuple[wire.Assignment, dict[str, wire.AssignedDevice]]:
    made = engine_rig.assign(*neighbours.documents(*documents))
    return made, {device.name: device for device in made.devices}


def compiled(*documents: room.Json, name: str = "room-301") -> policy.CompiledPolicy:
    made, others = assigned(*documents)
    return policy.compile(made.policies[0], others[name], others)


def refusals(*documents: room.Json, name: str = "room-301") -> list[tuple[str, str, str]]:
    with pytest.raises(policy.PolicyError) as error:
        compiled(*documents, name=name)
    return [
        (problem.reason.value, problem.path, problem.message) for problem in error.value.problems
    ]


def test_an_input_of_another_device_is_read_by_its_profile_under_a_name_of_both() -> None:
    tilt = neighbours.source("tilt", "tilt", range={"maximum": 45})
    made = compiled(neighbours.policy(neighbours.source(), tilt))
    own, shut, tilted = made.inputs
    other = OtherProperty("hq", "window-301", "window-301-uid", "open", "window-301.open")
    assert (own.property, own.other) == ("co2", None)
    assert (shut.property, shut.other) == ("window-301.open", other)
    assert (tilted.property, tilted.unit, tilted.minimum, tilted.maximum) == (
        "window-301.tilt",
        "deg",
        0,
        45,
    )
    assert [read.name for read in made.others] == ["window-301.open", "window-301.tilt"]


def test_two_inputs_of_one_property_are_read_once() -> None:
    strict = neighbours.source("recent", maximumAge="5s")
    made = compiled(neighbours.policy(neighbours.source(), strict))
    assert [read.name for read in made.others] == ["window-301.open"]


def test_an_absent_trigger_means_every_input_of_every_device() -> None:
    assert compiled().trigger.properties == {"co2", "window-301.open"}


def test_a_trigger_names_the_decided_device_s_own() -> None:
    made = compiled(room.changed(neighbours.policy(), spec__trigger={"properties": ["light"]}))
    assert made.trigger.properties == {"light"}
    with_other = room.changed(neighbours.policy(), spec__trigger={"properties": ["open"]})
    [(reason, path, _)] = refusals(with_other)
    assert (reason, path) == ("ReferenceNotFound", "spec.trigger.properties")


def with_parameter(value: Any, *more: room.Json) -> tuple[room.Json, ...]:
    device = room.device()
    if value is not None:
        device["spec"]["parameters"] = [{"name": "window", "value": value}]
    read = neighbours.source(deviceRef={"parameter": "window"})
    return device, neighbours.policy(read), *more


def test_a_parameter_of_the_device_says_which_other_it_reads() -> None:
    made = compiled(*with_parameter("window-302", neighbours.window("window-302")))
    assert [read.device for read in made.others] == ["window-302"]


def test_the_policy_s_default_counts_where_the_device_sets_no_parameter() -> None:
    device, document = with_parameter(None)
    declared = [{"name": "window", "type": "String", "default": "window-301"}]
    made = compiled(device, room.changed(document, spec__parameters=declared))
    assert [read.device for read in made.others] == ["window-301"]


ANYWAY = [{"name": "stuffy", "expression": "co2 > 800.0", "reason": "Stuffy"}]
"""Rules that read nothing elsewhere."""
PATH = "spec.inputs[windowOpen]"
REFUSED = {
    "no device of this name": (
        (neighbours.policy(neighbours.source(deviceRef={"name": "window-3001"})),),
        f"{PATH}.deviceRef.name",
        "this site has no Device window-3001 with its DeviceProfile; did you mean window-301?"
        " Known: window-301",
    ),
    "a device of another site": (
        (
            neighbours.policy(neighbours.source(deviceRef={"name": "window-302"})),
            neighbours.window("window-302", spec__site="depot"),
        ),
        f"{PATH}.deviceRef.name",
        "this site has no Device window-302 with its DeviceProfile; did you mean window-301?"
        " Known: window-301",
    ),
    "a device without its profile": (
        (neighbours.window(spec__profileRef={"name": "pane"}),),
        f"{PATH}.deviceRef.name",
        "this site has no Device window-301 with its DeviceProfile; there is none",
    ),
    "the decided device itself": (
        (neighbours.policy(neighbours.source(deviceRef={"name": "room-301"})),),
        f"{PATH}.deviceRef.name",
        "room-301 is the decided Device itself: leave deviceRef out",
    ),
    "a parameter that nobody sets": (
        with_parameter(None),
        f"{PATH}.deviceRef.parameter",
        "the Device sets no parameter window, which names the Device to read: add it to"
        " spec.parameters of the Device; there is none",
    ),
    "a parameter that names no device": (
        with_parameter("pane-1"),
        f"{PATH}.deviceRef.parameter",
        "this site has no Device pane-1 with its DeviceProfile; known: window-301",
    ),
    "a property that the other profile has not": (
        (neighbours.policy(neighbours.source(property="opened")),),
        f"{PATH}.property",
        "Device window-301: the profile has no property opened; did you mean open? Known: note,"
        " open, sealed, tilt",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_a_remedy_for(name: str) -> None:
    documents, path, message = REFUSED[name]
    assert refusals(*documents)[0] == ("ReferenceNotFound", path, message)


UNFIT: dict[str, tuple[dict[str, Any], str, str]] = {
    "another type": ({"type": "Number"}, "Invalid", f"{PATH}.type"),
    "what cannot be read": ({"property": "sealed"}, "Invalid", f"{PATH}.property"),
    "another unit": (
        {"property": "tilt", "type": "Number", "unit": "rad"},
        "UnitMismatch",
        f"{PATH}.unit",
    ),
    "a wider range": (
        {"property": "tilt", "type": "Number", "range": {"maximum": 180}},
        "WiderThanDevice",
        f"{PATH}.range.maximum",
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_it_is_held_to_the_other_profile_for(name: str) -> None:
    fields, reason, path = UNFIT[name]
    document = neighbours.policy(neighbours.source(**fields), spec__rules=ANYWAY)
    assert [(why, where) for why, where, _ in refusals(document)] == [(reason, path)]


def test_a_large_site_is_counted_and_not_compared() -> None:
    """Regression: each of ten thousand devices looked for names near to a wrong one."""
    _, others = assigned()
    many = {f"window-{number}": others["window-301"] for number in range(300)}
    made, _ = assigned(neighbours.policy(neighbours.source(deviceRef={"name": "pane-1"})))
    with pytest.raises(policy.PolicyError, match="it has 300 others"):
        policy.compile(made.policies[0], others["room-301"], many)


def test_devices_that_read_alike_share_what_is_made() -> None:
    made, others = assigned(room.device(name="room-302"))
    left, right = (
        policy.compile(made.policies[0], others[name], others) for name in ("room-301", "room-302")
    )
    assert left.inputs is right.inputs
    assert left.identity["device"]["name"] != right.identity["device"]["name"]


@pytest.mark.parametrize(
    "change",
    [{"metadata__uid": "made-anew"}, {"spec__profileRef": {"name": "skylight"}}],
    ids=["made anew", "of another profile"],
)
def test_what_was_made_for_another_neighbour_is_not_shared(change: dict[str, Any]) -> None:
    skylight = neighbours.profile(metadata__name="skylight")
    skylight["spec"]["properties"][1]["maximum"] = 80
    tilt = neighbours.policy(neighbours.source("windowOpen", "tilt"), spec__rules=ANYWAY)
    before = compiled(tilt)
    after = compiled(tilt, skylight, neighbours.window(**change))
    assert before.inputs != after.inputs


def test_a_device_that_its_own_name_makes_a_stranger_is_refused_though_it_is_written_alike() -> (
    None
):
    """The one device that reads itself shares nothing with those that read it."""
    own = neighbours.policy(
        neighbours.source(property="co2", type="Number", deviceRef={"name": "room-302"})
    )
    own["spec"]["rules"] = ANYWAY
    documents = (own, room.device(name="room-302"))
    assert compiled(*documents).others[0].name == "room-302.co2"
    assert [path for _, path, _ in refusals(*documents, name="room-302")] == [
        f"{PATH}.deviceRef.name"
    ]


def checked(*documents: room.Json, **fields: Any) -> tuple[policy.PolicyProblem, ...]:
    """What `check` says of the room's policy."""
    written = {type(each): each for each in engine_rig.resources(neighbours.documents(*documents))}
    spec = written[v1alpha1.DecisionPolicy].spec  # type: ignore[attr-defined]
    room_profile = v1alpha1.DeviceProfile.read(room.profile()).spec
    return policy.check(spec, room_profile, clock=time.thread_time, **fields)


def test_without_a_device_an_input_elsewhere_is_taken_as_it_is_declared() -> None:
    assert checked() == ()
    assert checked(neighbours.policy(neighbours.source(deviceRef={"parameter": "x"}))) == ()


def test_a_check_says_of_other_devices_what_compiling_says() -> None:
    document = neighbours.policy(neighbours.source(property="opened"))
    made, others = assigned(document)
    spec, device = made.policies[0].spec, others["room-301"]
    read = policy.resolve(spec, device.spec, device.name, others)
    problems = policy.check(spec, device.profile, device.spec, clock=time.thread_time, read=read)
    assert [(each.reason.value, each.path, each.message) for each in problems] == refusals(document)


def test_nothing_is_looked_for_where_a_policy_reads_only_its_own_device() -> None:
    made = engine_rig.assign()
    [device] = made.devices
    assert policy.read_elsewhere(made.policies[0].spec, device.spec, device.name, {}) == ()
    assert policy.compile(made.policies[0], device).others == ()


def test_a_lock_of_the_other_device_changes_nothing_that_was_compiled() -> None:
    made, others = assigned()
    _, locked = assigned(neighbours.window(spec__lock="Locked"))
    device = others["room-301"]
    spec = made.policies[0].spec
    before, after = (
        policy.read_elsewhere(spec, device.spec, device.name, known) for known in (others, locked)
    )
    assert before == after
    assert others["window-301"].digest != locked["window-301"].digest
    left, right = (policy.compile(made.policies[0], device, known) for known in (others, locked))
    assert left.inputs is right.inputs


def test_devices_by_site_are_what_policies_of_a_folder_read() -> None:
    written = engine_rig.resources(neighbours.documents())
    devices = [each for each in written if isinstance(each, v1alpha1.Device)]
    profiles = {
        (each.namespace, each.name): each
        for each in written
        if isinstance(each, v1alpha1.DeviceProfile)
    }
    [(site, named)] = narrowing.by_site(devices, profiles).items()
    assert (site, sorted(named)) == (("hq", "hq"), ["room-301", "window-301"])
    assert named["window-301"].uid == "window-301-uid"

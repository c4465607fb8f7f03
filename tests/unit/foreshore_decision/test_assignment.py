"""What one agent is told to do: what is left out, what is narrowed, and that equal input gives
equal bytes."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.resources import (
    device,
    everything,
    placement,
    policy,
    profile,
    site,
)
from foreshore_api import meta, scalars, v1alpha1
from foreshore_api.wire import assignment as wire
from foreshore_decision import assignment, narrowing
from foreshore_decision.assignment import digests


def compiled(*resources: meta.Resource, node: str = "edge-1", **arguments: Any) -> wire.Assignment:
    arguments.setdefault("site", "hq")
    return assignment.compile(assignment.Resources.of(resources), node, **arguments).assignment


def problems(*resources: meta.Resource, **arguments: Any) -> list[str]:
    arguments.setdefault("site", "hq")
    found = assignment.compile(assignment.Resources.of(resources), "edge-1", **arguments).problems
    return [f"{each.kind}/{each.name} {each.reason}: {each.message}" for each in found]


def test_the_smallest_useful_set_gives_one_device_one_policy_and_its_model() -> None:
    document = compiled(*everything())
    assert [each.name for each in document.devices] == ["room-301"]
    assert [(each.name, each.devices) for each in document.policies] == [
        ("ventilate", ("room-301",))
    ]
    assert document.policies[0].model is not None
    assert document.policies[0].model.version == "occupancy-v1"


def test_a_node_of_no_site_only_probes() -> None:
    peers = [
        assignment.Peer("cloud-2", None, "http://10.0.0.2:8081"),
        assignment.Peer("edge-1", "hq", "http://10.0.0.3:8081"),
    ]
    document = compiled(*everything(), node="cloud-1", site=None, peers=peers)
    assert document.site is None
    assert document.devices == ()
    assert [each.node for each in document.probes] == ["cloud-2"]


def test_probes_go_to_the_site_and_to_nodes_of_no_site_never_to_itself_or_another_site() -> None:
    peers = [
        assignment.Peer(node, where, f"http://{node}:8081")
        for node, where in [
            ("edge-2", "hq"),
            ("edge-1", "hq"),
            ("cloud-1", None),
            ("far-1", "plant"),
        ]
    ]
    assert [each.node for each in compiled(*everything(), peers=peers).probes] == [
        "cloud-1",
        "edge-2",
    ]


def test_devices_of_another_site_or_namespace_are_not_ours() -> None:
    others = [device("far", site="plant"), device("twin", namespace="plant")]
    assert [each.name for each in compiled(*everything(*others)).devices] == ["room-301"]


def test_of_two_sites_with_one_name_the_older_is_served() -> None:
    old = site(namespace="old", metadata={"creationTimestamp": "2025-01-01T00:00:00Z"})
    young = site(namespace="hq", metadata={"creationTimestamp": "2026-01-01T00:00:00Z"})
    document = compiled(old, young)
    assert document.site is not None
    assert document.site.namespace == "old"


def test_a_device_is_left_out_where_its_node_selector_does_not_match() -> None:
    reachable = device("bus-1", spec={"reachableFrom": {"nodeSelector": {"fieldbus": "east"}}})
    near = compiled(*everything(reachable), labels={"fieldbus": "east"})
    far = compiled(*everything(reachable), labels={"fieldbus": "west"})
    assert [each.name for each in near.devices] == ["bus-1", "room-301"]
    assert [each.name for each in far.devices] == ["room-301"]
    assert far.policies[0].devices == ("room-301",), "a policy names no device the agent lacks"


def reading(name: str) -> v1alpha1.DecisionPolicy:
    """A policy that also reads a device of this name."""
    own = {"name": "co2", "property": "co2", "maximumAge": "90s"}
    other = {**own, "name": "outside", "deviceRef": {"name": name}}
    return policy("compare", inputs=[own, other])


FAR = {"reachableFrom": {"nodeSelector": {"fieldbus": "east"}}}
UNSELECTED = {"labels": {"zone": "roof"}}


def test_a_device_that_is_read_comes_along_where_it_cannot_be_reached_without_a_right() -> None:
    roof = device("a-roof", spec=FAR, metadata=UNSELECTED)
    given = assignment.LocalStatuses(
        grants={("hq", "a-roof"): ("edge-1", 7), ("hq", "room-301"): ("edge-1", 8)}
    )
    near, far = (
        compiled(*everything(roof, reading("a-roof")), given=given, labels={"fieldbus": side})
        for side in ("east", "west")
    )
    assert [each.name for each in near.devices] == ["a-roof", "room-301"]
    assert [each.name for each in far.devices] == ["a-roof", "room-301"], "in the order of names"
    assert [each.grant is None for each in near.devices] == [False, False]
    assert [each.grant is None for each in far.devices] == [True, False]


def test_a_device_that_is_only_read_is_decided_by_no_policy_there() -> None:
    far = compiled(*everything(device("roof", spec=FAR), reading("roof")))
    assert [each.name for each in far.devices] == ["roof", "room-301"]
    assert [(each.name, each.devices) for each in far.policies] == [
        ("compare", ("room-301",)),
        ("ventilate", ("room-301",)),
    ]


def test_a_parameter_brings_the_device_that_it_names_and_no_other() -> None:
    far = [device(name, spec=FAR, metadata=UNSELECTED) for name in ("roof", "yard")]
    parameters = {"parameters": [{"name": "outside", "value": "yard"}]}
    own = {"name": "co2", "property": "co2", "maximumAge": "90s"}
    other = {**own, "name": "x", "deviceRef": {"parameter": "outside"}}
    read = policy("compare", inputs=[own, other])
    document = compiled(*everything(*far, device("room-302", spec=parameters), read))
    assert [each.name for each in document.devices] == ["room-301", "room-302", "yard"]


def test_what_is_read_at_another_site_does_not_come_along() -> None:
    other = device("roof", site="depot", metadata=UNSELECTED)
    document = compiled(*everything(other, reading("roof")))
    assert [each.name for each in document.devices] == ["room-301"]


def test_a_device_without_its_profile_is_left_out_and_said() -> None:
    orphan = device("orphan", spec={"profileRef": {"name": "gone"}})
    assert [each.name for each in compiled(*everything(orphan)).devices] == ["room-301"]
    assert problems(*everything(orphan)) == [
        "Device/orphan ReferenceNotFound: held back: DeviceProfile gone does not exist in namespace"
        " hq; nothing is in force; create it, or refer to another"
    ]


@pytest.mark.parametrize("name", ["a" * 53, "a" * 64, "a/b", "Room 301\x1b[2J", "a.b", "room\n"])
def test_a_device_whose_name_cannot_be_said_is_left_out_and_named(name: str) -> None:
    assert [each.name for each in compiled(*everything(device(name))).devices] == ["room-301"]
    [told] = problems(*everything(device(name)))
    assert told.startswith(f"Device/{name} Invalid: ")


@pytest.mark.parametrize(
    ("gone", "taken"),
    [("", 0), (v1alpha1.DeviceProfile.kind, 1), (v1alpha1.ModelVersion.kind, 1)],
    ids=["nothing dangles", "a profile is gone", "a version is gone"],
)
def test_what_was_assigned_last_is_looked_at_no_further_than_needed(gone: str, taken: int) -> None:
    before, ahead = compiled(*everything()), []

    def last() -> Iterator[wire.Assignment]:
        for number in range(3):
            ahead.append(number)
            yield before

    left = [resource for resource in everything() if resource.kind != gone]
    document = compiled(*left, last=last())
    assert document.devices == before.devices
    assert document.policies == before.policies
    assert len(ahead) == taken


def test_a_policy_without_its_model_stays_so_that_the_agent_keeps_the_last_good_one() -> None:
    resources = [each for each in everything() if not isinstance(each, v1alpha1.ModelVersion)]
    assert compiled(*resources).policies[0].model is None
    assert problems(*resources) == [
        "DecisionPolicy/ventilate ReferenceNotFound: held back: ModelVersion occupancy-v1 does not"
        " exist in namespace hq; what was in force stays in force; create it, or refer to another"
    ]


def test_a_policy_bound_to_nothing_here_is_not_sent() -> None:
    elsewhere = policy("elsewhere", deviceSelector={"matchLabels": {"zone": "east"}})
    assert [each.name for each in compiled(*everything(elsewhere)).policies] == ["ventilate"]


def test_only_ready_replicas_are_called_active_ones_first_then_by_slot_number() -> None:
    placed = placement(
        ("r10", "Active", "Ready", "10.0.0.10:8080"),
        ("r2", "Active", "Ready", "10.0.0.2:8080"),
        ("r0", "Standby", "Ready", "10.0.0.1:8080"),
        ("r3", "Active", "Starting", "10.0.0.3:8080"),
        ("r4", "Active", "Ready", None),
    )
    endpoints = compiled(*everything(placed)).policies[0].endpoints
    assert [(each.slot, each.url) for each in endpoints] == [
        ("r2", "http://10.0.0.2:8080"),
        ("r10", "http://10.0.0.10:8080"),
        ("r0", "http://10.0.0.1:8080"),
    ]


def test_folder_mode_gives_its_own_endpoints_and_grants() -> None:
    endpoint = wire.Endpoint(
        slot="r0", role=wire.Role.ACTIVE, node="edge-1", url="unix:/tmp/serving.sock"
    )
    here = assignment.LocalStatuses(
        endpoints={("hq", "ventilate"): (endpoint,)}, grants={("hq", "room-301"): ("edge-1", 7)}
    )
    document = compiled(*everything(), given=here)
    assert document.policies[0].endpoints == (endpoint,)
    assert document.devices[0].grant == wire.Grant(
        holder="edge-1", epoch=7, lease_seconds=15.0, offline_seconds=86400.0
    )


def test_the_grant_is_what_the_status_says_with_the_narrowed_times() -> None:
    held = device(
        spec={"authority": {"leaseDuration": "30s", "offlineGrant": "1h"}},
        status={"authority": {"holder": "edge-2", "epoch": 100, "lastIssued": 100}},
    )
    grant = compiled(site(), profile(), held).devices[0].grant
    assert grant == wire.Grant(
        holder="edge-2", epoch=100, lease_seconds=15.0, offline_seconds=3600.0
    )


def test_a_right_that_was_given_back_is_no_grant() -> None:
    free = device(status={"authority": {"epoch": 100, "lastIssued": 100}})
    assert compiled(site(), profile(), free).devices[0].grant is None


@given(st.randoms(use_true_random=False))
def test_the_order_of_resources_changes_no_byte(shuffle: random.Random) -> None:
    resources = everything(device("room-302"), policy("second"), site("other"))
    expected = compiled(*resources)
    shuffle.shuffle(resources)
    assert compiled(*resources).encode() == expected.encode()


def test_the_digest_covers_the_content_and_not_the_count() -> None:
    document = compiled(*everything())
    counted = document.model_copy(update={"lineage": "x", "generation": 9})
    assert assignment.digest_of(counted) == document.digest
    assert compiled(*everything(device("room-302"))).digest != document.digest


def limit(**fields: Any) -> dict[str, Any]:
    return {"action": "setAirflow", "input": "value", **fields}


def test_limits_of_a_device_tighten_and_never_widen() -> None:
    wide = profile(limits=[limit(minimum=100, maximum=600, maximumStep="62.5")])
    one = device(spec={"limits": [limit(minimum=50, maximum=400)]})
    (bound,) = narrowing.narrow(wide.spec, one.spec).limits
    assert (bound.minimum, bound.maximum, bound.maximum_step) == (100, 400, "62.5")


def test_guards_of_a_device_can_only_be_fewer() -> None:
    one = device(spec={"guards": {"epoch": "Ignored", "duplicates": "Checked"}})
    guards = narrowing.narrow(profile(guards={"epoch": "Checked"}).spec, one.spec).guards
    assert (guards.epoch, guards.duplicates) == ("Ignored", "Ignored")


@pytest.mark.parametrize(
    ("of_profile", "of_device", "expected"),
    [
        (None, {"minimumInterval": "60s"}, {"minimumInterval": "60s"}),
        ({"minimumInterval": "60s"}, None, {"minimumInterval": "60s"}),
        ({"minimumInterval": "60s"}, {"minimumInterval": "10s"}, {"minimumInterval": "60s"}),
        (
            {"burst": 6, "per": "1h"},
            {"burst": 10, "per": "2h", "minimumInterval": "5s"},
            {"burst": 6, "per": "2h", "minimumInterval": "5s"},
        ),
    ],
    ids=["the device's alone", "the profile's alone", "the longer distance", "both windows kept"],
)
def test_rate_limits_of_profile_and_device_both_hold(
    of_profile: dict[str, Any] | None, of_device: dict[str, Any] | None, expected: dict[str, Any]
) -> None:
    fields = {"actuatorRateLimit": of_profile} if of_profile else {}
    spec = {"actuatorRateLimit": of_device} if of_device else {}
    narrowed = narrowing.narrow(profile(**fields).spec, device(spec=spec).spec)
    assert narrowed.actuator_rate_limit is not None
    assert narrowed.actuator_rate_limit.document() == expected


bounds = st.none() | st.integers(min_value=-100, max_value=100)


@given(bounds, bounds, bounds, bounds)
def test_whatever_the_device_says_no_value_is_let_through_that_the_profile_refuses(
    low: int | None, high: int | None, device_low: int | None, device_high: int | None
) -> None:
    def limits(minimum: int | None, maximum: int | None) -> list[dict[str, Any]]:
        named = {"minimum": minimum, "maximum": maximum}
        return [limit(**{key: value for key, value in named.items() if value is not None})]

    narrowed = narrowing.narrow(
        profile(limits=limits(low, high)).spec,
        device(spec={"limits": limits(device_low, device_high)}).spec,
    ).limits[0]

    def lets(minimum: scalars.Decimal | None, maximum: scalars.Decimal | None, value: int) -> bool:
        return (minimum is None or scalars.number(minimum) <= value) and (
            maximum is None or value <= scalars.number(maximum)
        )

    for value in range(-101, 102):
        both = lets(low, high, value) and lets(device_low, device_high, value)
        assert lets(narrowed.minimum, narrowed.maximum, value) == both


def test_each_endpoint_says_what_it_serves_and_for_which_generation_of_the_policy() -> None:
    """While a version is exchanged, one replica serves the new and another still the old."""
    placed = placement(
        ("r0", "Active", "Ready", "10.0.0.1:8080"), ("r1", "Standby", "Ready", "10.0.0.2:8080")
    )
    said = [
        {"version": "occupancy-v2", "digest": f"sha256:{'2' * 64}", "policy_generation": 4},
        {"version": "occupancy-v1", "digest": f"sha256:{'1' * 64}", "policy_generation": 3},
    ]
    replicas = tuple(
        one.model_copy(update=what) for one, what in zip(placed.status.replicas, said, strict=True)
    )
    status = placed.status.model_copy(update={"replicas": replicas})
    switching = placed.model_copy(update={"status": status})
    endpoints = compiled(*everything(switching)).policies[0].endpoints
    found = [
        each.model_dump(include={"version", "digest", "policy_generation"}) for each in endpoints
    ]
    assert found == said


def test_an_endpoint_of_which_nobody_says_what_it_serves_claims_nothing() -> None:
    placed = placement(("r0", "Active", "Ready", "10.0.0.1:8080"))
    (endpoint,) = compiled(*everything(placed)).policies[0].endpoints
    assert (endpoint.version, endpoint.digest, endpoint.policy_generation) == ("", "", 0)


def test_a_device_is_worked_out_once_for_all_nodes_until_it_or_its_profile_is_edited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Five nodes of a site worked out its fifty devices five times, for each right that moved."""
    worked_out: list[str] = []
    device_digest = digests.device_digest

    def counted(spec: v1alpha1.DeviceSpec, profile: v1alpha1.DeviceProfileSpec) -> str:
        worked_out.append(spec.profile_ref.name)
        return device_digest(spec, profile)

    monkeypatch.setattr(digests, "device_digest", counted)
    written = everything()
    first = [compiled(*written, node=node) for node in ("edge-1", "edge-2")]
    assert len(worked_out) == len(first[0].devices) == 1
    assert first[0].devices == first[1].devices
    for edited in (
        device(metadata={"labels": {"zone": "west", "floor": "3"}}),
        profile(guards={"fencedBy": "Device"}),
    ):
        worked_out.clear()
        others = [one for one in written if one.kind != edited.kind]
        compiled(*others, edited)
        assert len(worked_out) == 1

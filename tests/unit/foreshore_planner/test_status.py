"""What statuses say beyond conditions: counts, names, the mode in force."""

from typing import Any

import pytest

from builders import planning as build
from foreshore_api import meta, v1alpha1
from foreshore_api.wire import report
from foreshore_planner import plan as planning
from foreshore_planner import snapshot


def status(seen: snapshot.Snapshot, kind: type[meta.Resource]) -> dict[str, Any]:
    """The status that a pass writes for the only object of a kind."""
    (row,) = (row for row in planning.plan(seen).statuses if row.kind == kind.kind)
    return row.status.document()


def version(name: str, *, of: str = "occupancy", **metadata: Any) -> v1alpha1.ModelVersion:
    """A version of a model, by name."""
    document = build.version(modelRef={"name": of}).document()
    return v1alpha1.ModelVersion.read({**document, "metadata": build.metadata(name, **metadata)})


def test_a_models_status_lists_the_versions_that_name_it_by_name() -> None:
    versions = (
        version("occupancy-v2"),
        version("occupancy-v1"),
        version("noise-v1", of="noise"),
        version("occupancy-v3", namespace="elsewhere"),
    )
    said = status(build.world(versions=versions), v1alpha1.Model)
    assert said["versionCount"] == 2
    assert said["versions"] == [
        {"name": "occupancy-v1", "digest": f"sha256:{'0' * 64}"},
        {"name": "occupancy-v2", "digest": f"sha256:{'0' * 64}"},
    ]


def test_a_model_that_cannot_be_asked_says_so_itself_with_its_remedy() -> None:
    """Not only the policies that ask it: whoever declared the model looks there."""
    window = {"name": "window", "dataType": "FP32", "shape": [-1, -1, 3]}
    taking = build.model(inputs=[{**window, "features": ["a", "b", "c"]}])
    said = status(build.world(models=(taking,)), v1alpha1.Model)
    ready, stalled = said["conditions"]
    assert (ready["type"], ready["status"], ready["reason"]) == ("Ready", "False", "Invalid")
    assert (stalled["type"], stalled["message"]) == ("Stalled", ready["message"])
    assert ready["message"].startswith("spec.inputs[window].shape: the shape [-1, -1, 3] leaves")
    assert "declare window {steps, every}" in ready["message"]


def test_a_model_without_versions_counts_none() -> None:
    assert status(build.world(versions=()), v1alpha1.Model)["versionCount"] == 0


def test_of_more_versions_than_fit_the_newest_are_listed_and_all_are_counted() -> None:
    created = [
        f"2026-03-01T09:{minute:02}:{second:02}Z" for minute in (0, 1) for second in range(60)
    ]
    # the newest has the first name
    versions = tuple(
        version(f"v{len(created) - age:03}", creationTimestamp=time)
        for age, time in enumerate(created)
    )
    said = status(build.world(versions=versions), v1alpha1.Model)
    assert said["versionCount"] == 120
    assert [one["name"] for one in said["versions"]] == [f"v{n:03}" for n in range(1, 101)]


ANSWERING = build.profile(
    mqtt={
        "telemetryTopic": "{site}/{device}/telemetry",
        "commandTopic": "{site}/{device}/command",
        "acknowledgementTopic": "{site}/{device}/ack",
    }
)


def mode_in_force(**changes: Any) -> str:
    """The mode that a policy's status says, for a device that checks and answers everything."""
    seen = build.world(**{"profiles": (ANSWERING,), **changes})
    return str(status(seen, v1alpha1.DecisionPolicy)["effectiveMode"])


def full(*names: str) -> list[report.AgentEvidence]:
    """The site's agents, of which the named ones have no room for records."""
    return [
        build.agent(name, capped_by=("RecorderFull",) if name in names else ())
        for name in build.EDGES
    ]


def test_a_policy_works_in_the_mode_asked_for_while_nothing_lowers_it() -> None:
    assert mode_in_force() == "Autonomous"


@pytest.mark.parametrize(
    ("asked", "lowered", "in_force"),
    [
        pytest.param("Autonomous", {}, "Advise", id="to Advise unless the policy says lower"),
        pytest.param("Autonomous", {"onRecorderFull": "Disabled"}, "Disabled", id="as low as told"),
        pytest.param("Advise", {"onRecorderFull": "Shadow"}, "Shadow", id="one that only advises"),
        pytest.param("Shadow", {"onRecorderFull": "Advise"}, "Shadow", id="never up"),
    ],
)
def test_one_agent_without_room_for_records_lowers_the_mode_in_force(
    asked: str, lowered: dict[str, str], in_force: str
) -> None:
    policy = build.policy(mode=asked, degraded=lowered)
    fleet = build.fleet(full("edge-2"))
    assert mode_in_force(policies=(policy,), fleet=fleet) == in_force


def test_an_agent_of_another_site_lowers_nothing() -> None:
    nodes = (*(build.edge(name) for name in build.EDGES[:2]), build.node("edge-3", site="plant"))
    assert mode_in_force(nodes=nodes, fleet=build.fleet(full("edge-3"))) == "Autonomous"


def test_a_device_that_acknowledges_nothing_lowers_the_mode_as_agents_do() -> None:
    assert mode_in_force(profiles=(build.profile(),)) == "Advise"


def test_a_device_that_checks_no_epoch_lowers_the_mode_as_agents_do() -> None:
    unguarded = ANSWERING.spec.document() | {"guards": {"duplicates": "Checked"}}
    assert mode_in_force(profiles=(build.profile(**unguarded),)) == "Advise"


def policy_conditions(*problems: report.Problem) -> dict[str, tuple[str, str, str]]:
    """Status, reason and message of what is said of a policy of which an agent reports these."""
    agents = [build.agent("edge-1"), build.agent("edge-2", problems=problems)]
    said = status(build.world(fleet=build.fleet(agents)), v1alpha1.DecisionPolicy)
    return {
        one["type"]: (one["status"], one["reason"], one["message"]) for one in said["conditions"]
    }


def problem(reason: str, message: str) -> report.Problem:
    return report.Problem(
        kind="DecisionPolicy",
        namespace=build.NAMESPACE,
        name="ventilate",
        generation=1,
        reason=reason,
        message=message,
    )


WAITS = problem("AwaitingReplica", "generation 1 waits for a replica of occupancy-v2")


def test_a_generation_that_waits_for_a_replica_is_on_its_way_and_says_what_for() -> None:
    said = policy_conditions(WAITS)
    expected = ("AwaitingReplica", "edge-2: generation 1 waits for a replica of occupancy-v2")
    assert said["Ready"] == ("False", *expected)
    assert said["Reconciling"] == ("True", *expected)
    assert "Stalled" not in said


def test_a_generation_that_does_not_compile_is_told_before_one_that_waits() -> None:
    said = policy_conditions(WAITS, problem("CompileFailed", "scoer"))
    assert said["Stalled"][1:] == ("CompileFailed", "edge-2: scoer")


def test_a_policy_that_an_agent_has_disarmed_is_stalled_with_its_reason() -> None:
    said = policy_conditions(problem("ExpressionTooSlow", "disarmed"))
    assert said["Stalled"][1:] == ("ExpressionTooSlow", "edge-2: disarmed")


def degraded(**changes: Any) -> tuple[tuple[str, str] | None, str]:
    """What the only policy says of being degraded."""
    made = planning.plan(build.world(**{"profiles": (ANSWERING,), **changes}))
    about = ("DecisionPolicy", "ventilate", "Degraded")
    return build.condition(made, *about), build.message(made, *about)


def test_a_policy_in_the_mode_asked_for_is_not_degraded() -> None:
    assert degraded() == (None, "")


def test_a_full_recorder_is_named_with_its_node_and_the_mode_that_is_left() -> None:
    condition, message = degraded(fleet=build.fleet(full("edge-2", "edge-3")))
    assert condition == ("True", "RecorderFull")
    assert message.startswith("asks for Autonomous, Advise is in force")
    assert "RecorderFull on node edge-2, edge-3" in message


def test_a_full_recorder_that_lowers_nothing_degrades_nothing() -> None:
    shadow = build.policy(mode="Shadow")
    assert degraded(policies=(shadow,), fleet=build.fleet(full("edge-2")))[0] is None


def test_what_a_device_does_not_answer_for_is_named_with_the_device_and_what_to_set() -> None:
    unguarded = ANSWERING.spec.document() | {"guards": {"duplicates": "Checked"}}
    condition, message = degraded(profiles=(build.profile(**unguarded),))
    assert condition == ("True", "ModeCapped")
    assert "GuardsUnchecked of room-301" in message
    assert "DeviceProfile room-climate" in message
    assert "guards" in message


def test_a_device_that_lowers_a_policy_which_moves_nothing_is_not_named() -> None:
    assert degraded(profiles=(build.profile(),), policies=(build.policy(mode="Advise"),)) == (
        None,
        "",
    )


def selects(selector: dict[str, Any], *devices: v1alpha1.Device) -> tuple[Any, str]:
    """What a policy with this selector says of being ready."""
    made = planning.plan(
        build.world(policies=(build.policy(deviceSelector=selector),), devices=devices)
    )
    about = ("DecisionPolicy", "ventilate", "Ready")
    return build.condition(made, *about), build.message(made, *about)


def test_a_selector_that_selects_nothing_says_itself_and_the_labels_that_there_are() -> None:
    condition, message = selects(
        {"matchLabels": {"zone": "wset"}}, build.device(), build.device("room-302")
    )
    assert condition == ("False", "NoDevices")
    assert "zone=wset" in message
    assert "zone=west" in message
    assert "room-301" in message


def test_a_selector_in_a_namespace_without_devices_says_that() -> None:
    condition, message = selects({"matchLabels": {"zone": "west"}})
    assert condition == ("False", "NoDevices")
    assert "there is no Device in namespace hq" in message


def test_a_selector_of_expressions_is_said_as_kubectl_writes_it() -> None:
    wanted = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}
    assert "zone in (a,b)" in selects(wanted, build.device())[1]


def test_a_selector_that_selects_only_what_is_not_accepted_names_it() -> None:
    lost = build.device().document()
    lost["spec"]["site"] = "nowhere"
    condition, message = selects({"matchLabels": {"zone": "west"}}, v1alpha1.Device.read(lost))
    assert condition == ("False", "NoDevices")
    assert "room-301 is not accepted: held back: Site nowhere does not exist in" in message


def test_a_device_whose_profile_was_deleted_says_what_stays_and_what_to_do() -> None:
    said = status(build.world(profiles=()), v1alpha1.Device)
    [ready] = [one for one in said["conditions"] if one["type"] == "Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "ReferenceNotFound")
    assert ready["message"] == (
        "held back: DeviceProfile room-climate does not exist in namespace hq; the last good one,"
        " if there was one, stays in force, and the right to the device does not move; create it,"
        " or refer to another"
    )

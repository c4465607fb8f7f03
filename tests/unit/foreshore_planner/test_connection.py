"""What a Site and its Devices say when somebody is out of reach: who, where, why, what to do."""

import dataclasses
from typing import Any

import pytest

from builders import planning as build
from foreshore_api import conditions, v1alpha1
from foreshore_api.wire import report
from foreshore_planner import plan as planner
from foreshore_planner import snapshot

HELD = {"holder": "edge-1", "epoch": 1772355600, "lastIssued": 1772355600}


def site_says(seen: snapshot.Snapshot, type_: str) -> tuple[tuple[str, str] | None, str]:
    made = planner.plan(seen)
    return build.condition(made, "Site", "hq", type_), build.message(made, "Site", "hq", type_)


def device_says(seen: snapshot.Snapshot, type_: str) -> tuple[tuple[str, str] | None, str]:
    made = planner.plan(seen)
    found = build.condition(made, "Device", "room-301", type_)
    return found, build.message(made, "Device", "room-301", type_)


def agents(*names: str, **facts: Any) -> report.Fleet:
    return build.fleet([build.agent(name, probes=build.FAST, **facts) for name in names])


def siteless(**labels: str) -> snapshot.Snapshot:
    nodes = (build.node("edge-7", labels=labels), build.node("cloud-1"))
    return build.world(nodes=nodes, fleet=agents("edge-7"))


def test_a_site_without_nodes_says_which_label_makes_one() -> None:
    condition, message = site_says(siteless(), "Connected")
    assert condition == ("False", "NoNodes")
    assert "kubectl label node NODE foreshore.dev/site=hq foreshore.dev/tier=Edge" in message


@pytest.mark.parametrize(
    "label",
    [
        pytest.param("node-restriction.kubernetes.io/site=hq", id="restricted to the kubelet"),
        pytest.param("site=HQ", id="of another case"),
        pytest.param("topology.kubernetes.io/zone=hq", id="as a zone"),
        pytest.param("example.com/site=headquarters", id="a site of another name"),
        pytest.param("foreshore.dev/site=hk", id="the right key and a name that no Site has"),
    ],
)
def test_a_site_without_nodes_names_nodes_that_carry_a_label_like_its_own(label: str) -> None:
    key, _, value = label.partition("=")
    nodes = (
        build.node("edge-7", labels={key: value}, site=value if "foreshore" in key else None),
        build.node("cloud-1", labels={"kubernetes.io/hostname": "cloud-1"}),
    )
    _, message = site_says(build.world(nodes=nodes, fleet=agents("edge-7")), "Connected")
    assert f"edge-7 carries {label}" in message
    assert "cloud-1" not in message


def test_a_node_of_another_site_is_not_like_this_one() -> None:
    other = build.node("edge-7", site="plant", labels={"foreshore.dev/site": "plant"})
    plant = build.site().model_copy(
        update={"metadata": build.site().metadata.model_copy(update={"name": "plant"})}
    )
    seen = build.world(nodes=(other,), fleet=agents(), sites=(build.site(), plant))
    assert "edge-7" not in site_says(seen, "Connected")[1]


def test_a_hub_out_of_reach_says_where_it_runs_and_what_still_works() -> None:
    hub = snapshot.ProductPod(
        component=snapshot.HUB,
        namespace="foreshore-system",
        name="foreshore-hub-5d",
        node="control-1",
        reason="CrashLoopBackOff",
    )
    condition, message = site_says(build.world(fleet=None, parts=(hub,)), "Connected")
    assert condition == ("Unknown", "HubUnreachable")
    assert "node control-1 (pod foreshore-system/foreshore-hub-5d: CrashLoopBackOff)" in message
    assert "sites decide" in message
    assert "nothing new reaches agents" in message


def test_a_site_whose_reportingare_silent_says_what_their_pods_say() -> None:
    parts = (build.agent_pod("edge-1", reason="ImagePullBackOff"),)
    condition, message = site_says(build.world(fleet=agents(), parts=parts), "Connected")
    assert condition == ("False", "AgentMissing")
    assert "edge-1 (pod foreshore-agents/foreshore-agent-x7k2p: ImagePullBackOff): mend" in message
    assert "edge-2 (no agent's pod there" in message
    assert "chart foreshore-agent" in message


def test_one_silent_agent_of_a_site_that_is_connected_is_said_too() -> None:
    seen = build.world(fleet=agents("edge-1", "edge-2"), parts=(build.agent_pod("edge-3"),))
    assert site_says(seen, "Connected")[0] == ("True", "AgentConnected")
    condition, message = site_says(seen, "Degraded")
    assert condition == ("True", "AgentMissing")
    assert (
        "never reported to this hub: edge-3 (pod foreshore-agents/foreshore-agent-x7k2p)" in message
    )
    assert "edge-1" not in message


def test_an_agent_that_has_reported_is_silent_and_one_that_never_did_is_missing() -> None:
    old = build.agent("edge-2", age=600.0)
    fleet = build.fleet([build.agent("edge-1"), old])
    parts = (build.agent_pod("edge-3", reason="CrashLoopBackOff"),)
    condition, message = site_says(build.world(fleet=fleet, parts=parts), "Degraded")
    assert condition == ("True", "AgentSilent")
    assert message.startswith("silent: edge-2 (no agent's pod there")
    pod = "foreshore-agents/foreshore-agent-x7k2p: CrashLoopBackOff"
    log = "kubectl logs --previous -n foreshore-agents foreshore-agent-x7k2p"
    assert f"never reported to this hub: edge-3 (pod {pod}): {log}" in message


def test_a_hub_that_has_just_started_says_of_no_agent_that_it_never_reported() -> None:
    young = build.fleet([build.agent("edge-1")], uptime=3.0)
    assert site_says(build.world(fleet=young), "Degraded") == (None, "")


def test_a_site_that_is_well_is_not_degraded() -> None:
    assert site_says(build.world(), "Degraded") == (None, "")


def test_a_broker_that_refuses_an_agent_is_said_with_the_reportingown_reason() -> None:
    refused = build.agent(
        "edge-2",
        broker_connected=False,
        broker_problem="172.18.0.9:8883: the broker refuses us: Not authorized",
    )
    seen = build.world(fleet=build.fleet([build.agent("edge-1"), refused, build.agent("edge-3")]))
    condition, message = site_says(seen, "Degraded")
    assert condition == ("True", "BrokerUnreachable")
    assert "edge-2: 172.18.0.9:8883: the broker refuses us: Not authorized" in message
    assert "hq-broker" in message
    assert "edge-1" not in message


def refusing(code: str | None, *cut: str) -> snapshot.Snapshot:
    """A site of which some agents are refused by the broker, with its code."""
    lost: dict[str, Any] = {
        "broker_connected": False,
        "broker_problem": "the broker refuses us: no",
        "broker_reason": code,
    }
    return build.world(
        fleet=build.fleet(
            [
                build.agent(name, **lost) if name in cut else build.agent(name)
                for name in build.EDGES
            ]
        )
    )


@pytest.mark.parametrize("code", ["NotAuthorized", "BadUserNameOrPassword", "Banned"])
def test_a_site_whose_broker_lets_no_agent_in_is_not_ready_for_the_brokers_own_reason(
    code: str,
) -> None:
    seen = refusing(code, *build.EDGES)
    condition, message = site_says(seen, "Ready")
    assert condition == ("False", code)
    assert "the agents show the credential hq-broker" in message
    assert "edge-1: the broker refuses us: no" in message
    assert conditions.Reason(code).remedy in message
    assert site_says(seen, "Degraded") == (("True", code), message), "one cause, one line"
    assert device_says(seen, "Connected")[0] == ("False", code)
    assert site_says(seen, "Stalled")[0] is None, "the broker may be what is mended"


def test_a_broker_that_lets_some_agents_in_leaves_the_site_ready() -> None:
    seen = refusing("NotAuthorized", "edge-2")
    assert site_says(seen, "Ready")[0] == ("True", "Accepted")
    assert site_says(seen, "Degraded")[0] == ("True", "NotAuthorized")


@pytest.mark.parametrize("code", [None, "ServerBusy", "ACodeOfTheFuture"])
def test_a_broker_that_is_away_or_busy_leaves_the_site_ready(code: str | None) -> None:
    seen = refusing(code, *build.EDGES)
    assert site_says(seen, "Ready")[0] == ("True", "Accepted")
    assert site_says(seen, "Degraded")[0] == ("True", "BrokerUnreachable")


def test_a_time_zone_that_there_is_not_degrades_the_site_and_stops_nothing() -> None:
    site = build.site().document()
    site["spec"]["timeZone"] = "Europe/Bruxelles"
    seen = build.world(sites=(v1alpha1.Site.read(site),))
    condition, message = site_says(seen, "Degraded")
    assert condition == ("True", "Invalid")
    assert message.startswith("spec.timeZone: there is no time zone Europe/Bruxelles")
    assert site_says(seen, "Ready")[0] == ("True", "Accepted")


def test_a_broken_journal_is_said_with_the_place_and_what_to_do() -> None:
    journal = report.JournalReport(
        journal="j", last=9, acknowledged=3, broken_at=4, broken_reason="Truncated"
    )
    reporting = [
        build.agent("edge-1"),
        build.agent("edge-2", journal=journal),
        build.agent("edge-3"),
    ]
    condition, message = site_says(build.world(fleet=build.fleet(reporting)), "Degraded")
    assert condition == ("True", "JournalBroken")
    assert "edge-2 at record 4 (Truncated)" in message
    assert "foreshore-agent verify" in message


@pytest.mark.parametrize("reason", ["Overloaded", "DiskBehind"])
def test_an_agent_that_cannot_take_all_that_is_measured_is_named_with_its_numbers(
    reason: str,
) -> None:
    message = "of 900 messages of devices in 60 s, 600 were passed over unread; a faster node"
    problem = report.Problem(
        kind="Node", namespace="", name="edge-2", reason=reason, message=message
    )
    reporting = [
        build.agent("edge-1"),
        build.agent("edge-2", problems=(problem,)),
        build.agent("edge-3"),
    ]
    condition, told = site_says(build.world(fleet=build.fleet(reporting)), "Degraded")
    assert condition == ("True", "Overloaded")
    assert f"edge-2: {message}" in told


def test_a_journal_that_is_whole_degrades_nothing() -> None:
    journal = report.JournalReport(journal="j", last=9, acknowledged=3)
    fleet = agents("edge-1", "edge-2", "edge-3", journal=journal)
    assert site_says(build.world(fleet=fleet), "Degraded")[0] is None


def test_an_agent_that_has_just_started_has_no_broker_problem_yet() -> None:
    fresh = build.agent("edge-2", broker_connected=False, uptime_seconds=1.0)
    seen = build.world(fleet=build.fleet([build.agent("edge-1"), fresh, build.agent("edge-3")]))
    assert site_says(seen, "Degraded")[0] is None


def test_a_device_that_nobody_can_hold_for_want_of_the_broker_says_so() -> None:
    fleet = agents(*build.EDGES, broker_connected=False, broker_problem="refused: Not authorized")
    condition, message = device_says(build.world(fleet=fleet), "Connected")
    assert condition == ("False", "BrokerUnreachable")
    assert "refused: Not authorized" in message


def test_the_holders_broker_problem_is_the_devices() -> None:
    holder = build.agent("edge-1", broker_connected=False, broker_problem="no route to host")
    seen = build.world(
        devices=(build.device(authority=HELD),),
        fleet=build.fleet([holder, build.agent("edge-2"), build.agent("edge-3")]),
    )
    condition, message = device_says(seen, "Connected")
    assert condition == ("False", "BrokerUnreachable")
    assert "edge-1: no route to host" in message


def silent_holder(**changes: Any) -> snapshot.Snapshot:
    """The holder does not report, and its peers still hear its beats: nobody takes over."""
    return build.world(
        devices=(build.device(authority=HELD),),
        fleet=agents("edge-2", "edge-3", hears=["edge-1"]),
        parts=(build.agent_pod("edge-1", reason="CrashLoopBackOff"),),
        **changes,
    )


def test_a_device_whose_holder_is_silent_is_not_ready_and_names_the_agent() -> None:
    condition, message = device_says(silent_holder(), "Ready")
    assert condition == ("False", "AgentSilent")
    assert "node edge-1 (pod foreshore-agents/foreshore-agent-x7k2p: CrashLoopBackOff)" in message
    assert "room-301" not in message


def test_a_hub_that_has_just_started_makes_no_holder_silent() -> None:
    seen = silent_holder()
    assert seen.fleet is not None
    restarted = seen.fleet.model_copy(update={"uptime_seconds": 3.0, "agents": ()})
    young = dataclasses.replace(seen, fleet=restarted)
    assert device_says(young, "Ready")[0] == ("True", "Delivered")
    assert site_says(young, "Connected")[0] == ("Unknown", "HubUnreachable")


def test_a_hub_out_of_reach_makes_no_holder_silent() -> None:
    unseen = dataclasses.replace(silent_holder(), fleet=None)
    assert device_says(unseen, "Ready")[0] == ("True", "Delivered")
    assert device_says(unseen, "Connected")[0] == ("Unknown", "HubUnreachable")


def test_a_device_that_nobody_holds_yet_is_not_said_to_be_silent() -> None:
    condition, message = device_says(build.world(), "Connected")
    assert condition == ("Unknown", "AuthorityMoving")
    assert message == "no agent holds it yet"


def test_messages_fit_however_many_nodes_are_silent() -> None:
    nodes = tuple(build.edge(f"edge-{number:03}-{'x' * 50}") for number in range(300))
    _, message = site_says(build.world(nodes=nodes, fleet=agents()), "Connected")
    assert len(message) <= 1024
    assert "and 297 more" in message


def refuses(site: str = "hq", namespace: str = "hq") -> report.Problem:
    """What an agent says of its broker."""
    return report.Problem(
        kind="Site",
        namespace=namespace,
        name=site,
        reason="BrokerRefuses",
        message="the broker does not let us publish on hq/room-301/command (Not authorized)",
    )


def test_a_site_whose_broker_denies_its_reportingsomething_says_what_and_to_whom() -> None:
    """A device is else said to be silent, and looked for where nothing is wrong."""
    agents = [build.agent(name, problems=(refuses(),)) for name in ("edge-1", "edge-2")]
    seen = build.world(fleet=build.fleet([*agents, build.agent("edge-3")]))
    condition, message = site_says(seen, "Degraded")
    assert condition == ("True", "BrokerRefuses")
    assert "edge-1: the broker does not let us publish on hq/room-301/command" in message
    assert message.endswith("; write its access list again (foreshore-agent broker-acl)")
    assert "edge-2: as edge-1" in message


@pytest.mark.parametrize(
    "problem",
    [
        pytest.param(refuses(site="plant"), id="another site"),
        pytest.param(refuses(namespace="lab"), id="a site of another namespace"),
        pytest.param(refuses().model_copy(update={"reason": "Else"}), id="another reason"),
    ],
)
def test_what_reportingsay_of_something_else_does_not_degrade_a_site(
    problem: report.Problem,
) -> None:
    everyone = (build.agent(name, problems=(problem,)) for name in build.EDGES)
    assert site_says(build.world(fleet=build.fleet(tuple(everyone))), "Degraded")[0] is None


def test_a_silent_device_whose_topic_the_broker_denies_says_that_it_does() -> None:
    holder = build.agent("edge-1", problems=(refuses(),))
    seen = build.world(
        devices=(build.device(authority=HELD),),
        fleet=build.fleet([holder, build.agent("edge-2"), build.agent("edge-3")]),
    )
    condition, message = device_says(seen, "Connected")
    assert condition == ("False", "BrokerRefuses")
    assert "edge-1 says: the broker does not let us publish on hq/room-301/command" in message


@pytest.mark.parametrize(
    ("offline", "reason", "words"),
    [
        pytest.param(
            True, "DeviceOffline", "availability says that it is offline", id="it said so"
        ),
        pytest.param(None, "DeviceSilent", "not heard the device for a while", id="nobody said so"),
    ],
)
def test_a_device_that_said_it_is_gone_is_offline_and_no_silent_one(
    offline: bool | None, reason: str, words: str
) -> None:
    line = report.HeldDevice(
        namespace=build.NAMESPACE, device="room-301", connected=False, offline=offline
    )
    seen = build.world(
        devices=(build.device(authority=HELD),), fleet=agents("edge-1", devices=(line,))
    )
    condition, message = device_says(seen, "Connected")
    assert condition == ("False", reason)
    assert words in message

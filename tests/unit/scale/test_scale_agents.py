"""A played agent says what a real one would: the hub must not be able to tell."""

import ssl
import time
from typing import Any

from foreshore_api.wire import report
from scale import agents

ASSIGNED: dict[str, Any] = {
    "lineage": "store",
    "generation": 3,
    "digest": "sha256:" + "a" * 64,
    "node": "n1",
    "devices": [
        {
            "namespace": "fleet",
            "name": name,
            "grant": {"holder": holder, "epoch": 7, "leaseSeconds": 15.0, "offlineSeconds": 0.0},
        }
        for name, holder in (("d1", "n1"), ("d2", "n2"))
    ]
    + [{"namespace": "fleet", "name": "d3"}],
    "policies": [
        {
            "namespace": "fleet",
            "name": "ventilate",
            "devices": ["d1", "d2", "d3"],
            "endpoints": [{"slot": "r0", "node": "n2", "url": "http://10.0.0.1:8080"}],
        }
    ],
    "probes": [{"node": "n2", "url": "http://10.0.0.2:8081"}],
}


def agent(node: str = "n1") -> agents.PlayedAgent:
    site = agents.PlayedSite(nodes=["n1", "n2"])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made = agents.PlayedAgent(node, "token", site, "https://hub", tls, agents.CallTally())
    made.started = time.monotonic()
    return made


def said(of: agents.PlayedAgent) -> report.Report:
    return report.Report.decode(of._said())


def test_an_agent_without_an_assignment_reports_too() -> None:
    assert said(agent()).assignment is None


def test_an_agent_holds_what_is_granted_to_it_and_nothing_else() -> None:
    holder = agent()
    holder._take(ASSIGNED)
    assert holder.held == {("fleet", "d1"): 7}
    facts = said(holder)
    assert [(line.device, line.epoch) for line in facts.devices] == [
        ("d1", 7),
        ("d2", None),
        ("d3", None),
    ]
    assert facts.assignment is not None
    assert facts.assignment.generation == 3


def test_a_holder_reports_the_stages_and_endpoints_of_its_policies() -> None:
    holder = agent()
    holder._take(ASSIGNED)
    facts = said(holder)
    assert {line.policy for line in facts.endpoints} == {"ventilate"}
    network = [line for line in facts.stages if line.stage == "Network"]
    assert [line.node for line in network] == ["n2"]
    assert all(line.histogram.count >= 20 for line in facts.stages)
    assert [line.node for line in facts.probes] == ["n2"]


def test_who_holds_nothing_reports_no_stages() -> None:
    other = agent("n3")
    other._take(ASSIGNED)
    assert said(other).stages == ()


def test_a_report_that_is_sent_again_has_a_time_of_its_own() -> None:
    holder = agent()
    holder._take(ASSIGNED)
    first, second = said(holder), said(holder)
    assert second.sent_at > first.sent_at
    assert second.uptime_seconds > first.uptime_seconds
    assert second.listening_seconds == second.uptime_seconds
    assert second.stages == first.stages


def test_a_renewal_makes_the_standing_renewed() -> None:
    holder = agent()
    holder._take(ASSIGNED)
    line = {"namespace": "fleet", "device": "d1", "epoch": 7, "standing": "Renewed"}
    holder._note({"devices": [line]})
    assert said(holder).devices[0].standing == "Renewed"


def test_a_silent_peer_is_heard_no_more() -> None:
    holder = agent()
    assert said(holder).peers[0].age_seconds < 6
    holder.site.silent["n2"] = time.monotonic() - 10
    holder.made_at = 0.0
    assert said(holder).peers[0].age_seconds > 6

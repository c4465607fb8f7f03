"""Whether operator, hub and agents work, as far as the API server lets a person see it."""

import datetime
from typing import Any

import pytest

from builders import recorded
from foreshore_cli import errors, fleet, product, status, terminal

FORBIDDEN = errors.ForbiddenError("leases is forbidden")
AWAY = errors.UnreachableError("the hub, which keeps decisions, is away: status 503")
PODS = "/api/v1/namespaces/foreshore-system/pods"


def clocks() -> product.Clocks:
    """Clocks with which waiting takes no time."""
    return product.Clocks(sleep=lambda _: None)


def server(**found: Any) -> recorded.Server:
    return recorded.Server("hq", recorded.documents("well"), {**found})


def leases(*answers: Any) -> recorded.Server:
    """A server that answers for the operator's Lease, one answer a look."""
    return server(**{recorded.LEASES: [*answers]})


def listed(*items: Any) -> dict[str, Any]:
    return {"items": [*items]}


def test_an_operator_that_renews_its_lease_leads() -> None:
    found = product.operator(leases(listed(recorded.lease(age=2.0))), clocks())
    assert found.is_well


def test_a_dead_operator_is_said_with_the_time_since_when_nothing_is_new() -> None:
    old = recorded.lease(age=300.0)
    found = product.operator(leases(listed(old)), clocks())
    assert (found.state, found.reason) == ("NotReady", "OperatorSilent")
    assert old["spec"]["renewTime"] in found.message
    assert "kubectl get pods -A -o wide -l app.kubernetes.io/name=foreshore-operator" in (
        found.message
    )


def test_a_dead_operator_is_named_with_its_pod_and_node_where_one_may_see_them() -> None:
    pod = {
        "metadata": {"namespace": "foreshore-system", "name": "foreshore-operator-5d"},
        "spec": {"nodeName": "control-1"},
        "status": {"containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]},
    }
    seen = server(**{recorded.LEASES: listed(recorded.lease(age=300.0)), PODS: listed(pod)})
    message = product.operator(seen, clocks()).message
    assert "pod foreshore-system/foreshore-operator-5d on control-1: CrashLoopBackOff" in message


@pytest.mark.parametrize(
    "age", [pytest.param(900.0, id="behind"), pytest.param(-900.0, id="ahead")]
)
def test_a_wrong_clock_makes_no_operator_dead(age: float) -> None:
    first, second = recorded.lease(age=age), recorded.lease(age=age - 1.0)
    assert product.operator(leases(listed(first), listed(second)), clocks()).is_well


def test_a_lease_of_the_future_that_stands_still_is_a_dead_operators() -> None:
    found = product.operator(leases(listed(recorded.lease(age=-900.0))), clocks())
    assert found.reason == "OperatorSilent"


def test_a_lease_that_was_given_back_is_led_by_nobody() -> None:
    found = product.operator(leases(listed(recorded.lease(age=1.0, holder=""))), clocks())
    assert found.reason == "OperatorSilent"


def test_without_a_lease_no_operator_ever_led() -> None:
    found = product.operator(leases(listed()), clocks())
    assert (found.state, found.reason) == ("NotReady", "NotRunning")


def test_who_may_not_look_at_all_leases_may_look_at_the_operators() -> None:
    seen = server(**{recorded.LEASES: FORBIDDEN, recorded.LEASE: recorded.lease()})
    assert product.operator(seen, clocks()).is_well


@pytest.mark.parametrize(
    "answer",
    [FORBIDDEN, errors.NoSuchObjectError("leases not found")],
    ids=["forbidden", "elsewhere"],
)
def test_what_may_not_be_seen_is_unknown_and_never_well(answer: Exception) -> None:
    seen = server(**{recorded.LEASES: FORBIDDEN, recorded.LEASE: answer})
    found = product.operator(seen, clocks())
    assert (found.state, found.reason) == ("Unknown", "Forbidden")
    assert "foreshore-status" in found.message


def test_an_api_server_that_fails_at_it_leaves_the_operator_unknown() -> None:
    found = product.operator(leases(errors.UnreachableError("it answered 500")), clocks())
    assert (found.state, found.reason) == ("Unknown", "NotSeen")
    assert "it answered 500" in found.message


@pytest.mark.parametrize("written", ["yesterday", "", "2026-03-01T10:00:00"])
def test_a_lease_that_cannot_be_read_is_no_traceback(written: str) -> None:
    odd = recorded.lease()
    odd["spec"]["renewTime"] = written
    assert not product.operator(leases(listed(odd)), clocks()).is_well


def test_a_hub_that_is_away_is_said_with_what_still_works() -> None:
    pod = {
        "metadata": {"namespace": "foreshore-system", "name": "foreshore-hub-7f"},
        "spec": {"nodeName": "control-1"},
        "status": {"phase": "Pending"},
    }
    found = product.hub(server(**{recorded.HUB: AWAY, "/api/v1/pods": listed(pod)}))
    assert (found.state, found.reason) == ("NotReady", "HubUnreachable")
    assert "pod foreshore-system/foreshore-hub-7f on control-1: Pending" in found.message
    assert "sites decide" in found.message
    assert "app.kubernetes.io/name=foreshore-hub" in found.message


def test_a_cluster_without_the_hub_says_that_it_is_not_installed() -> None:
    found = product.hub(server(**{recorded.HUB: errors.NoSuchObjectError("no")}))
    assert (found.state, found.reason) == ("NotReady", "NotInstalled")


def daemon_set(wanted: int, ready: int) -> Any:
    return {
        "metadata": {"namespace": "foreshore-agents", "name": "foreshore-agent"},
        "status": {"desiredNumberScheduled": wanted, "numberReady": ready},
    }


def agents(one: Any) -> product.ProductPart:
    (found,) = product.agents(server(**{recorded.DAEMON_SETS: listed(one)}))
    return found


def test_a_daemon_set_that_finds_no_node_says_which_label_it_looks_for() -> None:
    found = agents(daemon_set(0, 0))
    assert (found.state, found.reason) == ("NotReady", "NotScheduled")
    assert "kubectl label node NODE foreshore.dev/site=SITE" in found.message


def test_agents_that_are_not_ready_are_counted() -> None:
    found = agents(daemon_set(3, 1))
    assert (found.state, found.reason) == ("NotReady", "NotReady")
    assert "2 of 3 pods of DaemonSet foreshore-agents/foreshore-agent" in found.message


def test_agents_that_all_run_are_well() -> None:
    assert agents(daemon_set(3, 3)).is_well


def test_who_may_not_see_daemon_sets_has_the_sites_word_for_it() -> None:
    assert list(product.agents(server())) == []


def troubled() -> fleet.StatusReport:
    return status.look(server(**{recorded.HUB: AWAY}))


def test_a_fleet_whose_hub_is_away_is_not_well_and_not_called_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = troubled()
    terminal.show(*status.screen(found, is_wide=False, on="hq"))
    screen = capsys.readouterr().out
    assert not found.is_well
    assert "Foreshore itself" in screen
    assert "all 7 objects are Ready" not in screen
    assert screen.splitlines()[-1] == "✗ the hub: HubUnreachable"


def test_a_document_holds_the_same_findings() -> None:
    written = status.written(troubled())
    assert written["state"] == "NotReady"
    operator, hub = written["product"]
    assert (operator["name"], operator["state"]) == ("operator", "Ready")
    assert (hub["name"], hub["state"], hub["reason"]) == ("hub", "NotReady", "HubUnreachable")


def test_the_clock_of_the_command_is_the_worlds() -> None:
    assert product.Clocks().now().tzinfo is datetime.UTC

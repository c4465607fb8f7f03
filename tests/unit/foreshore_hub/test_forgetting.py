"""What was seen and went away is forgotten: no map of the hub grows with what there ever was."""

from collections.abc import Mapping, Sized
from typing import Any, cast

import pytest

from builders import resources
from foreshore_api import meta
from foreshore_api.wire import report
from foreshore_hub import assigning, authn, changes, fleet, guard, renewals, store, world
from foreshore_kube import informer

DAY = 86400.0


def entries(*owners: object) -> dict[str, int]:
    """How much each map, set or queue of these holds, by the class and name of the attribute."""
    return {
        f"{type(owner).__name__}.{name}": len(value)
        for owner in owners
        for name, value in vars(owner).items()
        if isinstance(value, Sized) and not isinstance(value, str | bytes | tuple)
    }


def facts(node: str, device: str) -> report.Report:
    line = {"namespace": "hq", "device": device, "connected": False, "epoch": 5, "gaveBack": True}
    return report.Report.model_validate(
        {
            "node": node,
            "bootId": "b",
            "agentVersion": "0",
            "sentAt": "2026-03-01T10:00:00Z",
            "uptimeSeconds": 1,
            "devices": [line],
        }
    )


class Kept:
    """A store that keeps nothing, but for how far it counted."""

    lineage = "l"

    async def assignments(self) -> Mapping[str, Any]:
        return {}

    async def assign(self, _: Any) -> None:
        return None

    async def generation(self, _: str) -> int:
        return 41


def mirrors(
    *found: meta.Resource,
) -> dict[type[meta.Resource], dict[informer.ObjectKey, meta.Resource]]:
    kept: dict[type[meta.Resource], dict[informer.ObjectKey, meta.Resource]] = {
        kind: {} for kind in world.KINDS
    }
    for each in found:
        kept[type(each)][informer.ObjectKey(each.namespace, each.name)] = each
    return kept


async def test_a_year_of_nodes_and_devices_that_come_and_go_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(changes, "GONE", 2)
    nodes: dict[informer.ObjectKey, world.LabelledNode] = {}
    seen = world.World(nodes, mirrors(), {}, "foreshore-agent")
    seen.is_synced = True
    evidence = fleet.FleetEvidence("l", 0.0, {})
    assigned = assigning.Assigning(cast(store.RecordStore, Kept()), seen)
    limiter = guard.Limiter(guard.Rate(50.0, 200.0), lambda: now)
    now = 0.0
    for day in range(365):
        now = day * DAY
        node, device = f"edge-{day}", f"room-{day}"
        nodes[informer.ObjectKey("", node)] = world.LabelledNode(node)
        limiter.take(node)
        await assigned.wait(node, None, 0.0)
        await assigned._refresh(node)
        evidence.note_report(facts(node, device), now)
        evidence.note_renewals({("hq", device): renewals.RenewedHolder(5, node, 15.0, at=now)})
        nodes.pop(informer.ObjectKey("", node))
        assigned.forget(now)
        evidence.forget(now, seen.has_device)
    assigned._take()
    most = entries(evidence, assigned, limiter)
    assert most.keys() >= {
        "FleetEvidence._agents", "FleetEvidence._given_back", "FleetEvidence._renewed",
        "Assigning._current", "Assigning._wanted", "Assigning._changed", "Assigning._absent",
        "Limiter._buckets",
    }  # fmt: skip
    changed = most.pop("FleetEvidence.log")
    assert max(most.values()) <= 8, most
    assert changed <= 60, "what is gone is remembered for readers, up to a bound"


async def test_a_node_that_comes_back_goes_on_counting_where_the_store_stopped() -> None:
    nodes = {
        informer.ObjectKey("", "edge-1"): world.LabelledNode("edge-1", {meta.LABEL_SITE: "hq"})
    }
    seen = world.World(nodes, mirrors(*resources.everything()), {}, "foreshore-agent")
    seen.is_synced = True
    assigned = assigning.Assigning(cast(store.RecordStore, Kept()), seen)
    await assigned._refresh("edge-1")
    found = assigned.current("edge-1")
    assert found is not None
    assert found.generation == 42


def test_nothing_is_forgotten_while_the_api_server_was_not_seen() -> None:
    seen = world.World({}, mirrors(), {}, "foreshore-agent")
    evidence = fleet.FleetEvidence(
        "l", 0.0, {("hq", "room-1"): renewals.RenewedHolder(5, "edge-1", 15.0)}
    )
    assert evidence.forget(365 * DAY, seen.has_device) == frozenset()
    seen.is_synced = True
    assert evidence.forget(365 * DAY, seen.has_device) == {("hq", "room-1")}


def test_a_device_that_is_there_is_never_forgotten() -> None:
    seen = world.World({}, mirrors(resources.device()), {}, "foreshore-agent")
    seen.is_synced = True
    last = renewals.RenewedHolder(5, "edge-1", 15.0)
    evidence = fleet.FleetEvidence("l", 0.0, {("hq", "room-301"): last})
    evidence.forget(365 * DAY, seen.has_device)
    assert evidence.last_renewal(("hq", "room-301")) == last


async def test_tokens_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reviews:
        async def review(self, token: str) -> dict[str, Any]:
            is_known = token.startswith("known")
            user = {"username": token[:9]}
            return {"authenticated": is_known, "audiences": [authn.AUDIENCE], "user": user}

    monkeypatch.setattr(authn, "MAXIMUM_KEPT", 50)
    monkeypatch.setattr(authn, "MAXIMUM_REFUSED", 50)
    monkeypatch.setattr(authn, "expiry", lambda _: 1e12)
    authenticator = authn.Authenticator(Reviews())
    for number in range(500):
        await authenticator.identify(f"known-{number}")
        await authenticator.identify(f"stranger-{number}")
    assert max(entries(authenticator).values()) <= 50

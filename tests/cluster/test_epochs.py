"""The chart's policies against leaders whose term is over: what they refuse, and what they let be.

On a real API server, as the operator's own account with the rights of the chart.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from builders import patience, room
from foreshore_api import meta, v1alpha1
from foreshore_kube import api, apply, config, elector, kinds
from foreshore_operator import manifests, protecting
from harness import apiserver as plain
from harness import charts, process

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
LEASE = "foreshore-operator"
NOW = 1_800_000_000
"""The epoch of who leads."""
CENTURY = 100 * 365 * 86_400
SITES, DEVICES = kinds.of(v1alpha1.Site), kinds.of(v1alpha1.Device)
PLACEMENTS = kinds.of(v1alpha1.InferencePlacement)
POLICIES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


@dataclass
class Term:
    """A leader that believes that it may write: whoever was paused does until it looks."""

    epoch: int = NOW

    def may_write(self) -> bool:
        return True


@dataclass
class Fenced:
    """A namespace with the chart's rights and policies, seen as the operator and as a person."""

    server: plain.ApiServer
    namespace: str
    operator: api.KubeApi
    person: api.KubeApi
    refusals: list[str] = field(default_factory=list)

    def writer(self, epoch: int = NOW) -> apply.Writer:
        """The operator's writer in a term."""
        return apply.Writer(
            self.operator,
            Term(epoch),
            on_outcome=lambda _kind, _outcome, message: self.refusals.append(message),
        )

    async def lead(self, epoch: int | str | None) -> None:
        """Let the Lease say an epoch; None: let there be no Lease."""
        path = kinds.LEASES.path(self.namespace, LEASE)
        if epoch is None:
            await self.person.write("DELETE", path, {})
            return
        annotations = {meta.ANNOTATION_EPOCH: str(epoch)}
        metadata = {"namespace": self.namespace, "name": LEASE, "annotations": annotations}
        lease = {"metadata": metadata, "spec": {"holderIdentity": "somebody"}}
        await self.person.apply(kinds.LEASES, lease, manager="person")

    async def put_status(self, name: str, epoch: int, **changes: Any) -> apply.WriteResult:
        """Write the status of a Site in a term."""
        return await self.writer(epoch).apply(
            SITES,
            {
                "metadata": {"namespace": self.namespace, "name": name},
                "status": {"observedGeneration": 1, **changes},
            },
            manager="foreshore-lifecycle",
            owns=("status.observedGeneration", "status.nodes"),
            cached=None,
            subresource="status",
        )

    async def bear(self, name: str, epoch: int) -> None:
        """Let the status of a Site bear a number that is nobody's term, by the one who may."""
        metadata = {"namespace": self.namespace, "name": name}
        status = {"metadata": metadata, "status": {"writerEpoch": epoch}}
        await self.operator.apply_status(SITES, status, manager="foreshore-lifecycle")

    async def create_pod(self, name: str, epoch: int) -> apply.Creation:
        """Create a pod in a term."""
        return await self.writer(epoch).create(
            kinds.PODS, pod(self.namespace, name), manager="foreshore-placement"
        )

    async def in_force(self) -> None:
        """Wait until the API server's own view of Lease and policies has caught up.

        A probe under an epoch of 1 above none refuses nothing; one below the Lease's is refused.
        """
        deadline = time.monotonic() + patience.SECONDS
        while (await self.create_pod("probe", NOW - 1000)).outcome is apply.WriteResult.WRITTEN:
            path = kinds.PODS.path(self.namespace, "probe")
            await self.person.write("DELETE", path, {"gracePeriodSeconds": 0})
            assert time.monotonic() < deadline, "the policies are not in force"
            await asyncio.sleep(0.1)


def pod(namespace: str, name: str) -> api.Json:
    return {
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"containers": [{"name": "serving", "image": "foreshore-edge:test"}]},
    }


def site(namespace: str, name: str) -> api.Json:
    broker = {"host": "10.0.0.1", "port": 1883, "transport": "Plain"}
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {"broker": broker}}


@pytest.fixture(scope="module")
def release(apiserver: plain.ApiServer) -> Iterator[str]:
    """A namespace with the chart's account, rights and policies."""
    apiserver.apply_crds(ROOT / "crds")
    with apiserver.namespace("epochs") as namespace:
        documents = [
            document
            for document in charts.rendered("foreshore", (), namespace)
            if (document["kind"] in POLICIES and "epoch" in document["metadata"]["name"])
            or ("operator" in document["metadata"]["name"] and is_of_rights(document))
        ]
        apiserver.apply(*documents)
        yield namespace
        for document in documents:
            if document["kind"] in POLICIES:
                apiserver.kubectl("delete", document["kind"], document["metadata"]["name"])


def is_of_rights(document: api.Json) -> bool:
    return document["kind"] == "ServiceAccount" or str(document["apiVersion"]).startswith("rbac.")


@pytest_asyncio.fixture
async def fenced(apiserver: plain.ApiServer, release: str) -> AsyncIterator[Fenced]:
    """The release with a leader in its term and the policies in force."""
    account = apiserver.kubeconfig_for_account("foreshore-operator", namespace=release)
    async with (
        api.KubeApi(await config.load(account), user_agent="operator") as operator,
        api.KubeApi(await config.load(apiserver.kubeconfig), user_agent="person") as person,
    ):
        made = Fenced(apiserver, release, operator, person)
        await made.lead(NOW)
        await made.in_force()
        yield made
        apiserver.kubectl(
            *("delete", "pods,configmaps,sites,devices,inferenceplacements,leases", "--all"),
            *("-n", release, "--grace-period=0", "--force"),
        )


async def test_a_status_of_a_term_that_is_over_is_refused_and_says_why(fenced: Fenced) -> None:
    await fenced.person.apply(SITES, site(fenced.namespace, "hq"), manager="person")

    assert await fenced.put_status("hq", NOW - 1) is apply.WriteResult.SUPERSEDED

    assert f"written under leader epoch {NOW - 1}" in fenced.refusals[-1]
    assert f"the Lease {fenced.namespace}/{LEASE} is at {NOW}" in fenced.refusals[-1]
    found = await fenced.person.get(SITES, fenced.namespace, "hq")
    assert "writerEpoch" not in found["status"]


@pytest.mark.parametrize("epoch", [NOW, NOW + 7], ids=["the leader's", "above the Lease seen"])
async def test_the_leader_writes_a_status_and_stamps_it(fenced: Fenced, epoch: int) -> None:
    await fenced.person.apply(SITES, site(fenced.namespace, "hq"), manager="person")

    assert await fenced.put_status("hq", epoch) is apply.WriteResult.WRITTEN

    found = await fenced.person.get(SITES, fenced.namespace, "hq")
    assert found["status"]["writerEpoch"] == epoch


async def test_a_pod_of_a_term_that_is_over_is_not_made_and_not_called_refused(
    fenced: Fenced,
) -> None:
    late = await fenced.create_pod("late", NOW - 1)
    timely = await fenced.create_pod("timely", NOW)

    assert (late.outcome, late.made, late.error) == (apply.WriteResult.SUPERSEDED, None, None)
    assert timely.outcome is apply.WriteResult.WRITTEN
    with pytest.raises(api.NotFoundError):
        await fenced.person.get(kinds.PODS, fenced.namespace, "late")


async def test_a_config_map_of_a_term_that_is_over_is_not_made(fenced: Fenced) -> None:
    document = {"metadata": {"namespace": fenced.namespace, "name": "m"}, "data": {"a": "1"}}
    creation = await fenced.writer(NOW - 1).create(kinds.CONFIG_MAPS, document, manager="m")

    assert creation.outcome is apply.WriteResult.SUPERSEDED


async def test_a_grant_of_a_term_that_is_over_is_refused_by_its_own_field_manager(
    fenced: Fenced,
) -> None:
    device = room.changed(room.device(fenced.namespace), metadata__namespace=fenced.namespace)
    await fenced.person.apply(DEVICES, device, manager="person")
    name = device["metadata"]["name"]
    metadata = {"namespace": fenced.namespace, "name": name}

    async def grant(term: int, holder: str, epoch: int) -> apply.WriteResult:
        authority = {"holder": holder, "epoch": epoch, "lastIssued": epoch}
        return await fenced.writer(term).apply(
            DEVICES,
            {"metadata": metadata, "status": {"authority": authority}},
            manager="foreshore-authority",
            owns=("status.authority",),
            cached=None,
            subresource="status",
        )

    assert await grant(NOW, "edge-1", 5) is apply.WriteResult.WRITTEN
    assert await grant(NOW - 1, "edge-2", 6) is apply.WriteResult.SUPERSEDED

    found = await fenced.person.get(DEVICES, fenced.namespace, name)
    assert found["status"]["authority"]["holder"] == "edge-1"
    assert found["status"]["writerEpoch"] == NOW


async def test_the_operators_account_may_see_what_moved_and_write_its_grant_at_once(
    fenced: Fenced,
) -> None:
    """It may list what people edit and not get it: a read by name was refused."""
    await fenced.person.apply(DEVICES, room.device(fenced.namespace), manager="person")
    name = room.device(fenced.namespace)["metadata"]["name"]
    authority = {"holder": "edge-1", "epoch": 5, "lastIssued": 5}

    def granting(version: str) -> api.Json:
        metadata = {"namespace": fenced.namespace, "name": name, "resourceVersion": version}
        return {"metadata": metadata, "status": {"authority": authority}}

    before = await fenced.person.get(DEVICES, fenced.namespace, name)
    outcome = await fenced.writer(NOW).apply(
        DEVICES,
        granting("1"),
        manager="foreshore-lifecycle",
        owns=("status.authority",),
        cached=None,
        subresource="status",
        renew=lambda live: granting(live["metadata"]["resourceVersion"]),
    )

    assert outcome is apply.WriteResult.WRITTEN, fenced.refusals
    found = await fenced.person.get(DEVICES, fenced.namespace, name)
    assert found["status"]["authority"]["holder"] == "edge-1"
    assert found["metadata"]["uid"] == before["metadata"]["uid"]


async def test_the_operators_account_sees_that_a_disruption_budget_is_gone(
    fenced: Fenced,
) -> None:
    """It may list them, and gets names alone: none is looked at by itself."""
    document = room.changed(
        room.policy(), metadata__namespace=fenced.namespace, metadata__uid="made-up"
    )
    policy = v1alpha1.DecisionPolicy.read(document)
    budget = manifests.disruption_budget(policy)
    kind = kinds.DISRUPTION_BUDGETS
    creation = await fenced.writer(NOW).create(kind, budget, manager="m")
    policies = protecting.ProtectedPolicies()
    policies.note(policy, creation.outcome)
    missed: list[None] = []
    looking = protecting.BudgetLook(fenced.operator, Term(), policies, lambda: missed.append(None))
    await looking.look()
    assert policies.protected(), fenced.refusals
    assert not missed
    path = kind.path(fenced.namespace, budget["metadata"]["name"])
    await fenced.person.write("DELETE", path, {})
    await looking.look()
    assert not policies.protected()
    assert missed


async def test_a_kind_without_a_namespace_is_held_to_the_same_lease(fenced: Fenced) -> None:
    clusters = kinds.of(v1alpha1.Cluster)
    name, spec = "local", {"connection": {"type": "InCluster"}}
    await fenced.person.apply(clusters, {"metadata": {"name": name}, "spec": spec}, manager="p")
    try:
        outcomes = [
            await fenced.writer(term).apply(
                clusters, {"metadata": {"name": name}, "status": {"nodes": 1}},
                manager="foreshore-lifecycle", owns=(), cached=None, subresource="status",
            )
            for term in (NOW - 1, NOW)
        ]  # fmt: skip
    finally:
        await fenced.person.write("DELETE", clusters.path(name=name), {})
    assert outcomes == [apply.WriteResult.SUPERSEDED, apply.WriteResult.WRITTEN]


async def test_two_field_managers_of_one_status_pass_the_epoch_on(fenced: Fenced) -> None:
    """Whoever writes next owns it; the other's next write takes it along, and drops nothing."""
    device = room.changed(room.device(fenced.namespace), metadata__namespace=fenced.namespace)
    await fenced.person.apply(DEVICES, device, manager="person")
    metadata = {"namespace": fenced.namespace, "name": device["metadata"]["name"]}
    parts: dict[str, api.Json] = {
        "foreshore-authority": {"authority": {"holder": "e", "epoch": 5, "lastIssued": 5}},
        "foreshore-lifecycle": {"observedGeneration": 1},
    }
    for term in range(NOW, NOW + 4):
        manager = sorted(parts)[term % 2]
        outcome = await fenced.writer(term).apply(
            DEVICES, {"metadata": metadata, "status": parts[manager]},
            manager=manager, owns=(), cached=None, subresource="status",
        )  # fmt: skip
        assert outcome is apply.WriteResult.WRITTEN
    found = await fenced.person.get(DEVICES, fenced.namespace, metadata["name"])
    assert found["status"] == {
        "writerEpoch": NOW + 3, **parts["foreshore-authority"], **parts["foreshore-lifecycle"],
    }  # fmt: skip


def placement(namespace: str) -> api.Json:
    """A placement as the operator makes one."""
    return {
        "metadata": {"namespace": namespace, "name": "p.hq"},
        "spec": {"policyRef": {"name": "p"}, "site": "hq"},
    }


async def put_placement(fenced: Fenced, epoch: int) -> apply.WriteResult:
    return await fenced.writer(epoch).apply(
        PLACEMENTS, placement(fenced.namespace), manager="m", owns=("spec",), cached=None
    )


@pytest.mark.parametrize("lease", [NOW - 500, None], ids=["a Lease seen late", "no Lease"])
async def test_an_object_that_bears_a_later_epoch_is_not_written(
    fenced: Fenced, lease: int | None
) -> None:
    """The second policy: the API server's view of the Lease lags, or somebody deleted it."""
    await fenced.person.apply(SITES, site(fenced.namespace, "hq"), manager="person")
    assert await fenced.put_status("hq", NOW) is apply.WriteResult.WRITTEN
    assert await put_placement(fenced, NOW) is apply.WriteResult.WRITTEN
    await fenced.lead(lease)
    await seen(fenced, NOW - 400)

    assert await fenced.put_status("hq", NOW - 300) is apply.WriteResult.SUPERSEDED
    assert f"the object bears {NOW}" in fenced.refusals[-1]
    assert await put_placement(fenced, NOW - 300) is apply.WriteResult.SUPERSEDED
    assert await fenced.put_status("hq", NOW) is apply.WriteResult.WRITTEN


async def test_nobody_but_the_operator_writes_the_epoch_of_a_placement(fenced: Fenced) -> None:
    """The trap: whoever may confirm a move could keep the leader's writes out by a number."""
    theirs = placement(fenced.namespace)
    epoch = {meta.ANNOTATION_EPOCH: str(NOW + 500)}
    forged = {**theirs, "metadata": {**theirs["metadata"], "annotations": epoch}}
    with pytest.raises(api.RejectedError, match="the operator's alone"):
        await fenced.person.apply(PLACEMENTS, forged, manager="person")
    assert await put_placement(fenced, NOW) is apply.WriteResult.WRITTEN
    path = PLACEMENTS.path(fenced.namespace, theirs["metadata"]["name"])
    for number in (str(NOW + 500), str(NOW - 500), None):
        with pytest.raises(api.RejectedError, match="the operator's alone"):
            await annotate(fenced, path, {meta.ANNOTATION_EPOCH: number})

    await annotate(fenced, path, {"example.com/note": "theirs"})
    assert await put_placement(fenced, NOW + 1) is apply.WriteResult.WRITTEN


@pytest.mark.parametrize("number", [NOW + 500, NOW - 500, None], ids=["lift", "lower", "drop"])
async def test_nobody_but_the_operator_writes_the_epoch_of_a_status(
    fenced: Fenced, number: int | None
) -> None:
    """The trap: whoever may patch statuses could keep the leader's writes out by a number."""
    await fenced.person.apply(SITES, site(fenced.namespace, "hq"), manager="person")
    path = f"{SITES.path(fenced.namespace, 'hq')}/status"

    async def patch(**status: Any) -> None:
        media = "application/merge-patch+json"
        await fenced.person.write("PATCH", path, {"status": status}, content_type=media)

    if number is not None:
        with pytest.raises(api.RejectedError, match=r"status\.writerEpoch is the operator's alone"):
            await patch(writerEpoch=number)
    assert await fenced.put_status("hq", NOW) is apply.WriteResult.WRITTEN
    with pytest.raises(api.RejectedError, match="leave it out of what you apply"):
        await patch(writerEpoch=number)

    await patch(observedGeneration=7)
    assert await fenced.put_status("hq", NOW + 1) is apply.WriteResult.WRITTEN
    found = await fenced.person.get(SITES, fenced.namespace, "hq")
    assert found["status"]["writerEpoch"] == NOW + 1


async def annotate(fenced: Fenced, path: str, annotations: dict[str, str | None]) -> None:
    """Change annotations of an object as a person; None takes one away."""
    await fenced.person.write(
        "PATCH",
        path,
        {"metadata": {"annotations": annotations}},
        content_type="application/merge-patch+json",
    )


async def seen(fenced: Fenced, epoch: int) -> None:
    """Wait until the policies let an epoch pass."""
    deadline = time.monotonic() + patience.SECONDS
    while (await fenced.create_pod("seen", epoch)).outcome is not apply.WriteResult.WRITTEN:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_a_deleted_lease_stops_nobody(fenced: Fenced) -> None:
    await fenced.lead(None)
    await seen(fenced, NOW - 300)


@pytest.mark.parametrize(
    "text", ["1" + "0" * 400, "soon", "-5", "²", str(NOW + CENTURY), "9999999999999999"]
)
async def test_nonsense_in_the_lease_stops_nobody(fenced: Fenced, text: str) -> None:
    await fenced.lead(text)
    await seen(fenced, NOW)


@pytest.mark.parametrize("epoch", [NOW + CENTURY, 1 << 53])
async def test_an_epoch_that_nobody_can_have_had_blocks_no_object(
    fenced: Fenced, epoch: int
) -> None:
    await fenced.person.apply(SITES, site(fenced.namespace, "hq"), manager="person")
    await fenced.bear("hq", epoch)

    assert await fenced.put_status("hq", NOW) is apply.WriteResult.WRITTEN


async def test_people_write_specs_and_statuses_as_ever(fenced: Fenced) -> None:
    await fenced.person.apply(SITES, site(fenced.namespace, "hq"), manager="person")
    await fenced.put_status("hq", NOW)
    document = site(fenced.namespace, "hq")
    document["spec"]["broker"]["port"] = 1884
    await fenced.person.apply(SITES, document, manager="person")
    status = {"observedGeneration": 7, "writerEpoch": NOW}
    await fenced.person.apply_status(
        SITES, {"metadata": document["metadata"], "status": status}, manager="person"
    )
    await fenced.person.create(kinds.PODS, pod(fenced.namespace, "theirs"))

    found = await fenced.person.get(SITES, fenced.namespace, "hq")
    assert found["spec"]["broker"]["port"] == 1884
    assert found["status"]["observedGeneration"] == 7


async def test_the_operators_account_cannot_write_without_an_epoch(fenced: Fenced) -> None:
    """As an operator of a release would that knows no epochs and still runs."""
    with pytest.raises(api.RejectedError, match="this carries none"):
        await fenced.operator.create(kinds.PODS, pod(fenced.namespace, "bare"))
    await fenced.person.apply(SITES, site(fenced.namespace, "hq"), manager="person")
    status = {
        "metadata": {"namespace": fenced.namespace, "name": "hq"},
        "status": {"observedGeneration": 1},
    }
    for _ in ("before any epoch", "after one"):
        with pytest.raises(api.RejectedError, match="this carries none"):
            await fenced.operator.apply_status(SITES, status, manager="foreshore-lifecycle")
        await fenced.put_status("hq", NOW)


async def test_a_new_epoch_alone_writes_no_status_again(fenced: Fenced) -> None:
    await fenced.person.apply(SITES, site(fenced.namespace, "hq"), manager="person")
    await fenced.put_status("hq", NOW, nodes=2)
    cached = await fenced.person.get(SITES, fenced.namespace, "hq")
    metadata = {"namespace": fenced.namespace, "name": "hq"}
    outcome = await fenced.writer(NOW + 1).apply(
        SITES,
        {"metadata": metadata, "status": {"observedGeneration": 1, "nodes": 2}},
        manager="foreshore-lifecycle",
        owns=("status.observedGeneration", "status.nodes"),
        cached=cached,
        subresource="status",
    )

    assert outcome is apply.WriteResult.UNCHANGED


async def test_a_leader_lifts_its_epoch_above_a_number_that_was_no_leaders(fenced: Fenced) -> None:
    """Within ten years a made-up number looks like a leader's: the next renewal goes above it."""
    await fenced.lead(None)
    leader = elector.Elector(fenced.operator, namespace=fenced.namespace, name=LEASE, identity="a")
    await leader.attempt()
    before = leader.epoch
    await fenced.person.apply(SITES, site(fenced.namespace, "hq"), manager="person")
    metadata = {"namespace": fenced.namespace, "name": "hq"}
    made_up = before + 10_000_000
    await fenced.bear("hq", made_up)
    cached = await fenced.person.get(SITES, fenced.namespace, "hq")
    writer = apply.Writer(fenced.operator, leader, yields_to=leader.yields_to)

    async def put() -> apply.WriteResult:
        return await writer.apply(
            SITES,
            {"metadata": metadata, "status": {"observedGeneration": 1}},
            manager="foreshore-lifecycle",
            owns=("status.observedGeneration",),
            cached=cached,
            subresource="status",
        )

    assert await put() is apply.WriteResult.SUPERSEDED
    await leader.attempt()
    assert leader.is_leader
    assert leader.epoch > made_up
    assert await put() is apply.WriteResult.WRITTEN


async def test_a_new_term_holds_within_a_moment(fenced: Fenced) -> None:
    """How far the API server's own view of the Lease lags: what is refused late is let through."""
    lags = []
    for turn in range(1, 11):
        await fenced.lead(NOW + turn)
        began = time.monotonic()
        while (await fenced.create_pod("probe", NOW + turn - 1)).error is None and (
            await exists(fenced, "probe")
        ):
            path = kinds.PODS.path(fenced.namespace, "probe")
            await fenced.person.write("DELETE", path, {"gracePeriodSeconds": 0})
        lags.append(time.monotonic() - began)
    process.say(f"lag of the policies behind the Lease: {', '.join(f'{lag:.3f}' for lag in lags)}")

    assert max(lags) < 2


async def exists(fenced: Fenced, name: str) -> bool:
    with contextlib.suppress(api.NotFoundError):
        await fenced.person.get(kinds.PODS, fenced.namespace, name)
        return True
    return False

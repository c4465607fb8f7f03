"""The assignment of one node, put together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pydantic

from foreshore_api import conditions, node_class, v1alpha1
from foreshore_api.reasons import agent as reasons
from foreshore_api.wire import assignment, report
from foreshore_decision.assignment import devices, digests, policies, references, snapshot


class BeyondBoundsError(ValueError):
    """The resources say more than one assignment holds; the text says of what."""


@dataclass(frozen=True, slots=True)
class Compilation:
    """An assignment (lineage and generation still to be counted) and what could not be resolved."""

    assignment: assignment.Assignment
    problems: tuple[report.Problem, ...]


def compile(  # noqa: A001 - the word of the design; the package is always imported as a whole
    resources: snapshot.Resources,
    node: str,
    *,
    site: str | None,
    labels: Mapping[str, str] | None = None,
    peers: Iterable[snapshot.Peer] = (),
    given: snapshot.LocalStatuses | None = None,
    last: Iterable[assignment.Assignment] = (),
) -> Compilation:
    """Return the desired state of the agent on `node`.

    Args:
        resources: one snapshot of every kind.
        node: name of the node.
        site: the site the node is labelled with; None for a node of no site, which only probes.
        labels: labels of the node, for `reachableFrom`.
        peers: agents whose echo may be timed: those of the site and of no site are taken. They also
            say of which class the nodes of replicas are.
        given: in folder mode, endpoints and grants; the resources' statuses are then not read.
        last: what was assigned last, the node's own first: what a reference stays resolved to
            where its object is gone. It is iterated only when one is, and no further than needed.

    Raises:
        BeyondBoundsError: each object may be right, but they are too many for one agent.
    """
    try:
        return _compiled(resources, node, site, labels or {}, peers, given, last)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BeyondBoundsError(f"{error.title}.{where}: {first['msg']}"[:500]) from error


def _compiled(
    resources: snapshot.Resources,
    node: str,
    site: str | None,
    labels: Mapping[str, str],
    peers: Iterable[snapshot.Peer],
    given: snapshot.LocalStatuses | None,
    last: Iterable[assignment.Assignment],
) -> Compilation:
    wanted = snapshot.find_site(resources, site) if site is not None else None
    peers = tuple(peers)
    probes, left_out = _probes(node, site, peers)
    if wanted is None:
        missing = () if site is None else (_site_missing(site),)
        document = assignment.Assignment(node=node, probes=probes)
        return Compilation(_sealed(document), (*missing, *left_out))
    good = references.LastGood(last)
    bound, device_problems = devices.assigned(resources, wanted, labels, given, good)
    decided, policy_problems = policies.assigned(resources, node, wanted, bound, given, good)
    decided = policies.classed(decided, _classes(node, labels, peers))
    elsewhere = policies.read_elsewhere(decided, bound)
    if elsewhere:
        read, read_problems = devices.read_only(resources, wanted, elsewhere, good)
        bound = tuple(sorted((*bound, *read), key=lambda device: device.name))
        device_problems = (*device_problems, *read_problems)
    document = assignment.Assignment(
        node=node,
        site=assignment.AssignedSite(
            namespace=wanted.namespace, name=wanted.name, spec=wanted.spec
        ),
        devices=bound,
        policies=decided,
        probes=probes,
    )
    return Compilation(_sealed(document), (*device_problems, *policy_problems, *left_out))


def _classes(
    node: str, labels: Mapping[str, str], peers: Iterable[snapshot.Peer]
) -> Mapping[str, str]:
    """Return the class of every node that is known, this one first."""
    classes = {peer.node: peer.node_class for peer in peers if peer.node_class is not None}
    return {**classes, **({node: node_class.of(labels)} if labels else {})}


def _probes(
    node: str, site: str | None, peers: Iterable[snapshot.Peer]
) -> tuple[tuple[assignment.ProbeTarget, ...], tuple[report.Problem, ...]]:
    """Return the peers to time, as many as one assignment names, and what is said of the rest."""
    targets = tuple(
        assignment.ProbeTarget(
            node=peer.node, url=peer.url, site=peer.site, node_class=peer.node_class
        )
        for peer in sorted(peers, key=lambda peer: peer.node)
        if peer.node != node and peer.site in (site, None)
    )
    if len(targets) <= assignment.PROBES:
        return targets, ()
    problem = report.Problem(
        kind="Node",
        namespace="",
        name=node,
        reason=reasons.TOO_MANY_PEERS,
        message=f"the first {assignment.PROBES} of {len(targets)} peers are timed, by name",
    )
    return targets[: assignment.PROBES], (problem,)


def _sealed(document: assignment.Assignment) -> assignment.Assignment:
    return document.model_copy(update={"digest": digests.digest_of(document)})


def _site_missing(site: str) -> report.Problem:
    return report.Problem(
        kind=v1alpha1.Site.kind,
        namespace="",
        name=site,
        reason=conditions.Reason.REFERENCE_NOT_FOUND,
        message=f"the node is labelled with site {site}, which does not exist",
    )

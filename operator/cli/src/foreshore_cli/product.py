"""Foreshore's own parts as the status screen sees them: operator, hub, agents.

Statuses are only as good as the operator that writes them, so that a screen without this would call
a fleet Ready long after the last that was known of it. `status` calls `look`; everything is read
through the API server, and what may not be read is Unknown, never well.

    operator   its Lease is renewed once a second, as long as it may write
    hub        the aggregated API answers: every signed-in user may ask
    agents     the DaemonSets have a pod on every node they want
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from foreshore_api import conditions, meta
from foreshore_cli import api, errors, objects

Json = Mapping[str, Any]

SYSTEM: Final = "foreshore-system"
"""Where the charts' README puts operator and hub; asked where all namespaces may not be seen."""
OPERATOR, HUB, AGENT = "foreshore-operator", "foreshore-hub", "foreshore-agent"
FRESH: Final = 15.0
"""Seconds: a Lease that was renewed this recently, by our clock, needs no second look."""
AHEAD: Final = -5.0
"""Seconds by which the operator's clock may be ahead of ours."""
PATIENCE: Final = 8
"""Second looks, a second apart: more than the six seconds for which a Lease is good."""
NAMED: Final = 3
ROLE: Final = "foreshore-status"


@dataclass(frozen=True, slots=True)
class ProductPart:
    """One part and how it stands; the message holds cause and remedy."""

    name: str
    state: objects.ObjectState
    reason: str
    message: str

    @property
    def is_well(self) -> bool:
        """Whether it is known to work."""
        return self.state is objects.ObjectState.READY


@dataclass(frozen=True, slots=True)
class Clocks:
    """Now, and how to let time pass; tests bring their own."""

    now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC)
    sleep: Callable[[float], None] = time.sleep


def look(server: api.Reads, clocks: Clocks | None = None) -> tuple[ProductPart, ...]:
    """Look at every part."""
    return (operator(server, clocks or Clocks()), hub(server), *agents(server))


def operator(server: api.Reads, clocks: Clocks) -> ProductPart:
    """Say whether an operator leads: one that does not writes no status any more."""
    try:
        return _led(server, clocks)
    except errors.CommandError as error:
        message = (
            f"statuses may be old: whether the operator works cannot be seen ({error});"
            f" whoever has the ClusterRole {ROLE} may look"
        )
        is_forbidden = isinstance(error, errors.ForbiddenError)
        reason = "Forbidden" if is_forbidden else "NotSeen"
        return ProductPart("operator", objects.ObjectState.UNKNOWN, reason, message)


def _led(server: api.Reads, clocks: Clocks) -> ProductPart:
    lease = _lease(server)
    if lease is None:
        message = (
            f"no operator has ever led here: there is no Lease {OPERATOR}. Is the chart foreshore"
            f" installed? {_pods_hint(OPERATOR)}"
        )
        return ProductPart("operator", objects.ObjectState.NOT_READY, "NotRunning", message)
    if _is_fresh(lease, clocks.now()) or _is_renewed(server, lease, clocks):
        return ProductPart(
            "operator", objects.ObjectState.READY, "Leading", "the operator renews its Lease"
        )
    spec = lease.get("spec") or {}
    namespace = str((lease.get("metadata") or {}).get("namespace") or SYSTEM)
    message = (
        f"the operator{_where(server, namespace, OPERATOR)} has not renewed its Lease since"
        f" {spec.get('renewTime', 'ever')}: everything here is as it was then, and nothing is"
        f" placed or moved; {_pods_hint(OPERATOR)}"
    )
    return ProductPart("operator", objects.ObjectState.NOT_READY, "OperatorSilent", message)


def hub(server: api.Reads) -> ProductPart:
    """Say whether the hub answers, by the API that it adds to the server."""
    reason = conditions.Reason.HUB_UNREACHABLE.value
    try:
        server.find(f"/apis/{api.RECORDS}", api.RECORDS)
    except errors.NoSuchObjectError:
        message = (
            f"this cluster does not serve {api.RECORDS}: {api.INSTALL[api.RECORDS]}"
            f" {conditions.WITHOUT_HUB}"
        )
        return ProductPart("hub", objects.ObjectState.NOT_READY, "NotInstalled", message)
    except errors.ForbiddenError as error:
        return ProductPart("hub", objects.ObjectState.UNKNOWN, "Forbidden", str(error))
    except errors.CommandError as error:
        message = f"{error}{_where(server, '', HUB)}; {conditions.WITHOUT_HUB}; {_pods_hint(HUB)}"
        return ProductPart("hub", objects.ObjectState.NOT_READY, reason, message)
    return ProductPart("hub", objects.ObjectState.READY, "Serving", "the hub answers")


def agents(server: api.Reads) -> Iterator[ProductPart]:
    """Say of each DaemonSet of agents whether it has the pods that it wants.

    Nothing where it may not be seen: the Sites say which agents report.
    """
    try:
        listed = server.find("/apis/apps/v1/daemonsets", "apps/v1", _labelled(AGENT))
    except errors.CommandError:
        return
    for daemon_set in listed.get("items") or ():
        yield _daemon_set(server, daemon_set)


def _daemon_set(server: api.Reads, daemon_set: Json) -> ProductPart:
    metadata, status = daemon_set.get("metadata") or {}, daemon_set.get("status") or {}
    namespace, name = str(metadata.get("namespace", "")), str(metadata.get("name", ""))
    wanted = int(status.get("desiredNumberScheduled") or 0)
    ready = int(status.get("numberReady") or 0)
    part = f"agents {namespace}/{name}"
    if wanted == 0:
        message = (
            f"DaemonSet {namespace}/{name} finds no node: kubectl label node NODE"
            f" {meta.LABEL_SITE}=SITE {meta.LABEL_TIER}=Edge"
        )
        return ProductPart(part, objects.ObjectState.NOT_READY, "NotScheduled", message)
    if ready < wanted:
        message = (
            f"{wanted - ready} of {wanted} pods of DaemonSet {namespace}/{name} are not ready"
            f"{_where(server, namespace, AGENT)}; {_pods_hint(AGENT)}"
        )
        return ProductPart(part, objects.ObjectState.NOT_READY, "NotReady", message)
    message = f"all {wanted} pods of DaemonSet {namespace}/{name} are ready"
    return ProductPart(part, objects.ObjectState.READY, "Running", message)


def _lease(server: api.Reads) -> Json | None:
    """The operator's Lease, wherever it is, or in the usual place if that is all one may see.

    Raises:
        ForbiddenError: neither may be seen.
    """
    group = "coordination.k8s.io/v1"
    try:
        query = {"fieldSelector": f"metadata.name={OPERATOR}"}
        listed = server.find(f"/apis/{group}/leases", group, query).get("items") or ()
        return max(listed, key=_renewed, default=None)
    except errors.ForbiddenError:
        pass
    try:
        return server.find(f"/apis/{group}/namespaces/{SYSTEM}/leases/{OPERATOR}", group)
    except errors.NoSuchObjectError as error:
        raise errors.ForbiddenError(
            f"there is no Lease {OPERATOR} in {SYSTEM}, and you may not look elsewhere"
        ) from error


def _renewed(lease: Json) -> str:
    return str((lease.get("spec") or {}).get("renewTime") or "")


def _is_held(lease: Json) -> bool:
    return bool((lease.get("spec") or {}).get("holderIdentity"))


def _is_fresh(lease: Json, now: datetime.datetime) -> bool:
    """Whether it was renewed just now by our clock; a wrong clock asks for a second look."""
    try:
        age = (now - datetime.datetime.fromisoformat(_renewed(lease))).total_seconds()
    except (ValueError, TypeError):
        return False
    return _is_held(lease) and AHEAD <= age <= FRESH


def _is_renewed(server: api.Reads, lease: Json, clocks: Clocks) -> bool:
    """Whether it changes while we look: clocks of two machines prove nothing."""
    for _ in range(PATIENCE):
        clocks.sleep(1.0)
        again = _lease(server)
        if again is not None and _is_held(again) and _renewed(again) != _renewed(lease):
            return True
    return False


def _where(server: api.Reads, namespace: str, component: str) -> str:
    """The pods of a component that are not ready, with node and reason, as far as one may see."""
    scope = f"/namespaces/{namespace}" if namespace else ""
    try:
        pods = server.find(f"/api/v1{scope}/pods", "v1", _labelled(component)).get("items")
    except errors.CommandError:
        return ""
    unwell = [pod for pod in pods or () if not _is_ready(pod)]
    if not unwell:
        return "" if pods else " (it has no pod)"
    named = ", ".join(map(_pod, unwell[:NAMED]))
    return f" ({named}{' …' if len(unwell) > NAMED else ''})"


def _pod(pod: Json) -> str:
    metadata, status = pod.get("metadata") or {}, pod.get("status") or {}
    node = (pod.get("spec") or {}).get("nodeName") or "no node yet"
    waiting = [
        str(reason)
        for container in status.get("containerStatuses") or ()
        if (reason := ((container.get("state") or {}).get("waiting") or {}).get("reason"))
    ]
    reason = next(iter(waiting), status.get("reason") or status.get("phase") or "Unknown")
    return f"pod {metadata.get('namespace')}/{metadata.get('name')} on {node}: {reason}"


def _is_ready(pod: Json) -> bool:
    listed = (pod.get("status") or {}).get("conditions") or ()
    return any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in listed
    )


def _labelled(component: str) -> dict[str, str]:
    return {
        "labelSelector": f"app.kubernetes.io/name={component},app.kubernetes.io/part-of=foreshore"
    }


def _pods_hint(component: str) -> str:
    return f"kubectl get pods -A -o wide -l app.kubernetes.io/name={component}"

"""Who is out of reach of whom: `Connected` and `Degraded` of a Site, `Connected` of a Device.

And `Ready` of a Site whose broker lets no agent in: that waits for a person.

A hub that is out of reach is one condition of each Site, and none of its Devices: what was last
known of a Device stays as it is, under the time of its Site's condition, so that a hub that comes
and goes is not ten thousand writes.

`status` calls it. A message names the node and the pod of ours that is silent, and what a person
can do: whoever reads it may not have the right to look at nodes and pods.

    operator ──► hub ──► agents of the site's nodes ──► the site's broker ──► device
"""

from collections.abc import Container, Iterator, Mapping, Sequence

from foreshore_api import conditions, meta, v1alpha1
from foreshore_api.reasons import agent as strains
from foreshore_api.wire import report
from foreshore_decision.policy import acceptance
from foreshore_planner import binding, denials, health, phrases, snapshot

Said = phrases.Said
Reports = Mapping[str, report.AgentEvidence]

TRUE, FALSE, UNKNOWN = conditions.Status.TRUE, conditions.Status.FALSE, conditions.Status.UNKNOWN
Type, Reason = conditions.Type, conditions.Reason

OFFLINE = Reason.DEVICE_OFFLINE
VERIFY = "foreshore-agent verify, run there, says what that means and what to do"

REFUSALS = {
    reason.value: reason
    for reason in (
        Reason.NOT_AUTHORIZED,
        Reason.BAD_USER_NAME_OR_PASSWORD,
        Reason.BAD_AUTHENTICATION_METHOD,
        Reason.CLIENT_IDENTIFIER_NOT_VALID,
        Reason.UNSUPPORTED_PROTOCOL_VERSION,
        Reason.BANNED,
    )
}
"""The broker's own reason codes that stay until somebody changes the Site or the broker."""

SITE_WORDS = ("site",)
"""Last part of a label key that speaks of the place where a node stands."""


def of_site(
    site: v1alpha1.Site, seen: snapshot.Snapshot, nodes: Sequence[str], reports: Reports
) -> Iterator[Said]:
    """Say whether agents of the site report, which of them do not, and what troubles the others."""
    agents = [node for node in nodes if node in reports]
    if not nodes:
        yield (Type.CONNECTED, FALSE, Reason.NO_NODES, _no_nodes(site.metadata.name, seen))
    elif seen.fleet is None or (_is_young(seen) and not agents):
        yield (Type.CONNECTED, UNKNOWN, Reason.HUB_UNREACHABLE, without_hub(seen))
    elif not agents:
        missing, silent = _absent(seen, nodes)
        troubles = [message for _, message in _absences(seen, missing, silent)]
        reason = Reason.AGENT_SILENT if silent else Reason.AGENT_MISSING
        message = f"no agent of the site reports: {'; '.join(troubles)}"
        yield (Type.CONNECTED, FALSE, reason, phrases.fitted(message))
    else:
        yield (Type.CONNECTED, TRUE, Reason.AGENT_CONNECTED, "agents of the site report")
        yield from _degraded(site, seen, nodes, reports)


def refused(site: v1alpha1.Site, nodes: Sequence[str], reports: Reports) -> Said | None:
    """Say that a site is not ready because its broker lets no agent in; None if it lets one."""
    if any(reports[node].report.broker_connected for node in nodes if node in reports):
        return None
    cut = _cut(site, nodes, reports)
    if cut is None or cut[0] not in REFUSALS.values():
        return None
    return (Type.READY, FALSE, *cut)


def of_device(device: binding.BoundDevice, seen: snapshot.Snapshot, reports: Reports) -> Said:
    """Say whether the device's holder hears it, or what its last report said of that."""
    holder = holder_of(device)
    if is_unheard(holder, seen, reports):
        stated = _as_stated(device.device, Type.CONNECTED)
        return stated or (Type.CONNECTED, UNKNOWN, Reason.HUB_UNREACHABLE, without_hub(seen))
    if holder is None:
        return _unheld(device, seen, reports)
    if holder not in reports:
        message = f"no agent that holds it reports: {agent(seen, holder)}"
        return (Type.CONNECTED, UNKNOWN, Reason.AGENT_SILENT, message)
    agent_report = reports[holder].report
    if not agent_report.broker_connected:
        message = f"the holder cannot reach the site's broker: {_broker_problem(agent_report)}"
        return (Type.CONNECTED, FALSE, _broker_reason([agent_report]), phrases.fitted(message))
    lines = [line for line in agent_report.devices if (line.namespace, line.device) == device.key]
    if any(line.connected for line in lines):
        return (Type.CONNECTED, TRUE, Reason.DEVICE_ONLINE, "the holder hears the device")
    if any(line.offline for line in lines):
        message = f"the device's availability says that it is offline; {OFFLINE.remedy}"
        return (Type.CONNECTED, FALSE, OFFLINE, message)
    message = "the holder has not heard the device for a while"
    denied = denials.of_agent(agent_report, device.key[0], device.device.spec.site)
    if denied is not None:
        message = f"{message}, and {holder} says: {denied}; {denials.REMEDY}"
        return (Type.CONNECTED, FALSE, Reason.BROKER_REFUSES, phrases.fitted(message))
    return (Type.CONNECTED, FALSE, Reason.DEVICE_SILENT, message)


def is_unheard(holder: str | None, seen: snapshot.Snapshot, reports: Reports) -> bool:
    """Whether nothing can be known of a device now: the hub is away, or has only just started."""
    return seen.fleet is None or (_is_young(seen) and holder not in reports)


def last_known(device: binding.BoundDevice) -> Iterator[Said]:
    """Yield what was stated of a device from evidence that is out of reach now, Connected apart.

    A silent holder is not taken for one that works because nobody can be asked, nor a right that
    is held back for one that is free to move.
    """
    ready = _as_stated(device.device, Type.READY)
    if ready is not None and ready[2] is Reason.AGENT_SILENT:
        yield ready
    held = _as_stated(device.device, Type.HELD)
    if held is not None:
        yield held


def _as_stated(device: v1alpha1.Device, type_: conditions.Type) -> Said | None:
    """Return a condition as the Device has it, if this release knows its reason."""
    condition = conditions.find(device.status.conditions, type_)
    reasons = {reason.value: reason for reason in Reason}
    if condition is None or condition.reason not in reasons:
        return None
    return (type_, condition.status, reasons[condition.reason], condition.message)


def holder_of(device: binding.BoundDevice) -> str | None:
    """Return the node whose agent may command the device."""
    authority = device.device.status.authority
    return authority.holder if authority is not None else None


def silent_holder(
    device: binding.BoundDevice, seen: snapshot.Snapshot, verdicts: health.Health, reports: Reports
) -> str | None:
    """Say which agent holds the device and is silent; None where none is known to be.

    A hub out of reach, or one that has just started, says nothing about any agent.
    """
    holder = holder_of(device)
    if holder is None or holder in reports or seen.fleet is None or _is_young(seen):
        return None
    evidence = verdicts.of(holder).evidence
    return phrases.fitted(f"the holder, {agent(seen, holder)}, does not report: {evidence}")


def without_hub(seen: snapshot.Snapshot) -> str:
    """Say where the hub is and what works on without it."""
    place = next((f", on {_place(part)}," for part in seen.fleet_index.hubs), "")
    if seen.fleet is not None:
        return f"the hub{place} has just started and no agent has reported to it yet"
    return phrases.fitted(f"the hub{place} is out of reach; {conditions.WITHOUT_HUB}")


def agent(seen: snapshot.Snapshot, node: str) -> str:
    """Name the agent of a node, with its pod."""
    pods = seen.fleet_index.agents.get(node, ())
    return f"the agent on {_place(pods[0])}" if pods else f"the agent on node {node}"


def _place(part: snapshot.ProductPod) -> str:
    return f"node {part.node or '(none yet)'} ({_pod(part)})"


def _pod(part: snapshot.ProductPod) -> str:
    state = f": {part.reason}" if part.reason else ""
    return f"pod {part.namespace}/{part.name}{state}"


def _is_young(seen: snapshot.Snapshot) -> bool:
    """Whether the hub has not been up for as long as an agent may keep silent."""
    return (
        seen.fleet is not None and seen.fleet.uptime_seconds + seen.fleet_age <= health.AGENT_SILENT
    )


def _no_nodes(site: str, seen: snapshot.Snapshot) -> str:
    label = f"{meta.LABEL_SITE}={site}"
    message = (
        f"no node carries {label}:"
        f" kubectl label node NODE {label} {meta.LABEL_TIER}={v1alpha1.Tier.EDGE}"
    )
    sites = seen.named.sites_named
    similar = sorted(
        (rank, node.name, key, value)
        for node in seen.index.nodes.values()
        for key, value in node.labels.items()
        if (rank := _likeness(site, key, value, sites)) is not None
    )
    if not similar:
        return message
    carried = phrases.listed(f"{node} carries {key}={value}" for _, node, key, value in similar)
    return phrases.fitted(f"{message}; {carried}")


def _likeness(site: str, key: str, value: str, sites: Container[str]) -> int | None:
    """Rank how much a node's label looks as if it meant the site; None for not at all."""
    if key == meta.LABEL_SITE:
        return None if value in sites else 1
    if value.casefold() == site.casefold():
        return 0
    return 2 if key.rpartition("/")[2].casefold() in SITE_WORDS and value not in sites else None


def _silent(seen: snapshot.Snapshot, nodes: Sequence[str]) -> str:
    """Name silent agents with what their pods say, and what to do about those without a pod."""
    pods = {node: seen.fleet_index.agents.get(node, ()) for node in nodes}
    missing = f"no agent's pod there: does a release of the chart {snapshot.AGENT} cover it?"
    return phrases.listed(
        f"{node} ({_pod(pods[node][-1]) if pods[node] else missing})"
        f"{_remedy(pods[node][-1]) if pods[node] else ''}"
        for node in sorted(nodes)
    )


def _remedy(part: snapshot.ProductPod) -> str:
    """Say what helps against what keeps an agent's pod from running; empty where it runs."""
    where = f"-n {part.namespace} {part.name}"
    match part.reason:
        case None:
            return ""
        case "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName":
            return f": {Reason.IMAGE_PULL.remedy}"
        case "CrashLoopBackOff" | "Error" | "OOMKilled":
            return f": kubectl logs --previous {where}"
        case _:
            return f": kubectl describe pod {where}"


def _absent(seen: snapshot.Snapshot, nodes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Divide nodes whose agents do not report into those that never did, and those that have."""
    reporters = seen.fleet_index.agents_seen
    missing = [node for node in nodes if node not in reporters]
    return missing, [node for node in nodes if node in reporters]


def _absences(
    seen: snapshot.Snapshot, missing: Sequence[str], silent: Sequence[str]
) -> Iterator[tuple[conditions.Reason, str]]:
    """Say which agents fell silent, and which never reported, with what is seen of their pods."""
    if silent:
        yield Reason.AGENT_SILENT, f"silent: {_silent(seen, silent)}"
    if missing:
        yield Reason.AGENT_MISSING, f"never reported to this hub: {_silent(seen, missing)}"


def _overloaded(nodes: Sequence[str], reports: Reports) -> Iterator[str]:
    """Yield what agents say that cannot take all that is measured."""
    for node in sorted(node for node in nodes if node in reports):
        for problem in reports[node].report.problems:
            is_own = (problem.kind, problem.name) == ("Node", node)
            if is_own and problem.reason in (strains.OVERLOADED, strains.DISK_BEHIND):
                yield f"{node}: {problem.message}"


def _degraded(
    site: v1alpha1.Site, seen: snapshot.Snapshot, nodes: Sequence[str], reports: Reports
) -> Iterator[Said]:
    troubles: list[tuple[conditions.Reason, str]] = []
    cut = _cut(site, nodes, reports)
    if cut is not None:
        troubles.append(cut)
    denied = denials.of_site(site, nodes, reports)
    if denied is not None:
        troubles.append((Reason.BROKER_REFUSES, denied))
    broken = [
        f"{node} at record {journal.broken_at} ({journal.broken_reason or 'it does not say why'})"
        for node in sorted(nodes)
        if node in reports and (journal := reports[node].report.journal) is not None
        if journal.broken_at is not None
    ]
    if broken:
        message = f"the journal is broken on {phrases.listed(broken, 'nodes')}: {VERIFY}"
        troubles.append((Reason.JOURNAL_BROKEN, message))
    overloaded = [*_overloaded(nodes, reports)]
    if overloaded:
        troubles.append((Reason.OVERLOADED, phrases.listed(overloaded, "agents", "; ")))
    contradictions = acceptance.of_site(site)
    if contradictions:
        troubles.append((contradictions[0].reason, acceptance.message(contradictions)))
    if not _is_young(seen):
        absent = _absent(seen, [node for node in nodes if node not in reports])
        troubles += _absences(seen, *absent)
    if troubles:
        message = "; ".join(message for _, message in troubles)
        yield (Type.DEGRADED, TRUE, troubles[0][0], phrases.fitted(message))


def _cut(
    site: v1alpha1.Site, nodes: Sequence[str], reports: Reports
) -> tuple[conditions.Reason, str] | None:
    """Say which agents have no session with the site's broker, why, and what helps."""
    cut = [
        reports[node].report
        for node in sorted(nodes)
        if node in reports and _misses_broker(reports[node].report)
    ]
    if not cut:
        return None
    credential = site.spec.broker.credential
    shown = f" (the agents show the credential {credential})" if credential else ""
    whom = phrases.listed(map(_broker_problem, cut), "agents", "; ")
    reason = _broker_reason(cut)
    remedy = f"; {reason.remedy}" if reason in REFUSALS.values() else ""
    return reason, phrases.fitted(f"no broker{shown} for {whom}{remedy}")


def _broker_reason(cut: Sequence[report.Report]) -> conditions.Reason:
    """Return the broker's own reason, of the first agent to which it gave one."""
    refused = [REFUSALS[code] for line in cut if (code := line.broker_reason) in REFUSALS]
    return refused[0] if refused else Reason.BROKER_UNREACHABLE


def _misses_broker(agent_report: report.Report) -> bool:
    return not agent_report.broker_connected and agent_report.uptime_seconds >= health.BEAT_FRESH


def _broker_problem(agent_report: report.Report) -> str:
    return f"{agent_report.node}: {agent_report.broker_problem or 'it does not say why'}"


def _unheld(device: binding.BoundDevice, seen: snapshot.Snapshot, reports: Reports) -> Said:
    """Say why nobody holds the device."""
    site = device.device.spec.site
    if not device.reachable_from:
        reason = Reason.NO_AGENT if seen.index.nodes_of.get(site) else Reason.NO_NODES
        message = f"no node of site {site} can reach the device"
        return (Type.CONNECTED, UNKNOWN, reason, message)
    able = [reports[node].report for node in device.reachable_from if node in reports]
    if not able:
        message = f"no agent that could hold it reports: {_silent(seen, device.reachable_from)}"
        return (Type.CONNECTED, UNKNOWN, Reason.AGENT_SILENT, phrases.fitted(message))
    if all(_misses_broker(agent_report) for agent_report in able):
        cut = phrases.listed(
            (_broker_problem(agent_report) for agent_report in able), "agents", "; "
        )
        message = f"no agent that could hold it reaches the site's broker: {cut}"
        return (Type.CONNECTED, FALSE, _broker_reason(able), phrases.fitted(message))
    return (Type.CONNECTED, UNKNOWN, Reason.AUTHORITY_MOVING, "no agent holds it yet")

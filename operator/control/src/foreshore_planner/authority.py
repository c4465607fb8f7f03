"""Who may command one device, from all that is seen: what `succession` decides by, put together.

Called by `plan` for every accepted device, and by the fold for those that something changed for.
"""

from foreshore_planner import binding, health, quarantine, snapshot, succession


def of(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    bound: binding.BoundSnapshot,
    device: binding.BoundDevice,
) -> succession.Succession:
    """Decide what becomes of a device's authority."""
    return succession.decide(view(seen, verdicts, bound, device))


def view(
    seen: snapshot.Snapshot,
    verdicts: health.Health,
    bound: binding.BoundSnapshot,
    device: binding.BoundDevice,
) -> succession.DeviceView:
    """Return a device with all that its authority depends on."""
    authority = device.device.status.authority
    nodes = seen.index.nodes
    holder = authority.holder if authority is not None else None
    return succession.DeviceView(
        now=seen.now,
        device=device.device,
        lease=device.lease_seconds,
        fence=device.fence,
        longest_time_to_live=succession.longest_time_to_live(bound.policies_of(device.key)),
        agents=succession.reporting(seen, device.reachable_from),
        lost=frozenset(node for node in device.reachable_from if verdicts.of(node).is_lost),
        holder=verdicts.of(holder) if holder is not None else None,
        own=seen.index.reports.get(holder) if holder is not None else None,
        may_hold=holder in device.reachable_from,
        is_held=device.device.spec.site in verdicts.held_sites,
        is_fleet_held=verdicts.is_fleet_held
        and device.device.spec.site not in verdicts.ended_holds,
        fleet=seen.fleet,
        fleet_age=seen.fleet_age,
        renewals=seen.fleet_index.renewals.get(device.key, ()),
        falls={
            node: falls
            for node in {*device.reachable_from, holder or ""}
            if (falls := quarantine.count(nodes.get(node)))
        },
        quarantined={
            node: words
            for node in device.reachable_from
            if (words := quarantine.words(nodes[node], seen.now)) is not None
        },
        given_back=seen.fleet_index.given_back.get(device.key, ()),
    )

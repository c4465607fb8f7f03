"""The devices of a site that an agent can reach, or that its policies read, with their profiles."""

from collections.abc import Container, Iterable, Mapping

from foreshore_api import conditions, scalars, v1alpha1
from foreshore_api import resources as contract
from foreshore_api.v1alpha1 import protection
from foreshore_api.wire import assignment, report
from foreshore_decision import in_force, narrowing, policy, remembered
from foreshore_decision.assignment import digests, references, snapshot
from foreshore_decision.policy import acceptance


def assigned(
    resources: snapshot.Resources,
    site: v1alpha1.Site,
    node_labels: Mapping[str, str],
    given: snapshot.LocalStatuses | None,
    last: references.LastGood,
) -> tuple[tuple[assignment.AssignedDevice, ...], tuple[report.Problem, ...]]:
    """Return the devices of the site that an agent with these node labels can reach."""
    reachable = (
        device for device in _of_site(resources, site) if is_reachable(device, node_labels)
    )
    return _resolved_all(reachable, resources, given, last)


def read_only(
    resources: snapshot.Resources,
    site: v1alpha1.Site,
    names: Container[str],
    last: references.LastGood,
) -> tuple[tuple[assignment.AssignedDevice, ...], tuple[report.Problem, ...]]:
    """Return the devices of these names at the site, of which only the telemetry matters.

    The agent cannot reach them, so it is given no right to them, whoever has it.
    """
    read = (device for device in _of_site(resources, site) if device.name in names)
    return _resolved_all(read, resources, snapshot.LocalStatuses(), last)


def _of_site(resources: snapshot.Resources, site: v1alpha1.Site) -> Iterable[v1alpha1.Device]:
    return resources.devices_at.get((site.namespace, site.name), ())


def _resolved_all(
    wanted: Iterable[v1alpha1.Device],
    resources: snapshot.Resources,
    given: snapshot.LocalStatuses | None,
    last: references.LastGood,
) -> tuple[tuple[assignment.AssignedDevice, ...], tuple[report.Problem, ...]]:
    profiles = {(profile.namespace, profile.name): profile for profile in resources.profiles}
    devices: list[assignment.AssignedDevice] = []
    problems: list[report.Problem] = []
    for device in wanted:
        if not contract.is_name(device.name, device.longest_name):
            problems.append(_unsayable(device))
            continue
        chosen = _chosen(device, profiles, last)
        if chosen.held_back is not None:
            kept = "" if chosen.value is None else "the profile that it had last"
            problems.append(references.problem(device, chosen.held_back, kept))
        if chosen.value is not None:
            grant = _grant(device, chosen.value.profile.authority, given)
            devices.append(chosen.value.model_copy(update={"grant": grant}))
    return tuple(devices), tuple(problems)


def is_reachable(device: v1alpha1.Device, node_labels: Mapping[str, str]) -> bool:
    """Whether an agent on a node with these labels can reach the device."""
    reachable = device.spec.reachable_from
    wanted = reachable.node_selector if reachable is not None else {}
    return all(node_labels.get(key) == value for key, value in wanted.items())


def _chosen(
    device: v1alpha1.Device,
    profiles: Mapping[snapshot.Name, v1alpha1.DeviceProfile],
    last: references.LastGood,
) -> in_force.InForce[assignment.AssignedDevice]:
    """Return the device with its profile, else as it was assigned last."""
    name = device.spec.profile_ref.name
    profile = profiles.get((device.namespace, name))
    obstacle = _obstacle(device, name, profile)
    if profile is not None and obstacle is None:
        resolved = _resolved(device, profile)
        return in_force.choose([in_force.good(resolved)])
    newest = in_force.Option[assignment.AssignedDevice](None, obstacle)
    return in_force.choose((newest, in_force.Option(references.kept_device(last, device))))


def _obstacle(
    device: v1alpha1.Device, name: str, profile: v1alpha1.DeviceProfile | None
) -> in_force.Obstacle | None:
    """Return why a device cannot be worked with as it stands."""
    if profile is None:
        return in_force.dangling(v1alpha1.DeviceProfile.kind, name, device.namespace)
    try:
        wrong = acceptance.of_reading(profile, device)
    except Exception as error:  # noqa: BLE001 - said as the device's problem: it costs no other
        wrong = (policy.unexpected(error),)
    if not wrong:
        return None
    is_own = wrong[0].path.startswith("spec.parameters[")
    where = "" if is_own else f"DeviceProfile {name}, "
    return in_force.Obstacle(wrong[0].reason, f"{where}{acceptance.message(wrong)}")


@remembered.while_alive
def _resolved(
    device: v1alpha1.Device, profile: v1alpha1.DeviceProfile
) -> assignment.AssignedDevice:
    """Return a device without its right: the same for all nodes of a site, until it is edited."""
    narrowed = narrowing.narrowed(profile.spec, device.spec)
    return assignment.AssignedDevice(
        namespace=device.namespace,
        name=device.name,
        uid=device.metadata.uid or "",
        generation=device.metadata.generation or 0,
        digest=digests.device_digest(device.spec, narrowed),
        labels=dict(sorted(device.metadata.labels.items())),
        spec=device.spec,
        profile=narrowed,
    )


def _grant(
    device: v1alpha1.Device, times: protection.AuthoritySpec, given: snapshot.LocalStatuses | None
) -> assignment.Grant | None:
    if given is not None:
        holder, epoch = given.grants.get((device.namespace, device.name), (None, 0))
    elif device.status.authority is not None:
        holder, epoch = device.status.authority.holder, device.status.authority.epoch
    else:
        return None
    if holder is None:
        return None
    return assignment.Grant(
        holder=holder,
        epoch=epoch,
        lease_seconds=scalars.seconds(times.lease_duration),
        offline_seconds=scalars.seconds(times.offline_grant),
    )


def _unsayable(device: v1alpha1.Device) -> report.Problem:
    """A definition that is older than this release may have let it in."""
    return report.Problem(
        kind=device.kind,
        namespace=device.namespace,
        name=device.name[:253],
        generation=device.metadata.generation or 0,
        reason=conditions.Reason.INVALID,
        message=f"a name has at most {device.longest_name} characters and is a DNS label: make the"
        " Device anew under another name",
    )

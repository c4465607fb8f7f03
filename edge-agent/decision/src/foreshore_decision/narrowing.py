"""What holds of two at once, only ever narrower: of profile and device, of two policies.

`assignment.compile` narrows a DeviceProfile for each Device, as the operator does for what it
checks policies against. The agent narrows a policy that stays in force by the newer generation that
cannot take effect yet: what a person tightens holds at once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from foreshore_api import scalars, v1alpha1
from foreshore_api.v1alpha1 import actuation, protection
from foreshore_decision import remembered
from foreshore_decision.chain import modes


@dataclass(frozen=True, slots=True)
class NarrowedDevice:
    """A Device and its profile as it holds for it: what policies are compiled for, or read."""

    device: v1alpha1.Device
    written: v1alpha1.DeviceProfile

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return self.device.namespace

    @property
    def name(self) -> str:
        """Its name."""
        return self.device.name

    @property
    def uid(self) -> str:
        """Its identity."""
        return self.device.metadata.uid or ""

    @property
    def profile(self) -> v1alpha1.DeviceProfileSpec:
        """Its profile, narrowed."""
        return narrowed(self.written.spec, self.device.spec)


DevicesByName: TypeAlias = Mapping[str, NarrowedDevice]
"""Devices of one site."""


def by_site(
    devices: Iterable[v1alpha1.Device],
    profiles: Mapping[tuple[str, str], v1alpha1.DeviceProfile],
) -> Mapping[tuple[str, str], DevicesByName]:
    """Return the devices that have a profile, by namespace and site; `profiles` are by name."""
    sites: dict[tuple[str, str], dict[str, NarrowedDevice]] = {}
    for device in devices:
        profile = profiles.get((device.namespace, device.spec.profile_ref.name))
        if profile is not None:
            site = sites.setdefault((device.namespace, device.spec.site), {})
            site[device.name] = NarrowedDevice(device, profile)
    return sites


NARROWING: Final = (
    "limits",
    "interlocks",
    "deadman",
    "relinquish_default",
    "actuator_rate_limit",
    "override",
    "on_loss",
    "confirmation",
    "authority",
    "guards",
    "clock",
)
"""Fields by which a Device narrows its profile: all that `narrow` reads."""


def narrowed(
    profile: v1alpha1.DeviceProfileSpec, device: v1alpha1.DeviceSpec
) -> v1alpha1.DeviceProfileSpec:
    """Return what `narrow` does, the same object while both live.

    It is one object for all devices that narrow nothing: thousands have the same profile.
    """
    if any(getattr(device, name) for name in NARROWING):
        return _of_both(profile, device)
    return _of_all(profile, device=device)


@remembered.while_alive
def _of_both(
    profile: v1alpha1.DeviceProfileSpec, device: v1alpha1.DeviceSpec
) -> v1alpha1.DeviceProfileSpec:
    return narrow(profile, device)


@remembered.while_alive
def _of_all(
    profile: v1alpha1.DeviceProfileSpec, *, device: v1alpha1.DeviceSpec
) -> v1alpha1.DeviceProfileSpec:
    return narrow(profile, device)


def narrow(
    profile: v1alpha1.DeviceProfileSpec, device: v1alpha1.DeviceSpec
) -> v1alpha1.DeviceProfileSpec:
    """Return the profile as it holds for one device."""
    return profile.model_copy(
        update={
            "limits": _narrow_limits(profile.limits, device.limits),
            "interlocks": (*profile.interlocks, *device.interlocks),
            "deadman": device.deadman or profile.deadman,
            "relinquish_default": device.relinquish_default or profile.relinquish_default,
            "actuator_rate_limit": _narrow_rate(
                profile.actuator_rate_limit, device.actuator_rate_limit
            ),
            "override": device.override or profile.override,
            "on_loss": device.on_loss or profile.on_loss,
            "confirmation": device.confirmation or profile.confirmation,
            "authority": _narrow_authority(profile.authority, device.authority),
            "guards": _narrow_guards(profile.guards, device.guards),
            "clock": device.clock or profile.clock,
        }
    )


def tighten(
    kept: v1alpha1.DeviceProfileSpec, device: v1alpha1.DeviceSpec
) -> v1alpha1.DeviceProfileSpec:
    """Return a profile that stays in force within what its Device has narrowed since.

    What a Device may also replace (`confirmation`, `guards`, what follows a loss) waits for the
    profile: a replacement may be wider. So do limits of actions that this profile does not have.
    """
    taken = {(action.name, value.name) for action in kept.actions for value in action.input}
    limits = tuple(limit for limit in device.limits if (limit.action, limit.input) in taken)
    added = tuple(interlock for interlock in device.interlocks if interlock not in kept.interlocks)
    return kept.model_copy(
        update={
            "limits": _narrow_limits(kept.limits, limits),
            "interlocks": (*kept.interlocks, *added),
            "actuator_rate_limit": _narrow_rate(
                kept.actuator_rate_limit, device.actuator_rate_limit
            ),
            "authority": _narrow_authority(kept.authority, device.authority),
        }
    )


def lower(
    kept: v1alpha1.DecisionPolicySpec, wanted: v1alpha1.DecisionPolicySpec
) -> v1alpha1.DecisionPolicySpec:
    """Return a policy in no higher mode than another asks for, also while records are not written.

    Its rules stay whole: those of the other may read what its model alone says.
    """
    capped = min(kept.degraded.on_recorder_full, wanted.degraded.on_recorder_full, key=_rank)
    return kept.model_copy(
        update={
            "mode": min(kept.mode, wanted.mode, key=modes.RANK.__getitem__),
            "degraded": kept.degraded.model_copy(update={"on_recorder_full": capped}),
        }
    )


def limit(
    kept: v1alpha1.DecisionPolicySpec, wanted: v1alpha1.DecisionPolicySpec
) -> v1alpha1.DecisionPolicySpec:
    """Return a policy within the limits of another too: those of the action, and its rate."""
    update: dict[str, object] = {"rate_limit": _narrow_rate(kept.rate_limit, wanted.rate_limit)}
    if kept.action.name == wanted.action.name:
        taken = {argument.name for argument in kept.action.input}
        limits = _narrow_action(kept.action.limits, wanted.action.limits)
        held = tuple(limit for limit in limits if limit.input in taken)
        update["action"] = kept.action.model_copy(update={"limits": held})
    return kept.model_copy(update=update)


def _rank(cap: actuation.ModeCap) -> int:
    return modes.RANK[v1alpha1.Mode(cap.value)]


def _narrow_action(
    kept: tuple[actuation.ActionLimit, ...], wanted: tuple[actuation.ActionLimit, ...]
) -> tuple[actuation.ActionLimit, ...]:
    merged = {limit.input: limit for limit in kept}
    for limit in wanted:
        previous = merged.get(limit.input)
        merged[limit.input] = limit if previous is None else _tightest(previous, limit)
    return tuple(merged.values())


def _narrow_limits(
    profile: tuple[protection.Limit, ...], device: tuple[protection.Limit, ...]
) -> tuple[protection.Limit, ...]:
    merged: dict[tuple[str, str], protection.Limit] = {}
    for limit in (*profile, *device):
        key = (limit.action, limit.input)
        previous = merged.get(key)
        merged[key] = limit if previous is None else _tightest(previous, limit)
    return tuple(merged[key] for key in sorted(merged))


L = TypeVar("L", protection.Limit, actuation.ActionLimit)


def _tightest(limit: L, other: L) -> L:
    minima = [value for value in (limit.minimum, other.minimum) if value is not None]
    maxima = [value for value in (limit.maximum, other.maximum) if value is not None]
    steps = [value for value in (limit.maximum_step, other.maximum_step) if value is not None]
    return limit.model_copy(
        update={
            "minimum": max(minima, key=scalars.number, default=None),
            "maximum": min(maxima, key=scalars.number, default=None),
            "maximum_step": min(steps, key=scalars.number, default=None),
        }
    )


def _narrow_rate(
    profile: protection.RateLimitSpec | None, device: protection.RateLimitSpec | None
) -> protection.RateLimitSpec | None:
    """Return one limit that keeps both: longer distance, smaller burst, longer window.

    Where neither window implies the other this is stricter than both together, never looser.
    """
    if profile is None or device is None:
        return profile or device
    both = (profile, device)
    intervals = [rate.minimum_interval for rate in both if rate.minimum_interval is not None]
    bursts = [rate.burst for rate in both if rate.burst is not None]
    windows = [rate.per for rate in both if rate.per is not None]
    return protection.RateLimitSpec(
        minimum_interval=max(intervals, key=scalars.seconds, default=None),
        burst=min(bursts, default=None),
        per=max(windows, key=scalars.seconds, default=None),
    )


def _narrow_authority(
    profile: protection.AuthoritySpec, device: protection.AuthorityNarrowing | None
) -> protection.AuthoritySpec:
    if device is None:
        return profile
    return protection.AuthoritySpec(
        lease_duration=_shorter(profile.lease_duration, device.lease_duration),
        offline_grant=_shorter(profile.offline_grant, device.offline_grant),
    )


def _shorter(profile: str, device: str | None) -> str:
    return profile if device is None else min(profile, device, key=scalars.seconds)


def _narrow_guards(
    profile: protection.Guards, device: protection.GuardsNarrowing | None
) -> protection.Guards:
    if device is None:
        return profile
    narrower: dict[str, object] = {
        name: protection.Check.IGNORED
        for name in ("epoch", "freshness", "duplicates")
        if getattr(device, name) is protection.Check.IGNORED
    }
    if device.fence is protection.Fence.ADAPTER:
        narrower["fence"] = device.fence
    return profile.model_copy(update=narrower)

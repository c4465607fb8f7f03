"""In which mode a policy works: what it asks for, lowered the way its agents lower it, and by whom.

`status` calls it. Both rules are the agents' own: what a device does not answer for is held against
every policy, and an agent whose journal is full works by `degraded.onRecorderFull`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from foreshore_api import conditions, v1alpha1
from foreshore_api.reasons import cap as reasons
from foreshore_api.wire import report
from foreshore_decision import policy as deciding
from foreshore_decision.chain import modes
from foreshore_planner import binding, phrases


@dataclass(frozen=True, slots=True)
class Lowering:
    """One cap, and who is held to it: nodes, or devices of a profile."""

    cap: deciding.Cap
    whom: str


@dataclass(frozen=True, slots=True)
class EffectiveMode:
    """The mode a policy works in, below what it asks for where something lowers it."""

    asked: v1alpha1.Mode
    mode: v1alpha1.Mode
    lowered: tuple[Lowering, ...]

    @property
    def reason(self) -> conditions.Reason:
        """The reason of a condition; a full recorder needs somebody soon, so it comes first."""
        is_full = any(lowering.cap.reason == reasons.RECORDER_FULL for lowering in self.lowered)
        return conditions.Reason.RECORDER_FULL if is_full else conditions.Reason.MODE_CAPPED

    @property
    def message(self) -> str:
        """What lowers the mode, of whom, and what to do about it."""
        causes = "; ".join(
            f"{lowering.cap.reason} {lowering.whom}: {_remedy(lowering.cap)}"
            for lowering in self.lowered
        )
        return phrases.fitted(f"asks for {self.asked}, {self.mode} is in force: {causes}")


def in_force(
    policy: binding.BoundPolicy,
    bound: binding.BoundSnapshot,
    agents: Sequence[report.AgentEvidence],
) -> EffectiveMode | None:
    """Return the lowest mode in which any agent works for any device; None if not accepted.

    `agents` are those of the policy's sites that report. A cap that one of them reported last
    counts until it reports again or falls silent.
    """
    if policy.problem is not None:
        return None
    asked = policy.policy.spec.mode
    lowerings = [*_of_agents(policy, agents)]
    if modes.is_acting(asked):  # a device never lowers a policy below Advise
        lowerings += _of_devices(policy, bound)
    mode, caps = modes.effective(asked, [lowering.cap for lowering in lowerings])
    return EffectiveMode(
        asked, mode, tuple(lowering for lowering in lowerings if lowering.cap in caps)
    )


def _remedy(lowering: deciding.Cap) -> str:
    """Return what a person can do; "there" is the profile that is named before it."""
    row = reasons.TABLE.get(lowering.reason)
    return "see its status" if row is None else row.remedy


def _of_agents(
    policy: binding.BoundPolicy, agents: Sequence[report.AgentEvidence]
) -> Iterator[Lowering]:
    full = sorted(agent.node for agent in agents if reasons.RECORDER_FULL in agent.report.capped_by)
    if full:
        lowered = v1alpha1.Mode(policy.policy.spec.degraded.on_recorder_full.value)
        cap = deciding.Cap(reasons.RECORDER_FULL, lowered)
        yield Lowering(cap, f"on node {phrases.listed(full)}")


def _of_devices(policy: binding.BoundPolicy, bound: binding.BoundSnapshot) -> Iterator[Lowering]:
    """Group by cap and profile: all devices of a profile usually lack the same."""
    lacking: dict[tuple[deciding.Cap, str], list[str]] = {}
    for keys in policy.sites.values():
        for key in keys:
            device = bound.devices[key]
            narrowed = device.narrowed
            for cap in deciding.caps(policy.policy.spec, narrowed) if narrowed is not None else ():
                profile = device.device.spec.profile_ref.name
                lacking.setdefault((cap, profile), []).append(key[1])
    for (cap, profile), devices in lacking.items():
        whom = f"of {phrases.listed(sorted(devices), 'devices')} (DeviceProfile {profile})"
        yield Lowering(cap, whom)

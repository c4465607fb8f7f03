"""In which mode a policy works: what it asks for, lowered the way its agents lower it.

`status` calls it. Both rules are the agents' own: what a device does not answer for is held against
every policy, and an agent whose journal is full works by `degraded.onRecorderFull`.
"""

from collections.abc import Iterator, Sequence

from foreshore_api import v1alpha1
from foreshore_api.wire import report
from foreshore_decision import policy as deciding
from foreshore_decision.chain import modes, reasons
from foreshore_planner import binding


def in_force(
    one: binding.BoundPolicy, bound: binding.Binding, agents: Sequence[report.AgentEvidence]
) -> v1alpha1.Mode | None:
    """Return the lowest mode in which any agent works for any device; None if not accepted.

    `agents` are those of the policy's sites that report. A cap that one of them reported last
    counts until it reports again or falls silent.
    """
    if one.problem is not None:
        return None
    asked = one.policy.spec.mode
    caps = [*_of_agents(one, agents)]
    if modes.is_acting(asked):  # a device never lowers a policy below Advise
        caps += _of_devices(one, bound)
    return modes.effective(asked, caps)[0]


def _of_agents(
    one: binding.BoundPolicy, agents: Sequence[report.AgentEvidence]
) -> Iterator[deciding.Cap]:
    if any(reasons.RECORDER_FULL in agent.report.capped_by for agent in agents):
        lowered = v1alpha1.Mode(one.policy.spec.degraded.on_recorder_full.value)
        yield deciding.Cap(reasons.RECORDER_FULL, lowered)


def _of_devices(one: binding.BoundPolicy, bound: binding.Binding) -> Iterator[deciding.Cap]:
    for keys in one.sites.values():
        for key in keys:
            narrowed = bound.devices[key].narrowed
            if narrowed is not None:  # always so: only accepted devices are bound
                yield from deciding.caps(narrowed)

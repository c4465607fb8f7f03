"""What a site's broker denies its agents, as they report it; `connection` says it."""

from collections.abc import Mapping, Sequence
from typing import Final

from foreshore_api import conditions, v1alpha1
from foreshore_api.wire import report
from foreshore_planner import phrases

REMEDY: Final = "write its access list again (foreshore-agent broker-acl)"
ROOM: Final = phrases.LONGEST - len(REMEDY) - 40
"""Characters for what agents say, of the message of a condition."""


def of_agent(agent_report: report.Report, namespace: str, site: str) -> str | None:
    """Return what the site's broker denies one agent, or None where it denies nothing."""
    about = (v1alpha1.Site.kind, namespace, site)
    for problem in agent_report.problems:
        is_denial = problem.reason == conditions.Reason.BROKER_REFUSES
        if is_denial and (problem.kind, problem.namespace, problem.name) == about:
            return problem.message
    return None


def of_site(
    site: v1alpha1.Site, nodes: Sequence[str], reports: Mapping[str, report.AgentEvidence]
) -> str | None:
    """Return what the site's broker denies which of its agents, or None."""
    place = (site.metadata.namespace or "", site.metadata.name)
    first: dict[str, str] = {}
    parts: list[str] = []
    for node in sorted(node for node in nodes if node in reports):
        message = of_agent(reports[node].report, *place)
        if message is not None:
            other = first.setdefault(message, node)
            parts.append(f"{node}: {message if other == node else f'as {other}'}")
    return f"{phrases.listed(parts, 'agents', '; ')[:ROOM]}; {REMEDY}" if parts else None

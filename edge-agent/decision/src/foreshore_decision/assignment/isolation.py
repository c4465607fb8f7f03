"""In whose process a model runs, as far as the resources decide it.

    ModelVersion asks Agent ──no──► Child
        └──yes── Site allows Agent ──no──► Child
                     └──yes──► Agent: an endpoint in the agent itself, before all others

Also of a model that is kept because its reference dangles: what a Site allowed last is no reason to
go on once it does not any more. The planner asks the same rule (`is_denied`).
"""

from foreshore_api import v1alpha1
from foreshore_api.wire import assignment


def runs_in_agents(version: v1alpha1.ModelVersionSpec, site: v1alpha1.SiteSpec) -> bool:
    """Whether agents of a site may run a version in their own process."""
    asked, allowed = version.runtime.isolation, site.isolation
    return asked is v1alpha1.Isolation.AGENT and allowed is v1alpha1.Isolation.AGENT


def settled(model: assignment.AssignedModel, site: v1alpha1.SiteSpec) -> assignment.AssignedModel:
    """Return the model with the isolation that takes effect at a site."""
    is_in_agent = runs_in_agents(model.artefact, site)
    chosen = v1alpha1.Isolation.AGENT if is_in_agent else v1alpha1.Isolation.CHILD
    return model.model_copy(update={"isolation": chosen})


def endpoints(
    policy: v1alpha1.DecisionPolicy, model: assignment.AssignedModel | None, node: str
) -> tuple[assignment.Endpoint, ...]:
    """Return the agent's own endpoint, if it has one for this model."""
    if model is None or model.isolation is not v1alpha1.Isolation.AGENT:
        return ()
    own = assignment.Endpoint(
        slot=assignment.OWN_SLOT,
        role=assignment.Role.ACTIVE,
        node=node,
        url=assignment.in_agent(model.artefact.digest),
        policy_generation=policy.metadata.generation or 0,
        version=model.version,
        digest=model.artefact.digest,
    )
    return (own,)


def denials(assigned: assignment.Assignment) -> tuple[str, ...]:
    """Return what is said of models that are to run in agents and may not, once a version.

    No problems: such a model works as any other does, in a child.
    """
    site = assigned.site
    if site is None:
        return ()
    versions = {
        policy.model.version
        for policy in assigned.policies
        if policy.model is not None and is_denied(policy.model.artefact, site.spec)
    }
    return tuple(denial(version, site.name) for version in sorted(versions))


def is_denied(version: v1alpha1.ModelVersionSpec, site: v1alpha1.SiteSpec) -> bool:
    """Whether a version asks for what the site does not allow."""
    is_asked = version.runtime.isolation is v1alpha1.Isolation.AGENT
    return is_asked and not runs_in_agents(version, site)


def denial(version: str, site: str) -> str:
    """Say of a version that a site does not let its agents run it, and what would change that."""
    return (
        f"ModelVersion {version} asks isolation Agent, and Site {site} does not allow it: it runs"
        f" in processes of its own; set isolation: Agent in Site {site}, or ask Child by a new"
        " version"
    )

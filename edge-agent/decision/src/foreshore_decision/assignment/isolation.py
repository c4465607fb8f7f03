"""In whose process a model runs, as far as the resources decide it.

    ModelVersion asks Agent ──no──► Child
        └──yes── Site allows Agent ──no──► Child
                     └──yes── CPU computes it ──no──► Child
                                   └──yes──► Agent: an endpoint in the agent itself, before others

An agent has no accelerator, and the driver of one would share its process and its memory. Also of a
model that is kept because its reference dangles: what a Site allowed last is no reason to
go on once it does not any more. The planner asks the same rule (`denial`).
"""

from foreshore_api import v1alpha1
from foreshore_api.wire import assignment


def runs_in_agents(version: v1alpha1.ModelVersionSpec, site: v1alpha1.SiteSpec) -> bool:
    """Whether agents of a site may run a version in their own process."""
    asked, allowed = version.runtime.isolation, site.isolation
    is_allowed = asked is v1alpha1.Isolation.AGENT and allowed is v1alpha1.Isolation.AGENT
    return is_allowed and _is_computed_by_cpu(version)


def _is_computed_by_cpu(version: v1alpha1.ModelVersionSpec) -> bool:
    is_first = version.runtime.providers[0] is v1alpha1.modelversion.ExecutionProvider.CPU
    return is_first and version.resources.accelerator is None


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
    models = {policy.model.version: policy.model for policy in assigned.policies if policy.model}
    every = (
        denial(version, model.artefact, site.name, site.spec)
        for version, model in sorted(models.items())
    )
    return tuple(message for message in every if message)


def denial(
    version: str, artefact: v1alpha1.ModelVersionSpec, site: str, allowed: v1alpha1.SiteSpec
) -> str:
    """Say why agents of a site may not run a version that asks for it, and what would change that.

    Empty where they may, or nobody asks.
    """
    is_asked = artefact.runtime.isolation is v1alpha1.Isolation.AGENT
    if not is_asked or runs_in_agents(artefact, allowed):
        return ""
    begin = f"ModelVersion {version} asks isolation Agent, and"
    if allowed.isolation is not v1alpha1.Isolation.AGENT:
        return (
            f"{begin} Site {site} does not allow it: it runs in processes of its own; set"
            f" isolation: Agent in Site {site}, or ask Child by a new version"
        )
    accelerator = artefact.resources.accelerator
    first = artefact.runtime.providers[0] if accelerator is None else accelerator.name
    return (
        f"{begin} {first}, which agents have not: it runs in processes of its own; want CPU first"
        " and no accelerator, or ask Child, by a new version"
    )

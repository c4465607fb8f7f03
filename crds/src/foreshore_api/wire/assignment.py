"""The desired state of one agent: one document.

Computed by `foreshore_decision.assignment.compile`, carried down by the hub.

It names credentials and never contains them. `digest` covers everything but lineage, generation and
itself. An agent refuses an older generation within one lineage, writes what it takes to disk before
it acts on it, and keeps the last version of a policy that compiled when a newer one does not.
"""

from typing import Annotated, Final

from pydantic import Field

from foreshore_api import meta, v1alpha1
from foreshore_api.wire import document

DEVICES: Final = 10_000
"""Devices of one site at most."""
POLICIES: Final = 1_000
"""Policies at one site at most."""
PROBES: Final = 1_000
"""Peers that one agent times at most."""

Role = v1alpha1.inferenceplacement.Role
"""Whether a replica takes calls first or waits, warm."""


IN_AGENT: Final = "agent:"
"""Scheme of the endpoint of a model that runs in the process of the agent itself; the hexadecimal
digits of its digest follow."""
OWN_SLOT: Final = "r0"
"""Slot of that endpoint: there is one in an agent, whatever slots pods have."""


def in_agent(digest: str) -> str:
    """Return the address of the model with this digest in the agent itself."""
    return IN_AGENT + digest.removeprefix("sha256:")


def is_in_agent(url: str) -> bool:
    """Whether an endpoint's address, as assignments and reports have it, is an agent itself."""
    return url.startswith(IN_AGENT)


class Endpoint(document.WireDocument):
    """Where one replica of a model answers; agents try endpoints in the order given."""

    slot: str = Field(max_length=3)
    """`r0`, `r1`, …: slots stay, roles move."""
    role: Role
    node: document.Name
    url: document.Url
    """`http://<address>:<port>`, or `unix:<path>` in folder mode; never a DNS name.
    `agent:<digest without sha256:>`: the agent itself, as far as it can."""
    policy_generation: document.Count = 0
    """The policy's generation that this replica serves; 0 where nobody said so."""
    version: document.Name = ""
    """Name of the ModelVersion that answers here; its answers name it too."""
    digest: document.Digest = ""
    """Digest of the bytes that answer here; its answers name it too."""
    node_class: document.Label | None = None
    """Which nodes compute as this one does (`node_class`); absent where nobody said so."""

    @property
    def is_in_agent(self) -> bool:
        """Whether the model runs in the process of the agent that is assigned this."""
        return is_in_agent(self.url)


class AssignedModel(document.WireDocument):
    """The model version of a policy, with the shapes that features are built to."""

    name: document.Name
    version: document.Name
    model: v1alpha1.ModelSpec
    artefact: v1alpha1.ModelVersionSpec
    isolation: v1alpha1.Isolation = v1alpha1.Isolation.CHILD
    """In whose process it is to run by the resources: Agent where the ModelVersion asks it, the
    Site allows it and CPU computes it. Whether an agent can is the agent's to decide, and to report
    where it cannot."""


class AssignedPolicy(document.WireDocument):
    """One policy at this site; every agent of the site gets it, so that a successor is warm."""

    namespace: document.Label
    name: document.Name
    uid: document.Identity
    generation: document.Count
    digest: document.Digest
    """SHA-256 of the canonical JSON of `spec`."""
    spec: v1alpha1.DecisionPolicySpec
    devices: tuple[document.Label, ...] = Field(max_length=DEVICES, fail_fast=True)
    """Names of the bound devices of this site, sorted."""
    model: AssignedModel | None = None
    endpoints: tuple[Endpoint, ...] = Field(default=(), max_length=64, fail_fast=True)


class Grant(document.WireDocument):
    """The right to command one device; it is obeyed only while renewed (see `wire.beat`)."""

    holder: document.Name
    epoch: document.Count
    lease_seconds: document.Seconds = Field(gt=0)
    offline_seconds: document.Seconds


class AssignedDevice(document.WireDocument):
    """One device of this site. `profile` is already narrowed by what the Device says."""

    namespace: document.Label
    name: document.Label
    uid: document.Identity
    generation: document.Count
    digest: document.Digest
    """SHA-256 of the canonical JSON of `spec` and `profile`."""
    labels: dict[Annotated[str, Field(max_length=317)], document.Label] = Field(
        default_factory=dict, max_length=meta.LABELS
    )
    spec: v1alpha1.DeviceSpec
    profile: v1alpha1.DeviceProfileSpec
    grant: Grant | None = None


class AssignedSite(document.WireDocument):
    """The site this agent's node belongs to."""

    namespace: document.Label
    name: document.Name
    spec: v1alpha1.SiteSpec


class ProbeTarget(document.WireDocument):
    """A peer agent whose echo this agent times."""

    node: document.Name
    url: document.Url
    site: document.Name | None = None
    """The site it is of; absent for a node of none."""
    node_class: document.Label | None = None
    """Which nodes compute as its own does; absent where nobody said so."""


class Assignment(document.WireDocument):
    """The whole desired state of one agent."""

    lineage: document.Identity = ""
    """Identity of the hub store that counts the generations."""
    generation: document.Count = 0
    digest: document.Digest = ""
    node: document.Name
    site: AssignedSite | None = None
    """Absent for a node of no site: its agent only answers and sends probes."""
    devices: tuple[AssignedDevice, ...] = Field(default=(), max_length=DEVICES, fail_fast=True)
    policies: tuple[AssignedPolicy, ...] = Field(default=(), max_length=POLICIES, fail_fast=True)
    probes: tuple[ProbeTarget, ...] = Field(default=(), max_length=PROBES, fail_fast=True)

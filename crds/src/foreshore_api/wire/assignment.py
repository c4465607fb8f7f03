"""The desired state of one agent: one document.

Computed by `foreshore_decision.assignment.compile`, carried down by the hub.

It names credentials and never contains them. `digest` covers everything but lineage, generation and
itself. An agent refuses an older generation within one lineage, writes what it takes to disk before
it acts on it, and keeps the last version of a policy that compiled when a newer one does not.
"""

from pydantic import Field

from foreshore_api import v1alpha1
from foreshore_api.wire import document

Role = v1alpha1.inferenceplacement.Role
"""Whether a replica takes calls first or waits, warm."""


class Endpoint(document.Document):
    """Where one replica of a model answers; agents try endpoints in the order given."""

    slot: str = Field(max_length=3)
    """`r0`, `r1`, …: slots stay, roles move."""
    role: Role
    node: str = Field(max_length=253)
    url: str = Field(max_length=512)
    """`http://<address>:<port>`, or `unix:<path>` in folder mode; never a DNS name."""
    policy_generation: int = Field(default=0, ge=0)
    """The policy's generation that this replica serves; 0 where nobody said so."""
    version: str = Field(default="", max_length=253)
    """Name of the ModelVersion that answers here; its answers name it too."""
    digest: str = Field(default="", max_length=71)
    """Digest of the bytes that answer here; its answers name it too."""


class AssignedModel(document.Document):
    """The model version of a policy, with the shapes that features are built to."""

    name: str
    version: str
    model: v1alpha1.ModelSpec
    artefact: v1alpha1.ModelVersionSpec


class AssignedPolicy(document.Document):
    """One policy at this site; every agent of the site gets it, so that a successor is warm."""

    namespace: str
    name: str
    uid: str
    generation: int
    digest: str
    """SHA-256 of the canonical JSON of `spec`."""
    spec: v1alpha1.DecisionPolicySpec
    devices: tuple[str, ...] = Field(max_length=10000)
    """Names of the bound devices of this site, sorted."""
    model: AssignedModel | None = None
    endpoints: tuple[Endpoint, ...] = ()


class Grant(document.Document):
    """The right to command one device; it is obeyed only while renewed (see `wire.beat`)."""

    holder: str
    epoch: int = Field(ge=0)
    lease_seconds: float = Field(gt=0)
    offline_seconds: float = Field(ge=0)


class AssignedDevice(document.Document):
    """One device of this site. `profile` is already narrowed by what the Device says."""

    namespace: str
    name: str
    uid: str
    generation: int
    digest: str
    """SHA-256 of the canonical JSON of `spec` and `profile`."""
    labels: dict[str, str] = Field(default_factory=dict)
    spec: v1alpha1.DeviceSpec
    profile: v1alpha1.DeviceProfileSpec
    grant: Grant | None = None


class AssignedSite(document.Document):
    """The site this agent's node belongs to."""

    namespace: str
    name: str
    spec: v1alpha1.SiteSpec


class ProbeTarget(document.Document):
    """A peer agent whose echo this agent times."""

    node: str
    url: str = Field(max_length=512)


class Assignment(document.Document):
    """The whole desired state of one agent."""

    lineage: str = ""
    """Identity of the hub store that counts the generations."""
    generation: int = Field(default=0, ge=0)
    digest: str = ""
    node: str
    site: AssignedSite | None = None
    """Absent for a node of no site: its agent only answers and sends probes."""
    devices: tuple[AssignedDevice, ...] = ()
    policies: tuple[AssignedPolicy, ...] = ()
    probes: tuple[ProbeTarget, ...] = ()

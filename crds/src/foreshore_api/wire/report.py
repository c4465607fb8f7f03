"""Facts up: what an agent tells the hub about itself every few seconds.

And what the hub tells the operator about its fleet.
"""

from datetime import datetime

from pydantic import Field

from foreshore_api.wire import beat, document, histogram


class AssignmentReference(document.Document):
    """Which assignment an agent works by."""

    lineage: str
    generation: int
    digest: str


class Problem(document.Document):
    """Something the agent could not do as asked, as a reason for a condition."""

    kind: str
    namespace: str
    name: str
    generation: int = 0
    reason: str
    message: str = Field(max_length=1024)


class HeldDevice(document.Document):
    """One device of this agent's site as the agent sees it."""

    namespace: str
    device: str
    connected: bool
    """Whether telemetry arrived within three of its usual periods (or maximumAge)."""
    epoch: int | None = None
    standing: str = "None"
    gave_back: bool = False
    """The holder stood down by its own choice (broker lost, disk full, told to stop).

    The operator may move the right at once.
    """
    highest_epoch_seen: int = 0


class EndpointReport(document.Document):
    """How calls of one replica went lately."""

    namespace: str
    policy: str
    slot: str
    node: str
    url: str
    good: int = Field(ge=0)
    late: int = Field(ge=0)
    failed: int = Field(ge=0)
    bad_for_seconds: float | None = None
    """How long every call has failed; absent while calls succeed."""
    reason: str | None = None


class PeerBeat(document.Document):
    """A peer of the site as heard on the broker."""

    node: str
    age_seconds: float = Field(ge=0)
    has_hub: bool
    held: tuple[beat.Held, ...] = ()


class StageReport(document.Document):
    """Latency of one stage of one policy over the last five minutes.

    `node` is the replica's node for Network and Inference.
    """

    namespace: str
    policy: str
    stage: histogram.Stage
    node: str | None = None
    histogram: histogram.Histogram


class ProbeReport(document.Document):
    """Echo times to one peer agent over the last five minutes.

    `age_seconds` is the age of the newest echo.
    """

    node: str
    histogram: histogram.Histogram
    age_seconds: float | None = None


class JournalReport(document.Document):
    """Where the journal stands."""

    journal: str
    last: int = Field(ge=0)
    acknowledged: int = Field(ge=0)
    full: bool = False
    dropped: int = Field(default=0, ge=0)


class Report(document.Document):
    """Everything one agent says about itself."""

    node: str
    boot_id: str
    agent_version: str
    address: str | None = None
    """`http://<pod address>:<port>`, where peers find its echo."""
    sent_at: datetime
    uptime_seconds: float = Field(ge=0)
    assignment: AssignmentReference | None = None
    problems: tuple[Problem, ...] = Field(default=(), max_length=1000)
    broker_connected: bool = False
    devices: tuple[HeldDevice, ...] = Field(default=(), max_length=10000)
    endpoints: tuple[EndpointReport, ...] = Field(default=(), max_length=1000)
    peers: tuple[PeerBeat, ...] = Field(default=(), max_length=1000)
    stages: tuple[StageReport, ...] = Field(default=(), max_length=5000)
    probes: tuple[ProbeReport, ...] = Field(default=(), max_length=1000)
    journal: JournalReport | None = None
    stopping: bool = False
    """Whether the agent was told to stop: nothing should be granted to it any more."""
    capped_by: tuple[str, ...] = ()
    """Why modes are lowered on this node, as reason codes (`RecorderFull`, …)."""
    decisions: dict[str, int] = Field(default_factory=dict)
    """Decisions since start, by verdict, unsampled."""


class LastRenewal(document.Document):
    """The newest renewal the hub has sent for a device.

    No grant elsewhere before its lease has run out.
    """

    namespace: str
    device: str
    epoch: int
    holder: str
    age_seconds: float = Field(ge=0)


class AgentEvidence(document.Document):
    """One agent as the hub knows it."""

    node: str
    age_seconds: float = Field(ge=0)
    """Since its last report, by the hub's monotonic clock."""
    report: Report


class Fleet(document.Document):
    """`GET /v1/fleet`: evidence for the operator; `revision` is for the next long-poll."""

    lineage: str
    revision: int
    uptime_seconds: float = Field(ge=0)
    """A restarted hub counts its start as the last renewal of every device."""
    agents: tuple[AgentEvidence, ...] = ()
    renewals: tuple[LastRenewal, ...] = ()

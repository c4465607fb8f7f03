"""Facts up: what an agent tells the hub about itself every few seconds.

And what the hub tells the operator about its fleet.
"""

from datetime import datetime
from typing import Annotated, Final

from pydantic import Field

from foreshore_api.wire import beat, document, histogram

AGENTS: Final = 20_000
"""Agents that one hub knows at most."""
DEVICES: Final = 10_000
"""Devices that one agent reports of at most."""
MAXIMUM_BYTES: Final = DEVICES * 320 + (1 << 20)
"""The largest report: so many devices with the longest names, and room for all else."""
RENEWALS: Final = 1_000_000
"""Devices whose newest renewal one hub knows at most."""
WINDOW_SECONDS: Final = 300.0
"""Of which time an agent reports latencies."""


@document.line
class AssignmentReference:
    """Which assignment an agent works by."""

    lineage: document.Identity
    generation: document.Count
    digest: document.Digest


class Problem(document.WireDocument):
    """Something the agent could not do as asked, as a reason for a condition."""

    kind: document.Label
    namespace: document.Label
    name: document.Name
    generation: document.Count = 0
    reason: document.Code
    message: document.Sentence


@document.line
class HeldDevice:
    """One device of this agent's site as the agent sees it."""

    namespace: document.Label
    device: document.Label
    connected: bool
    """Whether its availability says so; without one, whether telemetry arrived within three of its
    usual periods (or maximumAge)."""
    offline: bool | None = None
    """Whether its availability says that it is gone; absent where nobody has said either."""
    epoch: document.Count | None = None
    standing: document.Code = "None"
    gave_back: bool = False
    """The holder stood down by its own choice (broker lost, disk full, told to stop).

    The operator may move the right at once, or where nobody fences the device when its last command
    has run out.
    """
    highest_epoch_seen: document.Count = 0


@document.line
class EndpointReport:
    """How calls of one replica went lately."""

    namespace: document.Label
    policy: document.Label
    slot: Annotated[str, Field(max_length=3)]
    node: document.Name
    url: document.Url
    good: document.Count
    late: document.Count
    failed: document.Count
    unused: document.Count = 0
    """Answers as another version than the one in force: neither good nor its fault."""
    bad_for_seconds: document.Seconds | None = None
    """How long every call has failed; absent while calls succeed."""
    reason: document.Code | None = None
    provider: document.Code | None = None
    """The execution provider that computed its last answer; absent while it has not said."""


@document.line
class ReportedPeer:
    """A peer of the site as heard on the broker."""

    node: document.Name
    age_seconds: document.Seconds
    has_hub: bool
    held: Annotated[tuple[beat.Held, ...], Field(max_length=1000, fail_fast=True)] = ()


@document.line
class StageReport:
    """Latency of one stage of one policy over the last five minutes.

    `node` is the replica's node for Network and Inference.
    """

    namespace: document.Label
    policy: document.Label
    stage: histogram.Stage
    node: document.Name | None = None
    histogram: histogram.Histogram


@document.line
class ProbeReport:
    """Echo times to one peer agent over the last five minutes.

    `age_seconds` is the age of the newest echo.
    """

    node: document.Name
    histogram: histogram.Histogram
    age_seconds: document.Seconds | None = None


@document.line
class JournalReport:
    """Where the journal stands."""

    journal: document.Identity
    last: document.Count
    acknowledged: document.Count
    full: bool = False
    dropped: document.Count = 0
    broken_at: document.Count | None = None
    """First record that was not as it was written when the agent opened its journal; absent where
    all were.
    """
    broken_reason: document.Code | None = None


class Report(document.WireDocument):
    """Everything one agent says about itself."""

    node: document.Name
    boot_id: document.Identity
    agent_version: document.Identity
    address: document.Prose | None = None
    """Ignored: where peers find an agent's echo is what Kubernetes says of its pod."""
    sent_at: datetime
    uptime_seconds: document.Seconds
    assignment: AssignmentReference | None = None
    problems: tuple[Problem, ...] = Field(default=(), max_length=1000, fail_fast=True)
    broker_connected: bool = False
    broker_problem: str | None = Field(default=None, max_length=256)
    """Why there is no session with the site's broker; absent while there is one."""
    broker_reason: document.Code | None = None
    """The broker's own reason code, where it refused us."""
    listening_seconds: document.Seconds | None = None
    """For how long beats have reached it without a break, by its own, which the broker gives back.

    0 while they do not. What it has not heard for longer than that, nobody may take for silent.
    Absent from an agent of a release that does not say: its uptime stands in.
    """
    devices: tuple[HeldDevice, ...] = Field(default=(), max_length=DEVICES, fail_fast=True)
    endpoints: tuple[EndpointReport, ...] = Field(default=(), max_length=1000, fail_fast=True)
    peers: tuple[ReportedPeer, ...] = Field(default=(), max_length=1000, fail_fast=True)
    stages: tuple[StageReport, ...] = Field(default=(), max_length=5000, fail_fast=True)
    probes: tuple[ProbeReport, ...] = Field(default=(), max_length=1000, fail_fast=True)
    journal: JournalReport | None = None
    stopping: bool = False
    """Whether the agent was told to stop: nothing should be granted to it any more."""
    capped_by: tuple[document.Code, ...] = Field(default=(), max_length=64, fail_fast=True)
    """Why modes are lowered on this node, as reason codes (`RecorderFull`, …)."""
    decisions: dict[document.Label, document.Count] = Field(default_factory=dict, max_length=64)
    """Decisions since start, by verdict, unsampled."""


@document.line
class LastRenewal:
    """The newest renewal the hub has sent for a device.

    No grant elsewhere before its lease has run out.
    """

    namespace: document.Label
    device: document.Label
    epoch: document.Count
    holder: document.Name
    age_seconds: document.Seconds


@document.line
class GivenBack:
    """A right that its holder gave back of its own accord, and since when the hub knows it."""

    namespace: document.Label
    device: document.Label
    epoch: document.Count
    holder: document.Name
    age_seconds: document.Seconds
    """Since the hub first heard of it, by its monotonic clock: never longer than it is true."""


class AgentEvidence(document.WireDocument):
    """One agent as the hub knows it."""

    node: document.Name
    age_seconds: document.Seconds
    """Since its last report, by the hub's monotonic clock."""
    report: Report


class Fleet(document.WireDocument):
    """`GET /v1/fleet`: evidence for the operator; `revision` is for the next long-poll."""

    lineage: document.Identity
    revision: document.Count
    uptime_seconds: document.Seconds
    """A restarted hub counts its start as the last renewal of every device."""
    agents: tuple[AgentEvidence, ...] = Field(default=(), max_length=AGENTS, fail_fast=True)
    renewals: tuple[LastRenewal, ...] = Field(default=(), max_length=RENEWALS, fail_fast=True)
    given_back: tuple[GivenBack, ...] = Field(default=(), max_length=RENEWALS, fail_fast=True)
    """Absent from a hub of a release that does not count since when."""
    problems: tuple[Problem, ...] = Field(default=(), max_length=1000, fail_fast=True)
    """What the hub could not do for single nodes: their agents go on by what they have."""

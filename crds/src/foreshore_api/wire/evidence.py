"""What changed of the fleet's evidence since the operator last heard: hub to operator, in lines.

`GET /v1/fleet?since=…&boot=…` answers a `FleetDelta` and then so many lines of `FleetPart`, one
JSON document a line, so that neither side ever writes or reads the whole fleet in one step, and so
that the report of one agent that cannot be read costs no other. The hub writes it, the operator
reads it; `report.Fleet` is the same evidence as one document, for an operator of the release
before.

An agent that goes on reporting in time without news is not mentioned. Only its silence is: a line
with its age once it is late, another once it reports again. So is a device whose holder renews in
time.
"""

from typing import Final

from pydantic import Field

from foreshore_api.wire import document, report

CONTENT_TYPE: Final = "application/x-ndjson"
"""By it the operator tells an answer in lines from the whole fleet of a hub that knows no lines."""
LATE_SECONDS: Final = 3.0
"""An agent that has reported within so many seconds is in time: agents report every two."""
LATE_SHARE: Final = 0.5
"""Share of a lease within which a renewal is in time: holders ask five times in one."""
DEVICES_A_LINE: Final = 500
"""Devices, or agents without a report, that one line carries at most."""
LINES: Final = report.AGENTS + report.RENEWALS
"""Lines of one answer at most."""
MAXIMUM_LINE: Final = report.MAXIMUM_BYTES + (1 << 20)
"""Bytes of the longest line: the largest report, written anew."""


class AgentUpdate(document.WireDocument):
    """What is new of one agent."""

    node: document.Name
    age_seconds: document.Seconds = 0.0
    """Since its last report, by the hub's monotonic clock, as of this answer.

    Up to `LATE_SECONDS` it reports in time, and is not older until another line says so. Beyond, it
    grows older until another line says that it reports again.
    """
    is_dropped: bool = False
    """Whether the hub knows nothing of it any more."""
    facts: report.Report | None = None
    """Absent where only its age is new."""
    has_figures: bool = True
    """Whether `facts` have their stages and probes; if not, those that were sent before stay."""


class DeviceUpdate(document.WireDocument):
    """What the hub knows of one device's right; without renewal and givenBack, nothing any more."""

    namespace: document.Label
    device: document.Label
    renewal: report.LastRenewal | None = None
    """Its age is 0 while it is renewed in time: then it may just have been, until a line says
    otherwise. Any other age is exact and grows."""
    given_back: tuple[report.GivenBack, ...] = Field(default=(), max_length=1000, fail_fast=True)


class FleetPart(document.WireDocument):
    """One line of an answer: one agent with its report, or many entries that are short."""

    agents: tuple[AgentUpdate, ...] = Field(default=(), max_length=DEVICES_A_LINE, fail_fast=True)
    devices: tuple[DeviceUpdate, ...] = Field(default=(), max_length=DEVICES_A_LINE, fail_fast=True)


class FleetDelta(document.WireDocument):
    """The first line: what the other lines add to, and how far they bring it."""

    lineage: document.Identity
    boot_id: document.Identity
    """Of the hub's process: revisions of another are no base."""
    base: document.Count
    """The revision that the lines add to; 0 begins anew: what they do not name is gone."""
    revision: document.Count
    """What the reader knows after them, for its next question."""
    is_complete: bool = True
    """Whether that is all there is; else the rest comes with the next question, at once."""
    uptime_seconds: document.Seconds
    """A restarted hub counts its start as the last renewal of every device."""
    lines: document.Count
    """How many follow."""
    problems: tuple[report.Problem, ...] | None = Field(
        default=None, max_length=1000, fail_fast=True
    )
    """What the hub could not do for single nodes; absent while it is as it was."""

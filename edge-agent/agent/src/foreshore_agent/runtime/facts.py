"""What the agent says of itself: report for the hub, readiness for kubelet, gauges for Prometheus.

Read when somebody asks, from the parts themselves; nothing here keeps a state of its own.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from foreshore_agent import clocks, inspection, journal, meters
from foreshore_agent.devices import port as device_port
from foreshore_agent.engine import durable, events, state, view
from foreshore_agent.inference import port as inference_port
from foreshore_agent.runtime import core, desired, pressure
from foreshore_agent.site import exchange, peers
from foreshore_api import addresses, conditions, v1alpha1
from foreshore_api.reasons import agent as reasons
from foreshore_api.wire import assignment, metrics, report

if TYPE_CHECKING:
    from foreshore_agent.hub import hub

NAMED: Final = 3
"""Topics that the broker denies, or devices that were not heard, that one sentence names."""
EVERY_ADDRESS: Final = (addresses.EVERY_V4, addresses.EVERY, "")
"""What an agent is told to listen on where it listens on all it has."""


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """The parts that are asked."""

    node: str
    version: str
    address: str | None
    clock: clocks.Clock
    started: float
    core: core.Core
    book: journal.Journal
    inference: inference_port.InferencePort
    devices: device_port.DevicesPort
    meters: meters.Meters
    exchange: exchange.Exchange
    peers: peers.Peers
    desired: desired.Desired
    problems: Callable[[], tuple[report.Problem, ...]]
    starting: Callable[[], Iterable[str]]
    """Names the models of a cluster's assignment that are on their way into this process."""
    hub: "hub.HubLink | None"

    @property
    def denied(self) -> tuple[str, ...]:
        """What the site's broker does not let this agent do, as sentences whose subject it is."""
        return (*self.exchange.denied, *self.devices.denied)

    def all_problems(self) -> tuple[report.Problem, ...]:
        """Return what could not be done as asked, each object's first by the folder's own words."""
        first = (*denied(self.desired.present, self.denied), *self.problems())
        return (*first, *inspection.beyond(view.problems(self.core.state), first))

    def strain(self) -> tuple[report.Problem, ...]:
        """Return what this agent cannot keep up with, which makes it no less ready for the rest."""
        return strained(self.node, self.core.pressure.strain(self.clock.monotonic()))

    def report(self) -> report.Report:
        """Return everything this agent says about itself."""
        at = self.clock.instant()
        state = self.core.state
        present = self.desired.present
        targets = () if present is None else present.probes
        standing = self.book.standing
        return report.Report(
            node=self.node,
            boot_id=self.clock.boot_id,
            agent_version=self.version,
            address=self.address,
            sent_at=at.now,
            uptime_seconds=at.monotonic - self.started,
            assignment=None
            if present is None
            else report.AssignmentReference(
                lineage=present.lineage, generation=present.generation, digest=present.digest
            ),
            problems=(*self.strain(), *self.all_problems())[:1000],
            broker_connected=self.devices.is_connected,
            broker_problem=(self.devices.problem or "")[:256] or None,
            broker_reason=self.devices.reason,
            listening_seconds=self.exchange.listening_seconds,
            devices=view.devices(state, at)[: report.DEVICES],
            endpoints=self.inference.reports()[:1000],
            peers=self.peers.reports(at.monotonic)[:1000],
            stages=self.meters.stages(at.monotonic),
            probes=self.meters.probes((target.node for target in targets), at.monotonic)[:1000],
            journal=report.JournalReport(
                journal=self.book.journal_id,
                last=standing.last,
                acknowledged=standing.acknowledged,
                full=standing.full,
                dropped=standing.dropped,
                broken_at=None if standing.broken is None else standing.broken.sequence,
                broken_reason=None if standing.broken is None else standing.broken.reason,
            ),
            stopping=state.is_stopping,
            capped_by=view.capped_by(state),
            decisions=dict(self.meters.decisions),
        )

    def missing(self) -> tuple[str, ...]:
        """Return what is missing for readiness, as sentences.

        In folder mode that is also every resource that is not in force as it is written: nobody
        else would say it. In a cluster the operator says it in conditions, and an agent that works
        must not be taken for one that does not, which would stop the update of the others.
        """
        problems = () if self.hub is not None else map(inspection.line, self.all_problems())
        return (*self._pending(), *problems)

    def pending(self) -> tuple[str, ...]:
        """Return what is not up yet, as sentences."""
        return tuple(self._pending())

    def remarks(self) -> tuple[str, ...]:
        """Return what a person should look at although the agent works, as sentences."""
        is_asked = self.hub is None and self.devices.is_connected
        silent = unheard(view.silent(self.core.state)) if is_asked else ()
        first = (*map(inspection.line, self.strain()), *silent)
        broken = self.book.standing.broken
        if broken is None:
            return first
        return (
            *first,
            f"the journal is broken at record {broken.sequence} ({broken.reason}):"
            " foreshore-agent verify says what that means and what to do",
        )

    def _pending(self) -> Iterator[str]:
        present = self.desired.present
        if present is None:
            yield "no assignment yet"
            return
        if present.site is not None and not self.devices.is_connected:
            why = self.devices.problem
            yield "the site's broker is not connected" + (f" ({why})" if why else "")
        for sentence in self.exchange.denied:
            yield f"the site's broker {sentence}"
        if self.book.full:
            yield f"the journal is full ({self.book.standing.reason})"
        yield from self.starting()
        if self.hub is None:
            yield from self._unserved(present)

    def _unserved(self, present: assignment.Assignment) -> Iterator[str]:
        """Name policies that nobody infers for.

        Asked in folder mode only, where the servers are our own. In a cluster they are the
        operator's, which must not wait for an agent that waits for them.
        """
        bad: dict[tuple[str, str], bool] = {}
        for endpoint in self.inference.reports():
            asked = (endpoint.namespace, endpoint.policy)
            bad[asked] = bad.get(asked, True) and endpoint.bad_for_seconds is not None
        for policy in present.policies:
            if policy.model is not None and bad.get((policy.namespace, policy.name), True):
                yield f"no replica answers for policy {policy.namespace}/{policy.name}"

    def gauges(self) -> Iterator[tuple[metrics.Metric, tuple[str, ...], float]]:
        """Yield every gauge, and the counter that the journal keeps."""
        standing = self.book.standing
        yield metrics.JOURNAL_RECORDS, ("kept",), standing.kept
        unacknowledged = standing.last - standing.acknowledged if self.hub is not None else 0
        yield metrics.JOURNAL_RECORDS, ("unacknowledged",), unacknowledged
        yield metrics.JOURNAL_DROPPED, (), standing.dropped
        yield metrics.BROKER_CONNECTED, (), float(self.devices.is_connected)
        yield metrics.BROKER_DENIED, (), float(len(self.denied))
        if self.hub is not None:
            yield metrics.HUB_CONNECTED, (), float(self.hub.is_connected)
        at = self.clock.instant()
        yield metrics.AUTHORITY_HELD, (), float(view.held_count(self.core.state, at))


def in_force(
    taken: assignment.Assignment, engine_state: state.State
) -> tuple[assignment.AssignedPolicy, ...]:
    """Return the versions to infer for: what the engine decides by, else what was assigned.

    A version that does not compile is not in force; the one that stays must not ask its model.
    """
    return tuple(
        version
        for policy in taken.policies
        for version in engine_state.in_force.get(events.Key(policy.namespace, policy.name))
        or (policy,)
    )


def denied(
    present: assignment.Assignment | None, sentences: tuple[str, ...]
) -> tuple[report.Problem, ...]:
    """Say as one problem of the site what its broker does not let this agent do, if anything."""
    if present is None or present.site is None or not sentences:
        return ()
    more = f"; and {len(sentences) - NAMED} more" if len(sentences) > NAMED else ""
    message = f"the broker {'; '.join(sentences[:NAMED])}{more}"
    problem = report.Problem(
        kind=v1alpha1.Site.kind,
        namespace=present.site.namespace,
        name=present.site.name,
        reason=conditions.Reason.BROKER_REFUSES,
        message=message[:1024],
    )
    return (problem,)


def unheard(silent: tuple[events.Key, ...]) -> tuple[str, ...]:
    """Say of which devices nothing was read since the start; in a cluster their condition does."""
    if not silent:
        return ()
    more = f" and {len(silent) - NAMED} more" if len(silent) > NAMED else ""
    names = ", ".join(map(str, silent[:NAMED]))
    return (
        f"nothing that can be read was heard yet of {names}{more}: until then nothing is decided"
        " there; remedy: the topics of the profile, with the device's parameters, as the device"
        " publishes (foreshore-agent discover shows what the broker carries); or the broker's"
        " access list keeps its messages from the agent",
    )


def set_aside(node: str, engine_state: state.State) -> tuple[report.Problem, ...]:
    """Say which durable values could not be used when the agent started."""
    return tuple(
        report.Problem(
            kind=desired.NODE,
            namespace="",
            name=node,
            reason=reasons.STATE_UNREADABLE,
            message=f"{name} in the state directory could not be used and was set aside as"
            f" {durable.ASIDE}{name}: {why}"[:1024],
        )
        for name, why in engine_state.unreadable
    )


def strained(node: str, strain: pressure.Strain | None) -> tuple[report.Problem, ...]:
    """Say that more is measured than can be decided on; nothing if it is not."""
    if strain is None:
        return ()
    problem = report.Problem(
        kind=desired.NODE,
        namespace="",
        name=node,
        reason=strain.reason,
        message=strain.message[:1024],
    )
    return (problem,)


def unshipped(node: str, why: str) -> tuple[report.Problem, ...]:
    """Say that records pile up behind one that the hub refuses; nothing if it refuses none."""
    if not why:
        return ()
    message = f"the hub refuses the next record, and all others wait behind it: {why}"
    problem = report.Problem(
        kind=desired.NODE,
        namespace="",
        name=node,
        reason=reasons.RECORDS_REFUSED,
        message=message[:1024],
    )
    return (problem,)


def url(address: str, port: int | None) -> str | None:
    """Return where peers find this agent, unless it listens on every address or on none."""
    if port is None or address in EVERY_ADDRESS:
        return None
    return addresses.http(address, port)

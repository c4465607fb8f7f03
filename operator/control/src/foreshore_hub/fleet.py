"""What the hub knows of its agents, in memory: their last reports and the last renewals sent.

Agents write it through the door, the operator reads it by long-poll. A restart forgets the reports
(agents report every few seconds) but not whom it renewed; when it did counts as its start.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from foreshore_api.wire import report
from foreshore_hub import renewals

SILENT_SECONDS: Final = 15.0
"""An agent that has not reported for so long counts as silent in metrics."""
FORGOTTEN_SECONDS: Final = 7 * 86400.0
"""An agent that has not reported for so long is no longer evidence of anything, and whom the hub
renewed for a device that is gone so long nobody's matter."""
MAXIMUM_AGENTS: Final = report.AGENTS


class FleetEvidence:
    """Evidence by node; all times are the caller's monotonic seconds."""

    def __init__(
        self,
        lineage: str,
        started_at: float,
        renewed: Mapping[renewals.Device, renewals.RenewedHolder],
    ) -> None:
        self._lineage: Final = lineage
        self.started_at: Final = started_at
        self.revision = 1
        self.changed = asyncio.Event()
        self._reports: dict[str, tuple[float, report.Report]] = {}
        self._renewed = dict(renewed)
        self._given_back: dict[renewals.Device, Mapping[tuple[str, int], float]] = {}
        """Node and epoch, and since when that is known, by device."""

    def note_report(self, facts: report.Report, now: float) -> None:
        """Take a report in."""
        previous = self._reports.get(facts.node)
        if previous is None and len(self._reports) >= MAXIMUM_AGENTS:
            self._drop(min(self._reports, key=lambda node: self._reports[node][0]))
        self._reports[facts.node] = (now, facts)
        self._note_given_back(facts, previous[1] if previous else None, now)
        self._touch()

    def note_renewals(self, changed: Mapping[renewals.Device, renewals.RenewedHolder]) -> None:
        """Take in what was just renewed."""
        self._renewed.update(changed)

    def last_renewal(self, device: renewals.Device) -> renewals.RenewedHolder | None:
        """Return whom the hub renewed last for a device."""
        return self._renewed.get(device)

    def given_back(self, device: renewals.Device) -> frozenset[tuple[str, int]]:
        """Return which holders gave the device back, and under which epoch."""
        return frozenset(self._given_back.get(device, ()))

    def evidence(self, now: float) -> report.Fleet:
        """Return everything, with ages as of now."""
        return report.Fleet(
            lineage=self._lineage,
            revision=self.revision,
            uptime_seconds=max(0.0, now - self.started_at),
            agents=tuple(
                report.AgentEvidence(node=node, age_seconds=max(0.0, now - at), report=facts)
                for node, (at, facts) in sorted(self._reports.items())
            ),
            renewals=tuple(
                report.LastRenewal(
                    namespace=namespace,
                    device=device,
                    epoch=last.epoch,
                    holder=last.holder,
                    age_seconds=renewals.age(last, self.started_at, now),
                )
                for (namespace, device), last in sorted(self._renewed.items())
            ),
            given_back=tuple(
                report.GivenBack(
                    namespace=namespace,
                    device=device,
                    epoch=epoch,
                    holder=node,
                    age_seconds=max(0.0, now - since),
                )
                for (namespace, device), entries in sorted(self._given_back.items())
                for (node, epoch), since in sorted(entries.items())
            ),
        )

    def count(self, now: float) -> tuple[int, int]:
        """Return how many agents report and how many are silent."""
        silent = sum(now - at > SILENT_SECONDS for at, _ in self._reports.values())
        return len(self._reports) - silent, silent

    def wake_all(self) -> None:
        """Let everybody who waits go: the hub is about to stop."""
        self._touch()

    def _note_given_back(
        self, facts: report.Report, before: report.Report | None, now: float
    ) -> None:
        """Replace what this node gave back earlier by what it says now.

        What it says again is known since it said so first.
        """
        since_when = {
            (device, epoch): since
            for device in _given_back(before)
            for (node, epoch), since in self._given_back.get(device, {}).items()
            if node == facts.node
        }
        for device in _given_back(before):
            self._take_back(device, facts.node)
        for device, epoch in _given_back(facts).items():
            entry = {(facts.node, epoch): since_when.get((device, epoch), now)}
            self._given_back[device] = {**self._given_back.get(device, {}), **entry}

    def forget(
        self, now: float, is_known: Callable[[renewals.Device], bool]
    ) -> frozenset[renewals.Device]:
        """Drop what is long gone; returns the devices whose last renewal the store may drop too."""
        for node, (at, _) in [*self._reports.items()]:
            if now - at >= FORGOTTEN_SECONDS:
                self._drop(node)
        gone = frozenset(
            device
            for device, last in self._renewed.items()
            if not is_known(device)
            and renewals.age(last, self.started_at, now) >= FORGOTTEN_SECONDS
        )
        for device in gone:
            del self._renewed[device]
        return gone

    def _drop(self, node: str) -> None:
        _, facts = self._reports.pop(node)
        for reported in facts.devices:
            self._take_back((reported.namespace, reported.device), node)

    def _take_back(self, device: renewals.Device, node: str) -> None:
        """Forget that a node gave a device back."""
        entries = self._given_back.get(device, {})
        left = {entry: since for entry, since in entries.items() if entry[0] != node}
        if left:
            self._given_back[device] = left
        else:
            self._given_back.pop(device, None)

    def _touch(self) -> None:
        self.revision += 1
        self.changed.set()
        self.changed = asyncio.Event()


def _given_back(facts: report.Report | None) -> dict[renewals.Device, int]:
    """Return what a report says was given back, with the epoch."""
    return {
        (reported.namespace, reported.device): reported.epoch
        for reported in (facts.devices if facts is not None else ())
        if reported.gave_back and reported.epoch is not None
    }

"""The parts of one running agent and how they call each other; built by `agent`, for one run.

Everything is a named task of one group: a defect in one ends all, and the process starts again from
what is durable.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from foreshore_agent import (
    clocks,
    health,
    inspection,
    journal,
    meters,
    probes,
    refusals,
    series,
    settings,
)
from foreshore_agent.devices.mqtt import broker, devices
from foreshore_agent.engine import events, state, step, view
from foreshore_agent.folder import folder
from foreshore_agent.hosting import hub as hub_models
from foreshore_agent.hosting import marks, own
from foreshore_agent.inference import pool
from foreshore_agent.runtime import admission, core, desired, facts, notices
from foreshore_agent.site import exchange, peers
from foreshore_api import scalars
from foreshore_api.v1alpha1 import site as sites
from foreshore_api.wire import assignment, beat, report
from foreshore_decision import fencing

if TYPE_CHECKING:
    from foreshore_agent.hub import hub

_LOG: Final = logging.getLogger(__name__)
DEFAULT_LEASE_SECONDS: Final = 15.0
HAND_OVER_SECONDS: Final = 10.0
"""How long an agent that is told to stop waits for its successors; the chart's grace period is
longer."""
MAXIMUM_UNREADABLE: Final = 20
"""Durable values that one report names as set aside; the log names all."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What an agent stands on: told or opened before anything runs."""

    settings: settings.AgentSettings
    clock: clocks.Clock
    book: journal.Journal
    meters: meters.Meters
    restored: state.State
    tap: core.Tap | None
    instead: sites.Broker | None
    trying: Mapping[str, bytes]
    """What is durable of models that were in the process of an earlier life."""


class Life:
    """One agent while it runs."""

    def __init__(self, ground: Ground, tasks: asyncio.TaskGroup) -> None:
        self._ground: Final = ground
        self._tasks: Final = tasks
        self._running: Final[list[asyncio.Task[None]]] = []
        self._broken: Final[asyncio.Future[None]] = asyncio.get_running_loop().create_future()
        node, clock = ground.settings.node, ground.clock
        ends = marks.UncleanEnds(ground.book.keep, clock.boot_id, ground.trying)
        self._models: Final = own.OwnModels(ground.settings, ends, tasks, self._hosting_changed)
        self._inference: Final = pool.Pool(self._models.runner)
        refused = refusals.Refusals(ground.meters.count_telemetry)
        stamp = events.EventStamp(clock.instant, clock.identity)
        mqtt = broker.SiteBroker(node, refused, clock.instant)
        self._devices: Final = devices.MqttDevices(
            mqtt, ground.settings.credentials, stamp, self._take, refused, self._wake
        )
        self._exchange: Final = exchange.Exchange(
            node,
            stamp,
            exchange.ExchangeCalls(self._take, self._relay),
            refused,
            mqtt.control,
        )
        self._desired: Final = desired.Desired(node, ground.book, self._take_effect)
        self._hub: Final = self._link()
        member = peers.Member(node, clock.boot_id, self._renewed, self._beat, self._held)
        self._peers: Final = peers.Peers(member, self._exchange, self._hub, tasks)
        ports = core.Ports(
            journal=ground.book,
            inference=self._inference,
            devices=self._devices,
            meters=ground.meters,
            peers=self._peers,
            changed=self._changed,
            failed=self._fail,
        )
        self._core: Final = core.Core(clock, ground.restored, ports, ground.tap)
        self._folder: folder.Folder | None = None
        self._lease = DEFAULT_LEASE_SECONDS
        self._is_resuming = False
        self._has_taken: Final = asyncio.Event()
        """Set whenever an assignment has taken effect."""
        self._hub_models: hub_models.HubModels | None = None
        self._port: health.Port | None = None
        self.facts: Final = self._facts()
        self._notices: Final = notices.Notices(
            lambda: (*self.facts.strain(), *self.facts.all_problems())
        )

    async def live(self, stop: asyncio.Event) -> None:
        """Begin, and go on until told to stop or until a task ends; then stand down.

        Raises:
            folder.FolderError, OSError: as `Agent.run`.
            Exception: the defect that ended a task or the engine.
        """
        stopping = self._tasks.create_task(stop.wait(), name="stop")
        beginning = self._tasks.create_task(self._begin(), name="begin")
        ends: tuple[asyncio.Future[Any], ...] = (stopping, self._broken, self._ground.book.broken)
        try:
            await asyncio.wait((*ends, beginning), return_when=asyncio.FIRST_COMPLETED)
            if beginning.done():
                beginning.result()
                ends += tuple(self._running)
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if stopping.done():
                    await self._hand_over(ends[1:])
        finally:
            beginning.cancel()
            await self._stand_down()
            stopping.cancel()
        for end in ends:
            if end.done() and not end.cancelled():
                end.result()

    async def _begin(self) -> None:
        """Let the last assignment take effect and start every task."""
        ground = self._ground
        ground.meters.read_gauges(self.facts.gauges)
        ground.book.watch(self._recorder_changed)
        if ground.book.full:
            self._recorder_changed(ground.book.standing)
        if ground.settings.port is not None:
            served = health.application(
                ground.meters.registry, self.facts.missing, self.facts.remarks
            )
            self._port = health.Port(served, ground.settings.address, ground.settings.port)
            await self._port.start()
        self._start("notices", self._notices.run())
        recalled = await self._desired.recall()
        if self._hub is not None:
            self._hub_models = self._models.of_cluster(self._last_in_force)
            if recalled is not None:
                self._resume(recalled)
            self._start("hub", self._hub.run())
        else:
            await self._follow_folder(recalled)
        self._start("broker", self._devices.run())
        self._start("replicas", self._inference.watch())
        self._start("beats", self._peers.keep_beating())
        self._start("ticks", self._tick())
        self._start("probes", probes.run(self._targets, ground.meters))

    def _resume(self, recalled: assignment.Assignment) -> None:
        """Work by the last assignment; one that fails must not keep the hub from mending it."""
        self._is_resuming = True
        try:
            self._desired.resume(recalled)
        except Exception:  # noqa: BLE001 - logged and reported; the hub may mend it
            _LOG.exception("the last assignment cannot take effect and is set aside")
            self._desired.set_aside(recalled)
            self._inference.assign(())
        finally:
            self._is_resuming = False

    async def _hand_over(self, ends: Iterable[asyncio.Future[Any]]) -> None:
        """Give every right back that a peer could take, and stay until it has been granted.

        Whatever else ends the agent ends the wait too.

        Without the hub nobody could grant anything: then the agent stops as it is, and comes back
        to its rights if it starts again soon enough.
        """
        if self._hub is None or not self._hub.is_connected:
            return
        self._core.take(events.Stopping(*self._core.stamp()))
        self._changed()
        succeeded = self._tasks.create_task(self._succeeded(), name="hand-over")
        done, _ = await asyncio.wait(
            (succeeded, *ends), timeout=HAND_OVER_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        succeeded.cancel()
        if not done:
            _LOG.warning("no peer was granted our devices within %.0f s", HAND_OVER_SECONDS)

    async def _succeeded(self) -> None:
        """Return when every right that was given back is another agent's."""
        while view.is_awaiting_successor(self._core.state):
            self._has_taken.clear()
            await self._has_taken.wait()

    async def _stand_down(self) -> None:
        """Leave the broker first, so that nothing is commanded any more; then everything else."""
        self._peers.close()
        for task in sorted(self._running, key=lambda task: task.get_name() != "broker"):
            task.cancel()
            await asyncio.wait((task,))
        self._inference.close()
        self._models.hosts.stop()
        if self._port is not None:
            await self._port.close()

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._running.append(self._tasks.create_task(work, name=name))

    def _link(self) -> "hub.HubLink | None":
        source = self._ground.settings.source
        if not isinstance(source, settings.HubSettings):
            return None
        from foreshore_agent.hub import door, hub  # an agent by itself has no use for their client

        entrance = door.Door(
            source.url, self._ground.settings.node, source.token_file, source.ca_file
        )
        calls = hub.HubCalls(
            assigned=lambda fresh: self._desired.take(fresh),
            renewed=self._renewed,
            facts=lambda: self.facts.report(),
            connected=self._hub_changed,
        )
        return hub.HubLink(entrance, self._ground.book, calls)

    async def _follow_folder(self, recalled: assignment.Assignment | None) -> None:
        configured = self._ground.settings
        source = configured.source
        if not isinstance(source, settings.FolderSettings):
            return
        is_broker_used = self._ground.instead is None
        places = folder.Places(
            source.resources,
            configured.credentials,
            configured.node,
            source.site,
            source.models,
            is_broker_used,
        )
        book = self._ground.book
        calls = folder.FolderCalls(self._desired.put, self._last_in_force, self._notices.look)
        self._folder = folder.Folder(
            places, book, self._models.hosts, calls, recalled, book.journal_id
        )
        await self._folder.start()
        self._start("folder", self._folder.follow())

    def _hosting_changed(self) -> None:
        """Something began or ceased to answer: in a cluster nobody else looks for that."""
        applied, present = self._hub_models, self._desired.present
        if applied is None or present is None or applied.is_applied:
            return
        self._take_effect(present)

    def _facts(self) -> facts.AgentFacts:
        configured = self._ground.settings
        return facts.AgentFacts(
            node=configured.node,
            version=self._ground.restored.identity.agent_version,
            address=facts.url(configured.address, configured.port),
            clock=self._ground.clock,
            started=time.monotonic(),
            core=self._core,
            book=self._ground.book,
            inference=self._inference,
            devices=self._devices,
            meters=self._ground.meters,
            exchange=self._exchange,
            peers=self._peers,
            desired=self._desired,
            problems=self._problems,
            starting=self._starting,
            hub=self._hub,
        )

    def _last_in_force(self) -> Iterable[assignment.AssignedPolicy]:
        return view.last_in_force(self._core.state)

    def _starting(self) -> Iterable[str]:
        return () if self._hub_models is None else self._hub_models.starting()

    def _problems(self) -> tuple[report.Problem, ...]:
        own = () if self._folder is None else self._folder_problems(self._folder)
        refused = "" if self._hub is None else self._hub.refused
        return (
            *own,
            *(() if self._hub_models is None else self._hub_models.problems()),
            *self._desired.problems(),
            *facts.unshipped(self._ground.settings.node, refused),
            *facts.set_aside(self._ground.settings.node, self._core.state)[:MAXIMUM_UNREADABLE],
        )

    def _folder_problems(self, source: folder.Folder) -> tuple[report.Problem, ...]:
        """Return the folder's problems, and the engine's of objects of which it says nothing.

        While a fresh reading is adopted, those of the engine are still of the one before.
        """
        own = source.problems()
        compiled = () if source.is_adopting else view.problems(self._core.state)
        return (*own, *inspection.beyond(compiled, own))

    # What the parts call.

    def _take(self, event: events.Event) -> None:
        self._core.offer(event)
        if isinstance(event, events.BrokerChanged):
            self._changed()

    def _wake(self) -> None:
        self._core.wake()

    def _changed(self) -> None:
        """Something changed that the operator may wait for: do not wait with the report."""
        if self._hub is not None:
            self._hub.hurry()

    def _take_effect(self, taken: assignment.Assignment) -> None:
        """Point everything at an assignment: replicas, engine, then the broker's topics."""
        instead = self._ground.instead
        if instead is not None and taken.site is not None:
            spec = taken.site.spec.model_copy(update={"broker": instead})
            taken = taken.model_copy(update={"site": taken.site.model_copy(update={"spec": spec})})
        if self._hub_models is not None:
            taken = self._hub_models.applied(taken)
        self._lease = _shortest_lease(taken)
        is_self_granted = self._hub is None
        into = self._core.attempt if self._is_resuming else self._core.take
        in_force = view.last_in_force(self._core.state)
        slow = admission.too_slow(taken, in_force, time.thread_time)
        into(events.Assigned(*self._core.stamp(), taken, is_self_granted, slow))
        self._inference.assign(facts.in_force(taken, self._core.state))
        if self._hub_models is not None:
            self._hub_models.taken()
        self._devices.assign(taken.site, taken.devices, view.windowed(self._core.state))
        self._exchange.assign(None if taken.site is None else taken.site.name)
        self._ground.meters.assign(series.SeriesLabels.of(taken))
        self._has_taken.set()
        self._changed()

    def _targets(self) -> tuple[assignment.ProbeTarget, ...]:
        present = self._desired.present
        return () if present is None else present.probes

    def _relay(self, request: beat.RenewalRequest) -> None:
        self._peers.relay(request)

    def _renewed(self, renewal: beat.Renewal) -> None:
        self._take(events.Renewed(*self._core.stamp(), renewal))

    def _beat(self, sequence: int) -> beat.Beat:
        clock = self._ground.clock
        answered = None if self._hub is None else self._hub.answered_at
        return beat.Beat(
            node=self._ground.settings.node,
            boot_id=clock.boot_id,
            sequence=sequence,
            has_hub=fencing.has_hub(answered, clock.instant().boot, self._lease),
        )

    def _held(self) -> tuple[beat.Held, ...]:
        return view.held(self._core.state)

    def _hub_changed(self, connected: bool) -> None:  # noqa: FBT001 - a callback
        unix = None if self._hub is None else self._hub.unix
        self._take(events.HubChanged(*self._core.stamp(), connected, unix))

    def _recorder_changed(self, standing: journal.JournalStatus) -> None:
        self._take(events.RecorderChanged(*self._core.stamp(), standing.full, standing.reason))

    def _fail(self, error: BaseException) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(step.TICK_SECONDS)
            self._take(events.Tick(*self._core.stamp()))


def _shortest_lease(taken: assignment.Assignment) -> float:
    """Return the lease by which a claim of the hub is measured: the shortest of the site."""
    leases = [scalars.seconds(device.profile.authority.lease_duration) for device in taken.devices]
    return min(leases, default=DEFAULT_LEASE_SECONDS)

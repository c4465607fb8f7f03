"""An agent's side of its site's broker: connections, devices and exchange, without an engine."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from builders import patience
from foreshore_agent import refusals
from foreshore_agent.devices.mqtt import broker as brokers
from foreshore_agent.devices.mqtt import devices
from foreshore_agent.engine import effects, events
from foreshore_agent.site import exchange
from foreshore_api.v1alpha1 import deviceprofile, protection, site
from foreshore_api.v1alpha1.device import DeviceSpec
from foreshore_api.wire import assignment, beat

Kind = TypeVar("Kind", bound=events.Event)


class SiteSide:
    """What `life` puts together for the broker of a site, and what came of it."""

    def __init__(self, node: str = "edge-1", credentials: Path | None = None) -> None:
        self.events: asyncio.Queue[events.Event] = asyncio.Queue()
        self.requests: asyncio.Queue[beat.RenewalRequest] = asyncio.Queue()
        self.changes: list[tuple[bool, bool]] = []
        """Whether it was connected and whether it was deaf, each time that was told."""
        self.telemetry: list[bool] = []
        """Whether telemetry was connected, each time that was told."""
        self.counts: dict[str, int] = {}
        self._numbers = itertools.count()
        refused = refusals.Refusals(self._count)
        self.broker = brokers.SiteBroker(node, refused, lambda: self.stamp()[0])
        self.devices = devices.MqttDevices(
            self.broker, credentials, self.stamp, self._deliver, refused, self._measured
        )
        calls = exchange.ExchangeCalls(self._deliver, self.requests.put_nowait)
        self.exchange = exchange.Exchange(node, self.stamp, calls, refused, self.broker.control)

    def _measured(self) -> None:
        """Take what was measured at once: there is no engine that has something else to do."""
        for sample in self.devices.measured(64):
            self._deliver(sample)

    @property
    def denied(self) -> tuple[str, ...]:
        return (*self.exchange.denied, *self.broker.denied)

    @property
    def stamp(self) -> events.EventStamp:
        return events.EventStamp(
            lambda: events.Instant(datetime.now(UTC), 0.0, 0.0), lambda: str(next(self._numbers))
        )

    def assign(self, where: site.Broker | None, names: Iterable[str] = ()) -> None:
        if where is None:
            assigned = None
        else:
            spec = site.SiteSpec(broker=where)
            assigned = assignment.AssignedSite(namespace="hq", name="hq", spec=spec)
        self.devices.assign(assigned, [device(name) for name in names])
        self.exchange.assign(None if where is None else "hq")

    async def next(self) -> events.Event:
        async with asyncio.timeout(patience.SECONDS):
            return await self.events.get()

    async def next_of(self, kind: type[Kind]) -> Kind:
        while not isinstance(event := await self.next(), kind):
            pass
        return event

    async def up(self) -> None:
        changed = await self.next()
        assert isinstance(changed, events.BrokerChanged)
        assert changed.connected
        await asyncio.sleep(0.1)  # telemetry has a connection of its own

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.broker.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _deliver(self, event: events.Event) -> None:
        if isinstance(event, events.TelemetryChanged):
            self.telemetry.append(event.connected)
            return
        if isinstance(event, events.BrokerChanged):
            self.changes.append((event.connected, event.is_deaf))
        self.events.put_nowait(event)

    def _count(self, result: str) -> None:
        self.counts[result] = self.counts.get(result, 0) + 1


TOPICS = {
    "telemetry_topic": "{site}/{device}/telemetry",
    "command_topic": "{site}/{device}/command",
    "acknowledgement_topic": "{site}/{device}/ack",
}


AIR = deviceprofile.Action(
    name="air",
    idempotency=protection.Idempotency.IDEMPOTENT,
    input=(deviceprofile.ActionInput(name="value"),),
)


def device(name: str, **mqtt: str) -> assignment.AssignedDevice:
    """One device that measures CO2, with topics for commands and answers and maybe others."""
    profile = deviceprofile.DeviceProfileSpec(
        mqtt=deviceprofile.Mqtt(**{**TOPICS, **mqtt}),
        properties=(deviceprofile.Property(name="co2"),),
        actions=(AIR,),
    )
    spec = DeviceSpec(profile_ref={"name": "room"}, site="hq")
    return assignment.AssignedDevice(
        namespace="hq", name=name, uid="u", generation=1, digest="d", spec=spec, profile=profile
    )


def speaking(
    name: str,
    *properties: Mapping[str, Any],
    parameters: Mapping[str, str] | None = None,
    **mqtt: Any,
) -> assignment.AssignedDevice:
    """One device as somebody bought it: it measures these properties, and takes no commands."""
    profile = deviceprofile.DeviceProfileSpec.model_validate(
        {"mqtt": {"telemetryTopic": "{site}/{device}", **mqtt}, "properties": properties}
    )
    own = [{"name": key, "value": value} for key, value in (parameters or {}).items()]
    spec = DeviceSpec.model_validate({"profileRef": {"name": "p"}, "site": "hq", "parameters": own})
    return device(name).model_copy(update={"profile": profile, "spec": spec})


def command(name: str = "room-301") -> effects.SendCommand:
    """One command to a device, good for a long time."""
    now = datetime.now(UTC)
    policy, key = events.Key("hq", "ventilate"), events.Key("hq", name)
    return effects.SendCommand(
        "d/1", 1, policy, key, "air", {"value": 1.0}, "edge-1", 7, 8, now, now, 5.0, 9e9
    )

"""What the runtime needs of the devices of its site, whatever protocol they speak.

    engine ──SendCommand, Advise──► DevicesPort ──codec, topic, quality of service──► device
    engine ◄──Arrival────────────── DevicesPort ◄──────────────────────────────────── device
    engine ──measured─────────────► DevicesPort       what was measured, when there is a turn for it

`runtime.core` sends through it, `runtime.facts` asks how it is; `runtime.life` picks who it is.
An implementation takes a function that it calls with each arrival, in the event loop, and another
that it calls when there is something measured.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from foreshore_agent.engine import effects, events
from foreshore_api.wire import assignment

Arrival = (
    events.Sample
    | events.Acknowledged
    | events.CommandNotSent
    | events.TelemetryChanged
    | events.Availability
)
"""What devices answer, commands that were refused on the way after they had left this process, when
measurements begin or cease to reach us (what is missed, windows miss), what was measured just
before they do, and whether a device is there."""
Deliver = Callable[[Arrival], None]


class EnginePort(Protocol):
    """Where samples come from, commands and advice go: all that the engine's host asks."""

    @property
    def has_measured(self) -> bool:
        """Whether there may be something measured."""
        ...

    def measured(self, most: int) -> Sequence[events.Sample]:
        """Return what devices measured since, oldest first.

        Of so many messages at most, and of no more than come to so many samples, but for those of
        the last message: one may measure for many devices.

        Nothing is decoded before it is asked for, and what newer messages replace never is: each
        sample names how many did not come to be one.
        """
        ...

    def send(self, command: effects.SendCommand) -> str | None:
        """Send one command, now or never; return why it surely did not leave, or None.

        It never waits and never queues. What is refused on the way, later, arrives as
        `CommandNotSent`.
        """
        ...

    def advise(self, advice: effects.Advise) -> None:
        """Send a recommendation, where the device has a place for it; it may be lost."""
        ...


class DevicesPort(EnginePort, Protocol):
    """All devices of this agent's site."""

    @property
    def is_connected(self) -> bool:
        """Whether a command could be sent now."""
        ...

    @property
    def problem(self) -> str | None:
        """Why no command could be sent now, for people; None while one could."""
        ...

    @property
    def reason(self) -> str | None:
        """The broker's own reason for that, as a code such as `NotAuthorized`, if it gave one."""
        ...

    @property
    def denied(self) -> tuple[str, ...]:
        """What this agent may not do there, as sentences whose subject is the site's broker."""
        ...

    def assign(
        self,
        site: assignment.AssignedSite | None,
        devices: Iterable[assignment.AssignedDevice],
        windowed: Collection[events.Key] = (),
    ) -> None:
        """Take a new desired state: where the devices are found, and which.

        `windowed` are those of whose messages none may be passed over: windows want every value.
        """
        ...

    async def run(self) -> None:
        """Keep connected until cancelled."""
        ...

"""Everything the engine knows between two events. Frozen: `step` returns a new one.

Built by `start` in a fresh state directory and by `durable.restore` after a restart; read by `view`
for reports, beats and metrics.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this engine is; never changes while the process lives."""

    node: str
    boot_id: str
    journal: str
    """The journal's UUID: records name it in their source."""
    agent_version: str
    virtual: bool = False
    """True in a rehearsal: ages, windows and rates follow `Instant.now` instead of the boot
    clock."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """Whether decisions can be recorded."""

    full: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """The engine between two events."""

    identity: Identity
    broker_connected: bool = False
    hub_connected: bool = False
    recorder: Recorder = field(default_factory=Recorder)


def start(identity: Identity) -> State:
    """Return the state of an engine that has seen nothing yet."""
    return State(identity)

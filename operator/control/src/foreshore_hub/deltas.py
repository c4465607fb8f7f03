"""The answer to an operator that asks what changed: written for the door from `fleet`.

    ask ──► something urgent? ── a moment later ──►┐
        └── a second at most ─────────────────────►├─► who is late? ──► head and lines
        └── the rest of an answer, or at once ────►┘

A reader that names a revision of another process, or one from before what is remembered, is sent
everything, in answers of bounded size. An answer leaves each second at the latest: that is how the
operator tells that silence of an agent is not silence of the hub.
"""

import asyncio
from typing import Final

import orjson

from foreshore_api.wire import evidence as wire
from foreshore_hub import changes, fleet, renewals

COALESCE_SECONDS: Final = 0.1
"""What is urgent together makes one answer."""
QUIET_SECONDS: Final = 1.0
"""How long an answer waits for something urgent at most."""
ANSWER_BYTES: Final = 2 << 20
"""An answer that has grown to so much is sent; what is left comes with the next.

So no step of writing or reading one takes long. A thousand agents say half of it anew in a second,
more where many are late: an operator whose answers were shorter would have to ask several times for
it, and where each takes as long as it does at a busy hub, would never have everything.
"""


async def news(kept: fleet.FleetEvidence, since: int, wait: float) -> None:
    """Wait until there is something urgent that a reader has not, or time is up."""
    try:
        async with asyncio.timeout(min(wait, QUIET_SECONDS)):
            while kept.urgent_revision <= since:
                await kept.urgent.wait()
            await asyncio.sleep(COALESCE_SECONDS)
    except TimeoutError:
        return


def base(kept: fleet.FleetEvidence, since: int, boot_id: str) -> int:
    """Return what an answer to a reader of this revision adds to; 0 for everything."""
    return since if boot_id == kept.boot_id and kept.log.has(since) else 0


def answer(kept: fleet.FleetEvidence, since: int, now: float) -> bytes:
    """Return the head and the lines of what changed since a revision."""
    kept.note_silence(now)
    if since == 0:
        kept.log.lift()
    changed = kept.log.since(since)
    written = _Lines(kept, since, now)
    revision, is_complete = kept.revision, True
    for position, (key, changed_at) in enumerate(changed):
        written.add(key)
        if written.size >= ANSWER_BYTES and position + 1 < len(changed):
            revision, is_complete = changed_at, False
            break
    lines = written.finished()
    head = wire.FleetDelta(
        lineage=kept.lineage,
        boot_id=kept.boot_id,
        base=since,
        revision=revision,
        is_complete=is_complete,
        uptime_seconds=max(0.0, now - kept.started_at),
        lines=len(lines),
        problems=kept.problems if since == 0 or kept.problems_revision > since else None,
    )
    return b"\n".join((head.encode(), *lines, b""))


class _Lines:
    """Lines of one answer, while they are written."""

    def __init__(self, kept: fleet.FleetEvidence, since: int, now: float) -> None:
        self._kept: Final = kept
        self._since: Final = since
        self._now: Final = now
        self._lines: Final[list[bytes]] = []
        self._agents: list[wire.AgentUpdate] = []
        self._devices: list[wire.DeviceUpdate] = []
        self.size = 0

    def add(self, key: changes.Key) -> None:
        """Write what is new of a key; nothing of what is gone to a reader that never had it."""
        if self._since == 0 and not self._kept.is_live(key):
            return
        if isinstance(key, str):
            self._add_agent(key)
        else:
            self._add_device(key)

    def finished(self) -> list[bytes]:
        """Return the lines."""
        self._close()
        return self._lines

    def _add_agent(self, node: str) -> None:
        agent = self._kept.agent(node)
        if agent is None:
            self._short(wire.AgentUpdate(node=node, is_dropped=True))
            return
        # Whole, also where it only became late: a reader of a part of the changes names the
        # revision of that part, and facts from before it may be among what is left.
        update = {
            "node": node,
            "ageSeconds": max(0.0, self._now - agent.at),
            "hasFigures": True,
            "facts": orjson.Fragment(agent.body()),
        }
        self._write(orjson.dumps({"agents": [update]}))

    def _short(self, update: wire.AgentUpdate) -> None:
        self._agents.append(update)
        self._count()

    def _add_device(self, device: renewals.Device) -> None:
        self._devices.append(self._kept.device(device, self._now))
        self._count()

    def _count(self) -> None:
        if len(self._agents) + len(self._devices) >= wire.DEVICES_A_LINE:
            self._close()

    def _close(self) -> None:
        """Write what is short so far as one line."""
        if self._agents or self._devices:
            part = wire.FleetPart(agents=tuple(self._agents), devices=tuple(self._devices))
            self._write(part.encode())
            self._agents, self._devices = [], []

    def _write(self, line: bytes) -> None:
        self._lines.append(line)
        self.size += len(line)

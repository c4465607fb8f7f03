"""Stock devices, played on a real broker in the test's own event loop, and an agent's folder."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

from builders import room, shipped
from foreshore_agent import clocks
from foreshore_agent.devices.mqtt import connection
from foreshore_agent.play import actor
from foreshore_agent.play.dialects import registry, speech

HABITS = speech.DialectHabits()


class Played(NamedTuple):
    """A device that is connected, and what carries its messages."""

    device: Any
    """Its dialect, with what hangs on it."""
    actor: actor.DialectActor


@contextlib.asynccontextmanager
async def played(
    dialect: str,
    port: int,
    *,
    every: float = 0.1,
    habits: speech.DialectHabits = HABITS,
    name: str | None = None,
) -> AsyncIterator[Played]:
    """A stock device on a broker for as long as the block lasts; it measures every so often."""
    row = registry.choose(dialect)
    device = row.make(name or row.device, habits)
    address = connection.Address("127.0.0.1", port)
    carried = actor.DialectActor(device, address, clocks.SystemClock())
    life = asyncio.create_task(carried.run("test", every))
    try:
        yield Played(device, carried)
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)


def write(folder: Path, dialect: str, port: int, mode: str, **policy: Any) -> Path:
    """Write a dialect's resources for a broker on loopback, its policies in one mode."""
    folder.mkdir()
    broker = {"host": "127.0.0.1", "port": port, "transport": "Plain"}
    changes = {"Site": {"spec__broker": broker}, "DecisionPolicy": {"spec__mode": mode, **policy}}
    for number, document in enumerate(shipped.documents(dialect)):
        changed = room.changed(document, **changes.get(document["kind"], {}))
        (folder / f"{number}.json").write_text(json.dumps(changed))
    return folder

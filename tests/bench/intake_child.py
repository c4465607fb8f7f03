"""One process of the bench of intakes: an informer's or Kopf's, timed from within.

It prints a line once all Devices are there, and one once so many edits of them were seen.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from foreshore_api import v1alpha1
from foreshore_kube import api, config, informer, intake, kinds, mirror
from foreshore_operator import handlers

DEVICES = kinds.of(v1alpha1.Device)
TASKS: list[asyncio.Task[None]] = []
"""Kept, or they would be collected."""


class Counter:
    """Counts what a mirror reports, and says when there is enough."""

    def __init__(self) -> None:
        self.changes = 0
        self.late = 0.0
        self.wanted = 0
        self.reached = asyncio.Event()

    def note(self, change: mirror.ObjectChange[v1alpha1.Device]) -> None:
        """One more."""
        self.changes += 1
        written = (change.new.metadata.annotations or {}).get("written") if change.new else None
        if written is not None:
            self.late = time.time() - float(written)
        if self.changes >= self.wanted:
            self.reached.set()

    async def until(self, more: int) -> None:
        """Wait for so many further changes."""
        self.wanted, self.changes = more, 0
        self.reached.clear()
        await self.reached.wait()


async def _watch(eyes: str, kube: api.KubeApi, access: Any, counter: Counter) -> mirror.Mirror[Any]:
    if eyes == "informer":
        own = informer.Informer(kube, DEVICES, decode=v1alpha1.Device.read, on_change=counter.note)
        TASKS.append(asyncio.create_task(own.run()))
        return own
    intake.GRACE = 60.0  # type: ignore[misc]  # Kopf alone is measured: no list helps it
    fed = intake.FedMirror(kube, DEVICES, decode=v1alpha1.Device.read, on_change=counter.note)
    kopf = handlers.Supervisor(
        access, [v1alpha1.Device], lambda event: fed.note(event.type, event.document)
    )
    kopf.start()
    TASKS.append(asyncio.create_task(fed.run()))
    return fed


async def run(eyes: str, kubeconfig: Path, edits: int) -> None:
    """Fill, say so, count edits, say so."""
    access = await config.load(kubeconfig)
    async with api.KubeApi(access, user_agent=f"bench-{eyes}") as kube:
        counter = Counter()
        started, spent = time.monotonic(), time.process_time()
        kept = await _watch(eyes, kube, access, counter)
        await kept.synced.wait()
        say(seconds=time.monotonic() - started, processor=time.process_time() - spent)
        spent = time.process_time()
        await counter.until(edits)
        say(processor=time.process_time() - spent, late=counter.late)


def say(**figures: float) -> None:
    """Print a line for the parent."""
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], Path(sys.argv[2]), int(sys.argv[4])))

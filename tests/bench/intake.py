"""Kopf against the own informer as the eyes for Devices, at a real API server.

Each reads the same Devices in a process of its own: how long until all are there after a start,
what that takes of processor time, what an event takes after it, and memory. Both decode the same.
What people edit comes by Kopf; whether Devices can as well is what these figures decide.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final

from bench import usage
from builders import room
from foreshore_api import v1alpha1
from foreshore_kube import api, config, kinds
from harness import apiserver

ROOT: Final = Path(__file__).parents[2]
SIZES: Final = (1_000, 10_000)
EDITS: Final = 300
IN_FLIGHT: Final = 16
PATIENCE: Final = 300.0
NAMESPACE: Final = "bench"
EYES: Final = ("informer", "kopf")
DEVICES: Final = kinds.of(v1alpha1.Device)


def report(folder: Path) -> None:
    """Fill an API server with Devices and let each kind of eyes read them."""
    with apiserver.ApiServer(folder) as server:
        server.apply_crds(ROOT / "crds")
        asyncio.run(_report(server.kubeconfig))


async def _report(kubeconfig: Path) -> None:
    async with api.KubeApi(await config.load(kubeconfig), user_agent="bench") as kube:
        await kube.apply(kinds.NAMESPACES, {"metadata": {"name": NAMESPACE}}, manager="bench")
        made = 0
        for size in SIZES:
            await _several(lambda n: kube.create(DEVICES, device(n)), range(made, size))
            made = size
            for eyes in EYES:
                print(
                    f"  {size:6} Devices, {eyes:8} ", await _measured(kube, kubeconfig, eyes, size)
                )


async def _measured(kube: api.KubeApi, kubeconfig: Path, eyes: str, size: int) -> str:
    """One process: filled, then edited."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("intake_child.py")), eyes, str(kubeconfig),
        str(size), str(EDITS), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        async with asyncio.timeout(PATIENCE):
            filled = json.loads(await child.stdout.readline())
            memory = usage.resident(child.pid)
            edits = asyncio.create_task(_edit(kube, time.time()))
            edited = json.loads(await child.stdout.readline())
            seconds = await edits
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
    return (
        f"filled in {filled['seconds']:5.1f} s, {filled['processor'] * 1e3 / size:5.2f} ms of"
        f" processor time each, {memory:4.0f} MB; {EDITS} edits at {EDITS / seconds:4.0f}/s:"
        f" {edited['processor'] * 1e3 / EDITS:5.2f} ms each, last seen"
        f" {edited['late'] * 1e3:5.0f} ms after its write"
    )


async def _edit(kube: api.KubeApi, mark: float) -> float:
    """Label some Devices anew; in how many seconds."""
    started = time.monotonic()
    marked = {"edit": f"{mark:.0f}"}
    await _several(
        lambda n: kube.apply(
            DEVICES,
            {"metadata": {**device(n)["metadata"], "annotations": {**marked, **_now()}}},
            manager="editor",
        ),
        range(EDITS),
    )
    return time.monotonic() - started


def _now() -> dict[str, str]:
    return {"written": repr(time.time())}


def device(number: int) -> api.Json:
    """A Device of the example's kind."""
    return room.device(NAMESPACE, f"device-{number:06}")


async def _several(work: Callable[[int], Awaitable[Any]], numbers: Iterable[int]) -> None:
    """Do the same for each number, a few at a time."""
    waiting = iter(numbers)

    async def worker() -> None:
        for number in waiting:
            await work(number)

    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))

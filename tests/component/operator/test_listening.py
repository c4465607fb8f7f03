"""The operator's port is there for kubelet and Prometheus by addresses of either family."""

import asyncio
import contextlib
import urllib.request
from types import SimpleNamespace
from typing import Any, cast

import pytest

from builders import families
from foreshore_api import addresses
from foreshore_operator import main, metrics
from harness import process

pytestmark = pytest.mark.component


@pytest.mark.parametrize("host", families.LOOPBACKS)
async def test_figures_and_readiness_are_served_to_either_family(host: str) -> None:
    port = process.free_port()
    passes = SimpleNamespace(figures=metrics.Metrics(), probes=metrics.ProbeState(lambda: True))

    def get(path: str) -> int:
        with urllib.request.urlopen(addresses.http(host, port) + path, timeout=10) as answer:
            return int(answer.status)

    async with contextlib.AsyncExitStack() as stack:
        chosen = cast("Any", SimpleNamespace(metrics_port=port))
        await main._serve(chosen, cast("Any", passes), stack)
        assert await asyncio.to_thread(get, "/healthz") == 200
        assert await asyncio.to_thread(get, "/metrics") == 200

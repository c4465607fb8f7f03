"""Two lanes of writes at one API server: what is urgent goes first, and statuses get there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from builders import fake_apiserver, lanes, patience
from foreshore_operator import status_queue

pytestmark = [pytest.mark.component, pytest.mark.enable_socket]


@contextlib.asynccontextmanager
async def served(taken: fake_apiserver.Taken) -> AsyncIterator[int]:
    runner = web.AppRunner(fake_apiserver.application(taken), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def test_a_lost_node_is_written_while_thousands_of_statuses_wait_for_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(status_queue, "YIELD", patience.SECONDS)  # a busy machine takes its time
    taken = fake_apiserver.Taken()
    order: list[str] = []
    async with (
        served(taken) as port,
        lanes.lanes(port, lambda: order.append("urgent"), lambda: order.append("status")) as rig,
    ):
        task = asyncio.create_task(rig.queue.run())
        rig.queue.offer(lanes.flood(2000, 1))
        async with asyncio.timeout(patience.SECONDS):
            while order.count("status") < 50:  # noqa: ASYNC110 (another task fills it)
                await asyncio.sleep(0.01)
        before = order.count("status")
        await rig.act.carry_out(rig.lost(1))
        between = order.count("status") - before
        waiting = len(rig.queue)
        async with asyncio.timeout(patience.SECONDS):
            while order.count("status") < before + between + 50:  # noqa: ASYNC110 (the same)
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
    # a grant, a placement, a pod, what it reads, and the budget of its policy
    assert order.count("urgent") == lanes.GRANTS + 4 * lanes.REPLICAS
    assert between <= status_queue.CONCURRENCY, "only those that were under way already"
    assert waiting > 1000


async def test_grants_come_before_placements_and_these_before_pods() -> None:
    taken = fake_apiserver.Taken()
    async with (
        served(taken) as port,
        lanes.lanes(port, lambda: None, lambda: None) as rig,
    ):
        await rig.act.carry_out(rig.lost(1))
    kinds = [path.rsplit("/", 3) for _, _, path in taken.writes]
    grants = [at for at, parts in enumerate(kinds) if parts[-1] == "status"]
    pods = [at for at, parts in enumerate(kinds) if parts[-1] == "pods"]
    assert len(grants) == lanes.GRANTS
    assert len(pods) == lanes.REPLICAS
    assert max(grants) < min(pods)

"""What ends an agent's wait for its successors."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from foreshore_agent.engine import view
from foreshore_agent.runtime import life


async def test_what_ends_the_agent_ends_the_wait_for_its_successors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(view, "is_awaiting_successor", lambda _: True)
    broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    broken.set_exception(ValueError("the journal is broken"))
    async with asyncio.TaskGroup() as tasks:
        living = cast("Any", life.Life.__new__(life.Life))
        living._hub = SimpleNamespace(is_connected=True, hurry=lambda: None)
        living._core = SimpleNamespace(take=lambda _: None, stamp=lambda: (None, ""), state=None)
        living._tasks, living._has_taken = tasks, asyncio.Event()
        async with asyncio.timeout(1):
            await living._hand_over((broken,))
    assert isinstance(broken.exception(), ValueError)

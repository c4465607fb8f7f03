"""What lives long is not walked through by every full collection, and is freed all the same."""

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

from foreshore_kube import heap


class Node:
    """Something that may be part of a cycle."""

    def __init__(self) -> None:
        self.other: Node | None = None


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def walked() -> int:
    """How many objects a full collection walks through."""
    return len(gc.get_objects())


def test_a_full_collection_walks_past_what_is_set_aside() -> None:
    kept = [Node() for _ in range(10_000)]
    before = walked()
    heap.LongLived().set_aside()
    assert walked() < before - len(kept)


def test_what_is_set_aside_goes_with_its_last_reference() -> None:
    node = Node()
    gone = weakref.ref(node)
    heap.LongLived().set_aside()
    del node
    assert gone() is None


def test_a_cycle_that_was_set_aside_goes_once_the_process_has_doubled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = Node(), Node()
    first.other, second.other = second, first
    gone = weakref.ref(first)
    kept = heap.LongLived()
    kept.set_aside()
    del first, second
    gc.collect()
    assert not kept.reclaim()
    assert gone() is not None, "nothing walks through it"
    monkeypatch.setattr(heap, "ROOM", -(10**12))
    assert kept.reclaim()
    assert gone() is None


def test_while_little_is_added_nothing_is_walked_through() -> None:
    kept = heap.LongLived()
    kept.set_aside()
    assert heap.resident() > 1 << 20
    more = [Node() for _ in range(1_000)]
    assert not kept.reclaim()
    kept.set_aside()
    assert not kept.reclaim()
    assert len(more) == 1_000


@pytest.mark.looptime
async def test_it_ends_as_it_began() -> None:
    before = gc.get_threshold()
    task = asyncio.create_task(heap.keep())
    await asyncio.sleep(heap.PERIOD_SECONDS * 3)
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold() != before
    task.cancel()
    await asyncio.wait([task])
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == before


IN_THREADS = """
import ctypes, threading
from foreshore_kube import heap
{first}
barrier, kept = threading.Barrier(3), []
def fill():
    barrier.wait()
    kept.append([bytes(2000) for _ in range(100)])
    barrier.wait()
threads = [threading.Thread(target=fill) for _ in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.parametrize(("first", "is_shared"), [("heap.share_arena()", True), ("", False)])
def test_threads_share_one_arena(first: str, *, is_shared: bool) -> None:
    """By what glibc says of itself; without the call each thread that allocates has its own."""
    told = subprocess.run(
        [sys.executable, "-c", IN_THREADS.format(first=first)],
        check=True,
        capture_output=True,
        text=True,
    ).stderr
    assert "Arena 0:" in told
    assert ("Arena 1:" not in told) is is_shared

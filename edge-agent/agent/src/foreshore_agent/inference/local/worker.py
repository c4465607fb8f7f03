"""The thread of one model: what takes long runs there, one thing after the other.

A daemon, and no executor's thread: those are waited for when the process ends, and a call that
never ends would keep the agent from ending. Made in the event loop; results come back there.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

_Result = TypeVar("_Result")


class _Job(NamedTuple):
    call: Callable[[], Any]
    done: "asyncio.Future[Any]"


class ModelWorker:
    """One thread; `waiting` counts what it was given and has not ended."""

    def __init__(self, name: str) -> None:
        self.waiting = 0
        self._loop: Final = asyncio.get_running_loop()
        self._jobs: Final[queue.SimpleQueue[_Job | None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def submit(self, call: Callable[[], _Result]) -> "asyncio.Future[_Result]":
        """Have something called; what is cancelled before its turn is not called at all."""
        done: asyncio.Future[_Result] = self._loop.create_future()
        self.waiting += 1
        self._jobs.put(_Job(call, done))
        return done

    def close(self) -> None:
        """Let the thread end after what it was given."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            result, error = None, None
            if not job.done.cancelled():
                try:
                    result = job.call()
                except BaseException as raised:  # noqa: BLE001 - raised where it is waited for
                    error = raised
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._end, job, result, error)
            del job, result, error  # a session that was closed must not stay for the next job

    def _end(self, job: _Job, result: Any, error: BaseException | None) -> None:
        self.waiting -= 1
        if job.done.done():
            return
        if error is None:
            job.done.set_result(result)
        else:
            job.done.set_exception(error)

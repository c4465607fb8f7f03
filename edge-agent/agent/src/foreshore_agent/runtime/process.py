"""The process around an agent: event loop, signals, log, exit code. `main` calls `run`."""

import asyncio
import ctypes
import faulthandler
import gc
import logging
import signal
import sqlite3
import sys
from typing import Final

import uvloop

from foreshore_agent import clocks, exits, journal, logs, settings
from foreshore_agent.folder import folder
from foreshore_agent.runtime import agent
from foreshore_api import programs

_SETTLE_SECONDS: Final = 0.5
_SWITCH_SECONDS: Final = 0.0005
"""The journal's thread gets its turn this soon also while the loop is busy; by default 5 ms."""
_LOG: Final = logging.getLogger(__name__)


def run(configured: settings.AgentSettings, log_level: programs.LogLevel) -> exits.Exit:
    """Run one agent until SIGTERM or SIGINT; returns the exit code."""
    logs.configure(log_level.number)
    faulthandler.enable()  # a model in this process can end it with no other word
    collect_rarely()
    sys.setswitchinterval(_SWITCH_SECONDS)
    code = exits.Exit.DONE
    try:
        uvloop.run(_live(configured))
    except* folder.FolderError as group:
        code = _say(group, exits.Exit.USAGE)
    except* (
        journal.JournalInUse,
        journal.JournalFull,
        sqlite3.DatabaseError,
        OSError,
    ) as group:
        code = _say(group, exits.Exit.FAILED)
    return code


def collect_rarely() -> None:
    """Collect cycles less often: few are made.

    With 50,000 objects between two collections the garbage of a busy agent took 5 MB more, and a
    collection held the loop five times as long.
    """
    gc.set_threshold(10_000, 50, 100)


async def _live(configured: settings.AgentSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    host = agent.Agent(configured, clocks.SystemClock())
    settling = asyncio.create_task(_settle(host))
    try:
        await host.run(stop)
    finally:
        settling.cancel()


async def _settle(host: agent.Agent) -> None:
    """Once everything is up, tell the collector that it stays: collections then look at less."""
    while host.pending():  # noqa: ASYNC110 - readiness has no event
        await asyncio.sleep(_SETTLE_SECONDS)
    gc.collect()
    gc.freeze()
    give_back()


def give_back() -> None:
    """Return what the start took and no longer needs to the system: imports and YAML, 6 MB.

    The allocator keeps it otherwise, for it lies below what stays. Only glibc has this call; an
    allocator without it does as it likes.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _say(group: BaseExceptionGroup[BaseException], code: exits.Exit) -> exits.Exit:
    _LOG.debug("where it came from", exc_info=group)
    for error in _leaves(group):
        exits.say(str(error))
    return code


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]

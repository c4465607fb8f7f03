"""Problems in the agent's own log: each once when it appears, and once when it is over.

`life` runs it from the first moment on, so that what is wrong with a folder is said before anything
is waited for.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from foreshore_agent import inspection
from foreshore_api.wire import report

LOOK_SECONDS: Final = 0.25
_LOG: Final = logging.getLogger(__name__)


async def run(problems: Callable[[], Iterable[report.Problem]]) -> None:
    """Look at the problems now and then, until cancelled."""
    said: set[str] = set()
    while True:
        said = say(map(inspection.line, problems()), said)
        await asyncio.sleep(LOOK_SECONDS)


def say(problems: Iterable[str], said: set[str]) -> set[str]:
    """Log what is new, and what is over; return what is said by now."""
    now = dict.fromkeys(problems)  # in their order
    for each in now:
        if each not in said:
            _LOG.warning("%s", each)
    for each in sorted(said - now.keys()):
        _LOG.info("no more: %s", each)
    return set(now)

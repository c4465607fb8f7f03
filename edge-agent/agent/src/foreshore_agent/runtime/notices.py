"""Problems in the agent's own log: each once when it appears, and once when it is over.

`life` looks all the time; folder mode also asks for a look as soon as it has read its resources, so
that what is wrong with them is said before anything is waited for.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from foreshore_agent import inspection
from foreshore_api.wire import report

LOOK_SECONDS: Final = 1.0
_LOG: Final = logging.getLogger(__name__)


class Notices:
    """What was said, so that nothing is said twice."""

    def __init__(self, problems: Callable[[], Iterable[report.Problem]]) -> None:
        self._problems: Final = problems
        self._said: dict[str, None] = {}

    def look(self) -> None:
        """Log what is new, and what is over."""
        present = dict.fromkeys(map(inspection.line, self._problems()))  # in their order
        for each in present:
            if each not in self._said:
                _LOG.warning("%s", each)
        for each in self._said:
            if each not in present:
                _LOG.info("no more: %s", each)
        self._said = present

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

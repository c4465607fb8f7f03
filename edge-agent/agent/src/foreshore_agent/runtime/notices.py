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
        self._logged: dict[str, None] = {}

    def look(self) -> None:
        """Log what is new, and what is over."""
        present = dict.fromkeys(map(inspection.line, self._problems()))  # in their order
        for line in present:
            if line not in self._logged:
                _LOG.warning("%s", line)
        for line in self._logged:
            if line not in present:
                _LOG.info("no more: %s", line)
        self._logged = present

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

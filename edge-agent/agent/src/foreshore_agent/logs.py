"""How a process of this distribution logs: to standard error, each line fit for a terminal.

Lines carry what devices, peers and replicas wrote; `printable` says what of it is printed. Every
entry point calls `configure` once, before anything else logs.
"""

import logging
from typing import Any, Final

from foreshore_api import printable

FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
SHORT: Final = "%(levelname)s %(name)s: %(message)s"


class AgentFormatter(logging.Formatter):
    """Cleans what is logged; `printable` says how."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Render the line of a record."""
        record.message = printable.logged(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Render a traceback."""
        return printable.traceback(super().formatException(ei))


def configure(level: str | int, form: str = FORMAT) -> None:
    """Log from this level on."""
    handler = logging.StreamHandler()
    handler.setFormatter(AgentFormatter(form))
    logging.basicConfig(level=level, handlers=[handler])

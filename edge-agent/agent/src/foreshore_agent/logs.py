"""How a process of this distribution logs: to standard error, each line fit for a terminal.

Lines carry what devices, peers and replicas wrote; `printable` says what of it is printed. Every
entry point calls `configure` once, before anything else logs.
"""

import logging
from typing import Final

from foreshore_api import printable

FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
SHORT: Final = "%(levelname)s %(name)s: %(message)s"
_LONGEST: Final = 4096


class Formatter(logging.Formatter):
    """Cleans what is logged, line by line: a traceback keeps its lines, a message has one."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Render the line of a record."""
        record.message = printable.clean(record.message, _LONGEST)
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's name
        """Render a traceback."""
        lines = super().formatException(ei).splitlines()  # type: ignore[arg-type]
        return "\n".join(printable.line(each, _LONGEST) for each in lines)


def configure(level: str | int, form: str = FORMAT) -> None:
    """Log from this level on."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter(form))
    logging.basicConfig(level=level, handlers=[handler])

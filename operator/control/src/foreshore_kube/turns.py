"""How threads take turns in a process whose event loop others wait for: operator and hub.

Whatever takes long is computed in a thread, and the loop goes on beside it. But a thread that
computes keeps Python's lock for as long as it may, by default 5 ms, each time the loop wakes up.
While a fleet of a thousand nodes was planned, half of all wake-ups took longer than 5.5 ms; with
this 1.0 ms, and the planning as much processor time as before.
"""

import sys
from typing import Final

SECONDS: Final = 0.0005
"""After so long who computes gives way to who waits."""


def shorten() -> None:
    """Let nobody in this process wait for longer than that for Python code that computes."""
    sys.setswitchinterval(SECONDS)

"""Whether what this agent says comes back to it from the broker.

MQTT 3.1.1 acknowledges a publication that the broker throws away, and Mosquitto with an `acl_file`
grants every subscription and delivers nothing. Against both only this helps: whatever the broker
is, it gives an agent its own beats back, or does not know the agent for one.
"""

import logging
from typing import Final

ECHO_SECONDS: Final = 10.0
"""Beats leave each second, and a broker gives them back in milliseconds."""
_LOG: Final = logging.getLogger(__name__)


class Echo:
    """The beats that left and did not come back."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._is_lost = False

    def left(self, topic: str, at: float) -> None:
        """A beat has left; `at` is in seconds of the loop."""
        if self._since is None:
            self._since = at
        if at - self._since > ECHO_SECONDS and not self._is_lost:
            self._is_lost = True
            _LOG.warning("the broker %s", lost(topic))

    def returned(self) -> None:
        """It came back, or there is no session that it could come back on."""
        self._since, self._is_lost = None, False

    @property
    def is_lost(self) -> bool:
        """Whether nothing has come back for too long."""
        return self._is_lost


def lost(topic: str) -> str:
    """Say for people that beats do not come back; the subject is the broker."""
    return (
        f"takes what we say on {topic} and does not give it back: its access list does not know"
        " this credential for an agent of the site (`foreshore-agent broker-acl` writes one)"
    )

"""Whether what this agent says comes back to it from the broker, and for how long it has.

MQTT 3.1.1 acknowledges a publication that the broker throws away, and Mosquitto with an `acl_file`
grants every subscription and delivers nothing. Against both only this helps: whatever the broker
is, it gives an agent its own beats back, or does not know the agent for one.

The same beats say since when the agent hears the site: while its own come back without a break, so
do those of the others, and only then is a peer that is not heard a peer that is silent. A session
alone says less: it begins without the beats of before, and a process that was stopped has one.
"""

import logging
from typing import Final

ECHO_SECONDS: Final = 10.0
"""Beats leave each second, and a broker gives them back in milliseconds."""
BREAK_SECONDS: Final = 3.0
"""Seconds between two beats that came back, after which the agent may have missed what was said.

Half of the silence that is held against a peer, so that whoever missed more is no witness to it.
"""
_LOG: Final = logging.getLogger(__name__)


class Echo:
    """The beats that left and did not come back."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._is_lost = False
        self._run: tuple[float, float] | None = None
        """When the first and the newest came back of those that did without a break."""

    def left(self, topic: str, at: float) -> None:
        """A beat has left; `at` is in seconds of the loop."""
        if self._since is None:
            self._since = at
        if at - self._since > ECHO_SECONDS and not self._is_lost:
            self._is_lost = True
            _LOG.warning("the broker %s", lost(topic))

    def returned(self, at: float) -> None:
        """It came back; `at` is in seconds of the loop."""
        self._since, self._is_lost = None, False
        is_unbroken = self._run is not None and at - self._run[1] <= BREAK_SECONDS
        self._run = (self._run[0] if self._run is not None and is_unbroken else at, at)

    def restart(self) -> None:
        """Another session begins, or there is none that anything could come back on."""
        self._since, self._is_lost, self._run = None, False, None

    def heard_for(self, at: float) -> float:
        """Return for how many seconds they have come back without a break; 0 while they do not."""
        if self._run is None or at - self._run[1] > BREAK_SECONDS:
            return 0.0
        return max(0.0, at - self._run[0])

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

"""What a broker denies this client: topics it may not say or hear, and beats that are lost.

    SUBACK, PUBACK with a failure ────► Denials ──► `lane` ──► `broker` ──► report, log, gauge
    own beats that do not come back ──► Echo ──────────────┘

MQTT 3.1.1 acknowledges a publication that the broker throws away, and Mosquitto with an `acl_file`
grants every subscription and delivers nothing. Against both only Echo helps: whatever the broker
is, it gives an agent its own beats back, or does not know the agent for one.
"""

import logging
from enum import StrEnum
from typing import Final

MAXIMUM: Final = 100
"""Topics that are remembered; there may be thousands, and the first say enough."""
ECHO_SECONDS: Final = 10.0
"""Beats leave each second, and a broker gives them back in milliseconds."""
_LOG: Final = logging.getLogger(__name__)


class Act(StrEnum):
    """What a client does with a topic."""

    PUBLISH = "publish on"
    LISTEN = "listen on"


class Denials:
    """What is denied now; logged once each."""

    def __init__(self) -> None:
        self._known: Final[dict[tuple[Act, str], str]] = {}

    def note(self, act: Act, topic: str, why: object) -> None:
        """Take note that the broker denied something, and why in its own words."""
        if (act, topic) in self._known or len(self._known) >= MAXIMUM:
            return
        self._known[act, topic] = f"does not let us {act} {topic} ({why})"
        _LOG.warning("the broker does not let us %s %s: %s", act, topic, why)

    def allow(self, act: Act, topic: str) -> None:
        """Take note that it is allowed."""
        self._known.pop((act, topic), None)

    def forget(self, act: Act | None = None) -> None:
        """Forget everything, or all of one act: the next time says it again."""
        for key in [key for key in self._known if act in (key[0], None)]:
            del self._known[key]

    def denied(self, act: Act) -> tuple[str, ...]:
        """Return the topics that are denied for one act."""
        return tuple(topic for known, topic in self._known if known is act)

    def sentences(self) -> tuple[str, ...]:
        """Return what is denied, for people."""
        return tuple(self._known.values())


class Echo:
    """Whether what this agent says comes back to it."""

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

    def heard(self) -> None:
        """It came back, or there is no session that it could come back on."""
        self._since, self._is_lost = None, False

    @property
    def is_lost(self) -> bool:
        """Whether nothing has come back for too long."""
        return self._is_lost


def lost(topic: str) -> str:
    """Say for people that beats do not come back."""
    return (
        f"takes what we say on {topic} and does not give it back: its access list does not know"
        " this credential for an agent of the site (`foreshore-agent broker-acl` writes one)"
    )

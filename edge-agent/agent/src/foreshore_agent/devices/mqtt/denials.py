"""What a broker denies this client: topics it may not publish or listen on.

    SUBACK, PUBACK with a failure ──► Denials ──► `lane` ──► `broker` ──► report, log, gauge

A broker that says nothing and delivers nothing is met by `foreshore_agent.site.echo`.
"""

import logging
from enum import StrEnum
from typing import Final

MAXIMUM: Final = 100
"""Topics that are remembered; there may be thousands, and the first say enough."""
_LOG: Final = logging.getLogger(__name__)


class TopicUse(StrEnum):
    """What a client does with a topic."""

    PUBLISH = "publish on"
    LISTEN = "listen on"


class Denials:
    """What is denied now; logged once each."""

    def __init__(self) -> None:
        self._known: Final[dict[tuple[TopicUse, str], str]] = {}

    def note(self, use: TopicUse, topic: str, why: object) -> None:
        """Take note that the broker denied something, and why in its own words."""
        if (use, topic) in self._known or len(self._known) >= MAXIMUM:
            return
        self._known[use, topic] = f"does not let us {use} {topic} ({why})"
        _LOG.warning("the broker does not let us %s %s: %s", use, topic, why)

    def allow(self, use: TopicUse, topic: str) -> None:
        """Take note that it is allowed."""
        if self._known:  # this is in the path of every command
            self._known.pop((use, topic), None)

    def forget(self, use: TopicUse | None = None) -> None:
        """Forget everything, or all of one use: the next time says it again."""
        for key in [key for key in self._known if use in (key[0], None)]:
            del self._known[key]

    def denied(self, use: TopicUse) -> tuple[str, ...]:
        """Return the topics that are denied for one use."""
        return tuple(topic for denied, topic in self._known if denied is use)

    def sentences(self) -> tuple[str, ...]:
        """Return what is denied, for people."""
        return tuple(self._known.values())

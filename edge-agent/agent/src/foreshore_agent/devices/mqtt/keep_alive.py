"""Signs of life on one session: when to ask the broker for one, and when it has given none.

    spoken or heard ──nothing for `seconds`──► is_due: PINGREQ ──nothing for `seconds`──► is_over
          ▲                                        └─ anything comes ──┐
          └────────────────────────────────────────────────────────────┘

One of a `connection`; MQTT 5, 3.1.2.10. A connection that broke without a word is noticed by this
alone.
"""

from typing import Final

LOOK_SECONDS: Final = 1.0
"""How often it is looked at."""


class KeepAlive:
    """One session's; times are seconds of any clock that does not go back."""

    def __init__(self, seconds: float, now: float) -> None:
        self.seconds = seconds
        """The interval; a broker of MQTT 5 may want another."""
        self._heard = self._spoke = now
        self._asked: float | None = None

    def hear(self, now: float) -> None:
        """Note that something came."""
        self._heard = now
        self._asked = None

    def speak(self, now: float) -> None:
        """Note that something was sent."""
        self._spoke = now

    def ask(self, now: float) -> None:
        """Note that the broker was asked for a sign of life."""
        self._asked = now

    def is_due(self, now: float) -> bool:
        """Whether the broker should be asked: it would throw us out, or we know too little."""
        quiet = now - min(self._heard, self._spoke)
        return self._asked is None and quiet + LOOK_SECONDS > self.seconds

    def is_over(self, now: float) -> bool:
        """Whether it was asked and has said nothing since."""
        return self._asked is not None and now - self._asked >= self.seconds

    def look_away(self, now: float) -> None:
        """Note that nothing is read on purpose: silence means nothing now."""
        if self._asked is not None:
            self._asked = now

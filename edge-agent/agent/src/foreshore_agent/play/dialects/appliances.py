"""What hangs on a played device: a load that ends its work, a room that warms up. Pure and exact.

The same ticks give the same values, so that a test and a demonstration can count on them.
"""

from typing import Final

_WORKING_TICKS: Final = 3
_WORKING_WATTS: Final = 58.4
_IDLE_WATTS: Final = 1.2
_VOLTS: Final = 231.0


class PlayedLoad:
    """A charger on a plug: it draws its power for some ticks, then next to nothing."""

    def __init__(self) -> None:
        self.is_on = True
        self.energy = 14.2
        """In kWh."""
        self._worked = 0

    @property
    def watts(self) -> float:
        """What it draws now."""
        if not self.is_on:
            return 0.0
        return _WORKING_WATTS if self._worked < _WORKING_TICKS else _IDLE_WATTS

    @property
    def amperes(self) -> float:
        """The current that it draws now."""
        return round(self.watts / _VOLTS, 3)

    @property
    def volts(self) -> float:
        """The voltage of the mains."""
        return _VOLTS

    def switch(self, *, is_on: bool) -> None:
        """Switch it; what is switched on begins its work anew."""
        if is_on and not self.is_on:
            self._worked = 0
        self.is_on = is_on

    def tick(self) -> None:
        """Let it work for a while."""
        if self.is_on:
            self._worked += 1
            self.energy = round(self.energy + self.watts / 1000, 4)


class PlayedRoom:
    """A room with a heater: it goes somewhat above its set point, as rooms do, and comes back."""

    def __init__(self) -> None:
        self.temperature = 21.4
        self.setpoint = 21.5
        self.mode = "heat"

    @property
    def is_heating(self) -> bool:
        """Whether the heater works."""
        return self.mode == "heat" and self.temperature < self.setpoint + 1.2

    def tick(self) -> None:
        """Let it warm up or cool down for a while."""
        step = 0.3 if self.is_heating else -0.2
        self.temperature = round(self.temperature + step, 1)

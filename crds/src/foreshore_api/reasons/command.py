"""What became of a command after the verdict, and why it is known or not. In outcome records.

A reason that only tells what happened, as it should, has no remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from foreshore_api.reasons import Reason, decision, table

# Before it leaves.
TOO_LATE: Final = Reason(
    "TooLate",
    "The command's time to live was over before it could leave.",
    remedy="a longer timeToLive, or look for what delays the agent: its disk, its load, its broker",
)
AUTHORITY_LOST: Final = Reason(
    "AuthorityLost",
    "This agent's right to command the device ended between verdict and sending.",
    remedy="nothing, if another agent took over; else look why the right was not renewed",
)
DEVICE_LOCKED: Final = decision.DEVICE_LOCKED
MODE_LOWERED: Final = Reason(
    "ModeLowered",
    "The policy's mode was lowered between verdict and sending.",
    remedy="mode Autonomous, if it should act",
)
POLICY_CHANGED: Final = decision.POLICY_CHANGED
UNASSIGNED: Final = Reason(
    "Unassigned",
    "The device or policy is not assigned to this agent any more; what was open is closed.",
)
NOT_CONNECTED: Final = Reason(
    "NotConnected",
    "There was no session with the site's broker.",
    remedy="look why the agent has no session: /readyz and the Site's condition Degraded say so",
)
CONGESTED: Final = Reason(
    "Congested",
    "The network to the broker took no more; a command that leaves later would arrive late.",
    remedy="a faster or less loaded network between agent and broker",
)
BUSY: Final = Reason(
    "Busy",
    "As many messages as the broker allows wait for its answer.",
    remedy="a broker that answers faster or allows more at once (MQTT receive maximum)",
)
INVALID_TOPIC: Final = Reason(
    "InvalidTopic",
    "The command's topic holds what no topic may: a wildcard, or no UTF-8.",
    remedy="correct mqtt.commandTopic of the DeviceProfile, or the device's name",
)

# After it has left.
NO_ACKNOWLEDGEMENT: Final = Reason(
    "NoAcknowledgement",
    "The device did not answer within the command's time to live.",
    remedy="look at the device and at mqtt.acknowledgementTopic of its profile",
)
RESTARTED: Final = Reason(
    "Restarted",
    "The agent restarted while the command was open: nobody saw an answer.",
    remedy="nothing; the actuator is held until a read-back or its settling time tells",
)
NEWER_COMMAND: Final = Reason(
    "NewerCommand",
    "A newer command to the same actuator left before this one was confirmed.",
)
READ_BACK_NEAR: Final = Reason(
    "ReadBackNear", "The measured value is within the tolerance of what was commanded."
)
READ_BACK_DIFFERS: Final = Reason(
    "ReadBackDiffers",
    "The device accepted, and what is measured differs by more than the tolerance.",
    remedy="look at the actuator; or a wider tolerance or longer settlingTime, if it is just slow",
)
NO_READ_BACK: Final = Reason(
    "NoReadBack",
    "The device accepted, and no measurement came in time.",
    remedy="look why the property that confirms the command is not published",
)

# The device's own words that mean that another agent is the holder.
LOWER_EPOCH: Final = Reason(
    "LowerEpoch",
    "The device refused: it has obeyed a holder with a higher epoch.",
    remedy="nothing: the agent stops, and the other one decides",
)
OTHER_HOLDER: Final = Reason(
    "OtherHolder",
    "The device refused: it obeys another holder of the same epoch.",
    remedy="nothing: the agent stops, and the other one decides",
)
OUTRANKED: Final = frozenset({LOWER_EPOCH, OTHER_HOLDER})
"""Reasons of a device for refusing a command that is another holder's right."""

TABLE: Final[Mapping[str, Reason]] = table(Reason, globals())
"""Every reason of an outcome by its code."""

"""What became of a command after the verdict, and why it is known or not. In outcome records.

A reason that only tells what happened, as it should, has no remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from foreshore_api.reasons import Reason, cap, decision, table

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
DEVICE_LOCKED: Final = decision.DEVICE_LOCKED.but(
    meaning="The device was locked between verdict and sending.",
    message="the device was locked between verdict and sending",
)
MODE_LOWERED: Final = Reason(
    "ModeLowered",
    "The policy's mode was lowered between verdict and sending.",
    remedy="mode Autonomous, if it should act",
)
POLICY_CHANGED: Final = decision.POLICY_CHANGED.but(
    meaning="The policy or device was replaced between verdict and sending.",
    message="policy or device changed between verdict and sending",
    remedy="nothing: the new version decides on the next sample",
)
RECORDER_FULL: Final = cap.RECORDER_FULL.but(
    meaning="Records could not be written any more, which lowered the policy's mode before the"
    " command left.",
    message="",
)
EXPRESSION_TOO_SLOW: Final = decision.EXPRESSION_TOO_SLOW.but(
    meaning="The policy was disarmed on the device between verdict and sending: its decisions take"
    " too long.",
    message="the policy was disarmed before the command left: its decisions take too long",
)
GUARDS_UNCHECKED: Final = cap.GUARDS_UNCHECKED
ACKNOWLEDGEMENT_MISSING: Final = cap.ACKNOWLEDGEMENT_MISSING
UNFENCED: Final = cap.UNFENCED
STORED_DELIVERY: Final = cap.STORED_DELIVERY
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
COMMAND_TOO_LARGE: Final = Reason(
    "CommandTooLarge",
    "The command is longer than the broker reads (MQTT 5, Maximum Packet Size).",
    remedy="a higher max_packet_size at the broker, or fewer values in an action",
)
NO_COMMAND_TOPIC: Final = Reason(
    "NoCommandTopic",
    "The profile has no topic for commands, so that none can leave.",
    remedy="set mqtt.commandTopic of the DeviceProfile, if the device takes commands",
)
MESSAGE_NOT_MADE: Final = Reason(
    "MessageNotMade",
    "The action's expression gives no message for these values, or one that is too long.",
    remedy="correct mqtt.expression of the action in the DeviceProfile, or the device's parameters",
)
BROKER_REFUSED: Final = Reason(
    "BrokerRefused",
    "The broker refused the command after it had left, and gave no reason.",
    remedy="look at the broker's log and at its access list",
)

# After it has left.
NO_ACKNOWLEDGEMENT: Final = Reason(
    "NoAcknowledgement",
    "The device did not answer within the command's time to live.",
    remedy="look at the device and at mqtt.acknowledgementTopic of its profile",
)
NO_ECHO: Final = Reason(
    "NoEcho",
    "The device did not report what it was told in time (acknowledgement.echo.within).",
    "the device did not report what it was told in time: {readBack}",
    remedy="look whether the device obeys and publishes the property; or a longer within, or a"
    " wider tolerance of the property",
)
NO_REPLY: Final = Reason(
    "NoReply",
    "No answer that matches came in time (acknowledgement.reply.within).",
    remedy="look at the device, and at topic, path and match of the action's acknowledgement.reply",
)
NOTHING_TELLS: Final = Reason(
    "NothingTells",
    "The command has left, and the action's acknowledgement is None: nothing tells whether it was"
    " done.",
    remedy="acknowledgement Echo, if the device reports what it was told",
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
    "ReadBackNear",
    "The measured value is within the tolerance of what was commanded.",
    "measured as commanded: {readBack}",
)
ECHO_NEAR: Final = Reason(
    "EchoNear",
    "The device reported what it was told, after it was told.",
    "reported as commanded: {readBack}",
)
ALREADY_EQUAL: Final = Reason(
    "AlreadyEqual",
    "The device's own fresh report is what would have been commanded: nothing was sent.",
    "nothing was sent, the device reports it already: {readBack}",
)
READ_BACK_DIFFERS: Final = Reason(
    "ReadBackDiffers",
    "What is measured differs from what was commanded by more than the tolerance.",
    "measured is not what was commanded: {readBack}",
    remedy="look at the actuator; or a wider tolerance or longer settlingTime, if it is just slow",
)
NO_READ_BACK: Final = Reason(
    "NoReadBack",
    "No measurement came in time that could show whether it was done.",
    remedy="look why the property that confirms the command is not published",
)

# The device's answers; one that gives a reason of its own is recorded with that reason.
ACCEPTED: Final = Reason("Accepted", "The device takes the command.")
DONE: Final = Reason("Done", "The device says that its values have settled.")
REJECTED: Final = Reason(
    "Rejected",
    "The device refused the command, and gave no reason.",
    remedy="look at the device; one that gives a reason in its answer is understood sooner",
)

REPLY_MATCHED: Final = Reason(
    "ReplyMatched", "The device's answer on its reply topic matches the command."
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
OF_DEVICES: Final = frozenset({ACCEPTED, DONE, REJECTED, REPLY_MATCHED, *OUTRANKED})
"""What an answer of a device can mean; any other reason in one is the device's own."""

TABLE: Final[Mapping[str, Reason]] = table(Reason, globals())
"""Every reason of an outcome by its code."""

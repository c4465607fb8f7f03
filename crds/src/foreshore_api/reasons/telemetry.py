"""What became of a message from the site's broker, or of one value in it.

The label `result` of `foreshore_telemetry_messages_total`, the agent's log, and the problem of a
reading that the Validity gate then finds refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from foreshore_api.reasons import Reason, command, table

ACCEPTED: Final = Reason("Accepted", "At least one value is new, or it is an answer to a command.")
DUPLICATE: Final = Reason("Duplicate", "Every value has the time stamp of the newest one.")
LATE: Final = Reason("Late", "Every value is older than the newest one of its property.")
RETAINED: Final = Reason(
    "Retained",
    "The broker had kept the message: it says nothing about now.",
    remedy="devices that publish without the retain flag, or `retained: State` for a property that"
    " the device says only when it changes",
)
ECHO: Final = Reason("Echo", "This agent's own message, or one for another agent.")
UNASSIGNED: Final = command.UNASSIGNED

# Not looked at.
UNKNOWN_TOPIC: Final = Reason(
    "UnknownTopic",
    "No device or agent of the site publishes on this topic.",
    remedy="the topics of the DeviceProfile, and those of the device, alike",
)
WRONG_SPEAKER: Final = Reason(
    "WrongSpeaker",
    "An agent's message names another node than its topic.",
    remedy="look who publishes on the site's topics; the broker's access list should keep them out",
)
INVALID_DOCUMENT: Final = Reason(
    "InvalidDocument",
    "An answer or an agent's message is not of the documented form.",
    remedy="answers as crds/wire/acknowledgement describes them",
)
REPLY_UNMATCHED: Final = Reason(
    "ReplyUnmatched",
    "An answer on an action's reply topic matches no command that waits for one.",
    remedy="nothing where the device also says there what it does on its own; else path, type and"
    " match of the action's acknowledgement.reply",
)
DROPPED: Final = Reason(
    "Dropped",
    "Messages came faster than they could be taken: the oldest, or what had waited too long, was"
    " dropped.",
    remedy="fewer or slower devices for the node, or a faster node",
)

# A newer sample took its place: it is no decision of its own.
NEWER_ON_TOPIC: Final = Reason(
    "NewerOnTopic",
    "A newer message of the device waited already: this one was not read.",
    remedy="isolation Agent for the model, fewer or slower devices for the node, or a faster node",
)
NEWER_IN_TURN: Final = Reason(
    "NewerInTurn",
    "A newer sample of the device came together with it, and the policy decided on that one.",
    remedy="nothing where samples come in bursts (a broker without set_tcp_nodelay makes some);"
    " else as for NewerOnTopic",
)
NEWER_WHILE_DECIDING: Final = Reason(
    "NewerWhileDeciding",
    "A newer sample came while the policy's decision before waited for its model.",
    remedy="a faster model or isolation Agent, or a minimumInterval that the model can keep",
)
NEWER_WITHIN_INTERVAL: Final = Reason(
    "NewerWithinInterval",
    "A newer sample came before the policy's minimumInterval was over.",
    remedy="a shorter minimumInterval, if more samples are to be decided on",
)
POLICY_REPLACED: Final = Reason(
    "PolicyReplaced",
    "The policy changed while the sample waited for its decision.",
    remedy="nothing: the next sample is decided on by the policy as it is now",
)
PACKET_TOO_LARGE: Final = Reason(
    "PacketTooLarge",
    "A message above the bound ended the session (MQTT 3.1.1 knows no better).",
    remedy="a limit in the broker (Mosquitto: max_packet_size), or MQTT 5",
)
DEFECT: Final = Reason(
    "Defect",
    "This agent failed on the message; it goes on with the next one.",
    remedy="report the log's traceback: this is a defect of ours",
)

# A document that cannot be read.
TOO_LARGE: Final = Reason(
    "TooLarge",
    "The document is larger than one may be.",
    remedy="smaller documents: only what the profile's properties need",
)
TOO_DEEP: Final = Reason("TooDeep", "The document is nested too deep.", remedy="a flatter document")
INVALID_UTF8: Final = Reason(
    "InvalidUTF8", "The document is no UTF-8.", remedy="a device that publishes JSON in UTF-8"
)
INVALID_JSON: Final = Reason(
    "InvalidJSON",
    "The document is no JSON.",
    remedy="payload Text for the property, where the message is a bare value; else a device that"
    " publishes JSON",
)
NOT_AN_OBJECT: Final = Reason(
    "NotAnObject",
    "The document is JSON and no object.",
    remedy="a topic of its own for the property, where the message is a bare value; else an object"
    " of properties",
)
DUPLICATE_KEY: Final = Reason(
    "DuplicateKey",
    "The document names a key twice: nobody knows which value counts.",
    remedy="each key once",
)

TOO_MANY: Final = Reason(
    "TooMany",
    "The message holds more samples than are read of one.",
    remedy="smaller batches, or a topic that fewer devices share",
)

NULL: Final = Reason(
    "Null", "The message names properties and says nothing of them: their last values keep ageing."
)
NO_PROPERTY: Final = Reason(
    "NoProperty",
    "The document holds none of the properties that the profile names.",
    remedy="path, pick and batch of the DeviceProfile's properties as the device publishes, also in"
    " upper and lower case",
)

# A value that cannot be used.
UNKNOWN_WORD: Final = Reason(
    "UnknownWord",
    "What was said of a device's availability is neither its word for online nor that for offline.",
    remedy="online, offline and path of the profile's mqtt.availability, and what is published,"
    " alike",
)
WRONG_TYPE: Final = Reason(
    "WrongType",
    "The value is of another type than the profile's property.",
    remedy="the property's type as the device's value is; of a number in a text payload Text, with"
    " its decimal and suffix; of an array's element pick, or position Fixed",
)
NON_FINITE: Final = Reason(
    "NonFinite",
    "The value is NaN, infinite or beyond a 64-bit float.",
    remedy="a device that leaves out what it cannot measure",
)
OUT_OF_RANGE: Final = Reason(
    "OutOfRange",
    "The value does not fit the property's type.",
    remedy="type Number in the profile, or smaller integers",
)
TOO_LONG: Final = Reason("TooLong", "The text is longer than one may be.", remedy="shorter texts")
INVALID_TEXT: Final = Reason(
    "InvalidText", "The text holds what is no Unicode.", remedy="texts in UTF-8"
)
UNKNOWN_VALUE: Final = Reason(
    "UnknownValue",
    "The device says a value that the profile's values do not list.",
    remedy="a row for it in the property's values, as the device writes it",
)
INVALID_QUALITY: Final = Reason(
    "InvalidQuality",
    "The device says that the value cannot be trusted, or not that it can.",
    remedy="what is wrong at the device; or the property's quality in the profile, and what the"
    " device says of good values, alike",
)
INVALID_TIMESTAMP: Final = Reason(
    "InvalidTimestamp",
    "The value's own time cannot be read; the value is used with the time of receipt.",
    remedy="time.format and time.zone in the profile or the Site's timeZone, as the device writes"
    " its times; or no time there",
)

TABLE: Final[Mapping[str, Reason]] = table(Reason, globals())
"""Every result of a message and problem of a value by its code."""

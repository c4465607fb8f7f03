"""What an agent reports of itself: notices, problems, and messages of peers that it refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from foreshore_api.reasons import Reason, cap, decision, table

# Notices: a change of what the agent may or can do.
AUTHORITY_RENEWED: Final = decision.AUTHORITY_RENEWED
AUTHORITY_OFFLINE: Final = decision.AUTHORITY_OFFLINE
AUTHORITY_LAPSED: Final = decision.AUTHORITY_LAPSED
AUTHORITY_SUPERSEDED: Final = decision.AUTHORITY_SUPERSEDED
AUTHORITY_MISSING: Final = decision.AUTHORITY_MISSING
RECORDER_FULL: Final = cap.RECORDER_FULL.but(
    meaning="Records cannot be written any more; modes are capped as the policies say.",
    message="modes are capped until records can be written ({detail})",
)
EXPRESSION_TOO_SLOW: Final = decision.EXPRESSION_TOO_SLOW
RECORD_INCOMPLETE: Final = decision.RECORD_INCOMPLETE
RECORDER_WORKS: Final = Reason(
    "RecorderWorks", "Records are written again.", "records are written again"
)
GENERATION_IN_FORCE: Final = Reason(
    "GenerationInForce",
    "A generation that waited for its model's replica is in force.",
    "{generation} is in force and waits no more",
)

# Problems: something was not used, or could not be done as asked.
ASSIGNMENT_SET_ASIDE: Final = Reason(
    "AssignmentSetAside",
    "The stored assignment cannot be read by this release; it was kept aside, and the last state"
    " counts until the hub sends a new one.",
    remedy="reach the hub once; the file aside tells what was in it",
)
ASSIGNMENT_REFUSED: Final = Reason(
    "AssignmentRefused",
    "The hub's newest assignment is another node's, or older than the one in force, which stays.",
    remedy="the name that the agent is started with and its token, or the newest copy of the hub's"
    " store, as the message says",
)
STATE_UNREADABLE: Final = Reason(
    "StateUnreadable",
    "A durable value could not be read when the agent started; it was kept aside, and the device"
    " begins with its limits spent.",
    remedy="nothing, if an upgrade was the cause; else look at the disk",
)
RECORDS_REFUSED: Final = Reason(
    "RecordsRefused",
    "The hub does not take a record of this agent, sent alone.",
    remedy="the hub's log says why; the record stays in the agent's journal",
)
RECORD_TOO_LARGE: Final = Reason(
    "RecordTooLarge",
    "A record is larger than one may be; it was dropped, and a gap names it.",
    remedy="fewer inputs, features or attempts in one policy",
)
OVERLOADED: Final = Reason(
    "Overloaded",
    "Messages of devices come faster than the engine takes them: it decides on the newest, and"
    " counts the others in the next record.",
    "of {received} messages of devices in {seconds} s, {passed} were passed over unread because"
    " newer ones came, and {dropped} were dropped; the loop was busy {busy:.0%} of its busiest"
    " second",
    remedy="isolation Agent for the model, fewer or slower devices for the node, or a faster node",
)
DISK_BEHIND: Final = Reason(
    "DiskBehind",
    "So many records wait for the disk that messages of devices wait unread, where newer ones take"
    " their place.",
    "{writes} writes waited for the disk, and messages of devices for them, unread: of {received}"
    " in {seconds} s, {passed} were passed over because newer ones came, and {dropped} were"
    " dropped",
    remedy="a faster disk for the state directory, or less beside the agent on it; fewer decisions"
    " on the node",
)
TOO_MANY_PEERS: Final = Reason(
    "TooManyPeers",
    "More agents of the site than one measures the distance to; the first by name are measured.",
    remedy="nothing, unless replicas on the others are placed badly; else two smaller sites",
)
OTHER: Final = Reason(
    "Other",
    "Refused for one more cause than the log tells apart; foreshore_telemetry_messages_total has"
    " each cause.",
)

# Refused messages of peers.
EPOCH_BEYOND_BELIEF: Final = Reason(
    "EpochBeyondBelief",
    "A message names an epoch more than ten years ahead: no operator issued it.",
    remedy="look who publishes on the site's topics; the broker's access list should keep them out",
)
UNSOLICITED: Final = Reason(
    "Unsolicited",
    "A renewal of another boot, or of a request that this agent has not sent lately.",
    remedy="nothing, after a restart; if it goes on, look who publishes on the site's topics",
)

TABLE: Final[Mapping[str, Reason]] = table(Reason, globals())
"""Every notice, problem and refusal of an agent by its code."""

"""Why an agent's call to its hub did not do what it was made for. In the agent's log and report.

Where the hub answered with a status, the reason is that status (`Status503`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from foreshore_api.reasons import Reason, agent, inference, table

TIMEOUT: Final = Reason(
    "Timeout", "The hub did not answer in time.", remedy="a faster link, or a hub with more room"
)
UNREACHABLE: Final = inference.UNREACHABLE.but(
    meaning="No connection to the hub, or it ended.",
    remedy="look at the hub's address, certificate and pods, and at the link to it",
)
CLOSED: Final = Reason("Closed", "The agent is closing its connections: it ends.")
MALFORMED_ANSWER: Final = inference.MALFORMED_ANSWER.but(
    meaning="The hub's answer is not of the documented form.",
    remedy="hub and agent of one release, or look what listens at the hub's address",
)
MALFORMED_ASSIGNMENT: Final = Reason(
    "MalformedAssignment",
    "This release cannot read the hub's assignment; what was in force stays.",
    remedy="hub and agent of one release",
)
WRONG_JOURNAL: Final = Reason(
    "WrongJournal",
    "The hub answered for another journal than the one that was sent.",
    remedy="look whether two agents use one node name",
)
NOTHING_ACKNOWLEDGED: Final = Reason(
    "NothingAcknowledged",
    "The hub took a batch and acknowledged no record of it.",
    remedy="the hub's log says why",
)
RECORDS_REFUSED: Final = agent.RECORDS_REFUSED

TABLE: Final[Mapping[str, Reason]] = table(Reason, globals())
"""Every failure of a call to the hub by its code."""

"""Why the mode in force is lower than the mode that a policy asks for.

Named in `cappedBy` of a record, in the Degraded condition of a policy, and by `kubectl foreshore`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from foreshore_api.reasons import Reason, decision, table

RECORDER_FULL: Final = decision.RECORDER_FULL.but(
    meaning="The agent cannot write records: policies work by degraded.onRecorderFull.",
    message="",
    remedy="give the node's state directory room, or let the hub catch up",
)
EXPRESSION_TOO_SLOW: Final = decision.EXPRESSION_TOO_SLOW
GUARDS_UNCHECKED: Final = Reason(
    "GuardsUnchecked",
    "The profile does not say that the device checks epoch and duplicates of a command.",
    remedy="set guards.epoch and guards.duplicates to Checked there if the device checks them",
)
ACKNOWLEDGEMENT_MISSING: Final = Reason(
    "AcknowledgementMissing",
    "The profile has no topic for commands or for the device's answers.",
    remedy="set mqtt.commandTopic and mqtt.acknowledgementTopic there if the device answers"
    " commands",
)

TABLE: Final[Mapping[str, Reason]] = table(Reason, globals())
"""Every cap by its code."""

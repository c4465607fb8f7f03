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
NON_IDEMPOTENT: Final = Reason(
    "NonIdempotent",
    "Doing the action twice is not the same as once (idempotency NonIdempotent), and after a crash"
    " nobody knows whether it was done.",
    remedy="an action that names the state that is wanted, such as open or closed, where the device"
    " has one; a pulse, a step or a toggle stays advice for a person",
)
GUARDS_UNCHECKED: Final = Reason(
    "GuardsUnchecked",
    "The profile names nobody who keeps an old holder's command from taking effect: it does not say"
    " that the device checks epoch and duplicates, nor that nobody does.",
    remedy="set guards.epoch and guards.duplicates to Checked there if the device checks them; for"
    " hazard Low and an idempotent action, guards.fence None accepts that two agents may overlap",
)
UNFENCED: Final = Reason(
    "Unfenced",
    "Nobody fences the device (guards.fence None): two agents may command it at once, which only"
    " hazard Low and idempotent actions may risk.",
    remedy="a device that checks epoch and duplicates, or hazard Low if a wrong command does no"
    " harm",
)
ACKNOWLEDGEMENT_MISSING: Final = Reason(
    "AcknowledgementMissing",
    "Nothing would tell whether a command worked: the profile has no topic for commands or for the"
    " device's answers, or says acknowledgement None for more than hazard Low.",
    remedy="set mqtt.commandTopic and mqtt.acknowledgementTopic there if the device answers"
    " commands, or the action's acknowledgement: Echo if it reports what it was told",
)
STORED_DELIVERY: Final = Reason(
    "StoredDelivery",
    "The action's message is stored for a device that is away (mqtt.delivery Stored), and may"
    " arrive when it is not right any more.",
    remedy="a topic whose messages reach the device at once or never, with delivery Live",
)

TABLE: Final[Mapping[str, Reason]] = table(Reason, globals())
"""Every cap by its code."""

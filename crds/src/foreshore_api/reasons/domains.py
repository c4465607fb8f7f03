"""All tables by the name of their domain, in the order in which the reference lists them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from foreshore_api.reasons import (
    Reason,
    agent,
    cap,
    command,
    condition,
    decision,
    inference,
    journal,
    link,
    lint,
    placement,
    serving,
    telemetry,
)

Row = Reason | condition.ConditionReason | serving.ServingReason

TABLES: Final[Mapping[str, Mapping[str, Row]]] = MappingProxyType(
    {
        "decision": decision.TABLE,
        "command": command.TABLE,
        "cap": cap.TABLE,
        "telemetry": telemetry.TABLE,
        "inference": inference.TABLE,
        "serving": serving.TABLE,
        "agent": agent.TABLE,
        "link": link.TABLE,
        "journal": journal.TABLE,
        "placement": placement.TABLE,
        "condition": condition.TABLE,
        "lint": lint.TABLE,
    }
)

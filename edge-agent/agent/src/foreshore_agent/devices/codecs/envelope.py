"""Commands, advice and answers as JSON: the dialect of `foreshore_api.wire.command`.

Called by whatever carries bytes to a device. Tests hold all of it to the wire's documents.
"""

import orjson

from foreshore_agent import documents
from foreshore_agent.engine import effects
from foreshore_api.wire import command as wire
from foreshore_decision import record


def encode(command: effects.SendCommand, _message: object = None) -> bytes:
    """Return the envelope of a command."""
    return orjson.dumps(
        {
            "commandId": command.command_id,
            "attempt": command.attempt,
            "action": command.action,
            "input": dict(command.values),
            "holder": command.holder,
            "epoch": command.epoch,
            "priority": command.priority,
            "issuedAt": record.stamp(command.issued_at),
            "notAfter": record.stamp(command.not_after),
        }
    )


def advice(advised: effects.Advise) -> bytes:
    """Return a recommendation, which names its policy."""
    return orjson.dumps(
        {
            "decisionId": advised.decision_id,
            "policy": str(advised.policy),
            "action": advised.action,
            "input": dict(advised.values),
            "reason": advised.reason,
            "time": record.stamp(advised.time),
        }
    )


def acknowledgement(body: bytes) -> wire.Acknowledgement | str:
    """Return a device's answer, or `TooLarge` or `InvalidDocument`."""
    return documents.read(body, wire.Acknowledgement)

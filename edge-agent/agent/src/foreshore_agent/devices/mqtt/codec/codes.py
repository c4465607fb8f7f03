"""What a broker answers: reason codes of MQTT 5 and return codes of MQTT 3.1.1, by their names.

The names are the specification's own: people look them up there and in their broker's log.
"""

from collections.abc import Mapping
from typing import Final

FAILURE: Final = 0x80
"""The first code that means no, in MQTT 5 and in a SUBACK of MQTT 3.1.1."""

_NAMES: Final[Mapping[int, str]] = {
    0x00: "Success",
    0x01: "Granted QoS 1",
    0x02: "Granted QoS 2",
    0x04: "Disconnect with will message",
    0x10: "No matching subscribers",
    0x11: "No subscription existed",
    0x80: "Unspecified error",
    0x81: "Malformed packet",
    0x82: "Protocol error",
    0x83: "Implementation specific error",
    0x84: "Unsupported protocol version",
    0x85: "Client identifier not valid",
    0x86: "Bad user name or password",
    0x87: "Not authorized",
    0x88: "Server unavailable",
    0x89: "Server busy",
    0x8A: "Banned",
    0x8B: "Server shutting down",
    0x8C: "Bad authentication method",
    0x8D: "Keep alive timeout",
    0x8E: "Session taken over",
    0x8F: "Topic filter invalid",
    0x90: "Topic name invalid",
    0x91: "Packet identifier in use",
    0x92: "Packet identifier not found",
    0x93: "Receive maximum exceeded",
    0x94: "Topic alias invalid",
    0x95: "Packet too large",
    0x96: "Message rate too high",
    0x97: "Quota exceeded",
    0x98: "Administrative action",
    0x99: "Payload format invalid",
    0x9A: "Retain not supported",
    0x9B: "QoS not supported",
    0x9C: "Use another server",
    0x9D: "Server moved",
    0x9E: "Shared subscriptions not supported",
    0x9F: "Connection rate exceeded",
    0xA0: "Maximum connect time",
    0xA1: "Subscription identifiers not supported",
    0xA2: "Wildcard subscriptions not supported",
}
_RETURN_CODES: Final[Mapping[int, int]] = {1: 0x84, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87}
"""Answers of MQTT 3.1.1 to CONNECT, as the reason codes of MQTT 5 that mean the same."""


def is_failure(code: int) -> bool:
    """Whether a reason code means no."""
    return code >= FAILURE


def is_named(code: int) -> bool:
    """Whether the specification has a name for a reason code."""
    return code in _NAMES


def name(code: int) -> str:
    """Return a reason code for people; one that no specification has is its number."""
    return _NAMES.get(code) or f"Reason 0x{code:02x}"


def from_return_code(code: int) -> int:
    """Return the reason code of a CONNACK of MQTT 3.1.1; an unknown one is unspecified."""
    return _RETURN_CODES.get(code, 0x80) if code else 0

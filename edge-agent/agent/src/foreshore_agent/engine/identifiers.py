"""Identities that the engine derives, because making one up would not be pure."""

import uuid

_TAIL = (1 << 62) - 1


def nth(fresh: str, position: int) -> str:
    """Return the n-th UUIDv7 of an event: the fresh one counted up in its random tail.

    Version, variant and time stay as they are, so that identities sort by time as before.
    """
    if not position:
        return fresh
    number = uuid.UUID(fresh).int
    return str(uuid.UUID(int=(number & ~_TAIL) | ((number + position) & _TAIL)))

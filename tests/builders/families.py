"""The loopback of each family of addresses, for tests of what listens and what dials."""

import socket

import pytest

V4 = "127.0.0.1"
V6 = "::1"


def can_bind(host: str) -> bool:
    """Whether this machine has the address."""
    try:
        socket.create_server(
            (host, 0), family=socket.AF_INET6 if host == V6 else socket.AF_INET
        ).close()
    except OSError:
        return False
    return True


NEEDS_V6 = pytest.mark.skipif(not can_bind(V6), reason="::1 cannot be bound here")
LOOPBACKS = (V4, pytest.param(V6, marks=NEEDS_V6))
"""For `pytest.mark.parametrize`: IPv6 is left out only where the machine has none."""

"""Sockets that operator and hub listen on, of both families of addresses."""

import socket
from typing import Final

from foreshore_api import addresses

BACKLOG: Final = 2048
"""Connections that wait to be taken; uvicorn's own number."""


def opened(host: str, port: int) -> socket.socket:
    """Return a listening socket; `::` is every address of both families.

    Neither asyncio nor uvicorn make such a one: to them `::` is IPv6 alone.

    Raises:
        OSError: the port is taken, or the address is not ours.
    """
    host = addresses.bindable(host, has_v6=socket.has_dualstack_ipv6())
    return socket.create_server(
        (host, port),
        family=socket.AF_INET6 if addresses.is_v6(host) else socket.AF_INET,
        backlog=BACKLOG,
        dualstack_ipv6=host == addresses.EVERY,
    )

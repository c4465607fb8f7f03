"""How addresses of the network are written and read: hosts, `HOST:PORT`, URLs, what to listen on.

Pods have IPv4 or IPv6 addresses, or both; brokers have names too. Whoever writes an address beside
a port, or takes the two apart, calls this: an IPv6 address then stands in brackets, because it has
colons of its own. By itself (a broker's host) it stands without them.
"""

import ipaddress
import re
from typing import Final

EVERY: Final = "::"
"""What to listen on for all addresses of both families."""
EVERY_V4: Final = "0.0.0.0"  # noqa: S104 - a name for it; who listens on it says why
"""What to listen on for all addresses where the kernel has no IPv6."""

_GROUP: Final = "[0-9A-Fa-f]{1,4}"
_V6: Final = "|".join(
    (
        f"({_GROUP}:){{7}}{_GROUP}",
        *(f"({_GROUP}:){{1,{n}}}(:{_GROUP}){{1,{7 - n}}}" for n in range(1, 7)),
        f"({_GROUP}:){{1,7}}:",
        f":((:{_GROUP}){{1,7}}|:)",
        r"::[Ff]{4}:([0-9]{1,3}[.]){3}[0-9]{1,3}",
    )
)
HOST_PATTERN: Final = f"^([A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?|{_V6})$"
"""A host: a DNS name, an IPv4 address, or an IPv6 address without brackets and without a zone (the
name of an interface, which another machine gives another name)."""
WRONG_HOST: Final = (
    "must be a host name or an IP address; an IPv6 address stands without brackets and zone"
)


def is_v6(host: str) -> bool:
    """Whether a host is an IPv6 address: nothing else has a colon."""
    return ":" in host


def joined(host: str, port: int) -> str:
    """Write `HOST:PORT`: `joined("fd42::7", 8080) == "[fd42::7]:8080"`."""
    return f"[{host}]:{port}" if is_v6(host) else f"{host}:{port}"


def http(host: str, port: int) -> str:
    """Write `http://HOST:PORT`."""
    return f"http://{joined(host, port)}"


def split(text: str) -> tuple[str, int]:
    """Take `HOST:PORT` apart; an IPv6 host stands in brackets, no host means every address.

    Raises:
        ValueError: no port, or not a number from 0 to 65535, or brackets missing.
    """
    host, separator, port = text.rpartition(":")
    if not separator or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    if is_v6(host):
        raise ValueError(f"{text!r} is not HOST:PORT: an IPv6 host stands in brackets")
    return host, int(port)


def canonical(host: str) -> str:
    """Return the one spelling of an IP address, and a name in lower case, to compare hosts by."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower()


def bindable(host: str, *, has_v6: bool) -> str:
    """Return what to listen on for a host as it was asked for.

    Every address means both families; where the kernel has no IPv6 that is every one of IPv4.
    """
    if host not in ("", EVERY):
        return host
    return EVERY if has_v6 else EVERY_V4


def dialled(host: str) -> str:
    """Return the host, if it can be dialled. Raises ValueError."""
    if re.fullmatch(HOST_PATTERN, host) is None:
        raise ValueError(WRONG_HOST)
    return host

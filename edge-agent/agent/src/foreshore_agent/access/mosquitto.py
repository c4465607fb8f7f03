"""Grants as Mosquitto's `acl_file`. Whoever has no line in it may do nothing."""

from collections.abc import Iterable, Iterator
from typing import Final

from foreshore_agent.access import grants

_HEAD: Final = """\
# Who may say what on this broker, written by `foreshore-agent broker-acl`: write it again when a
# Site, DeviceProfile or Device has changed, then send Mosquitto a SIGHUP. Names are the common
# names of certificates, or users of the password file. Who is not named here may do nothing.
"""


def render(users: Iterable[grants.User]) -> str:
    """Return the file. Names and topics are one printable line each, as `grants` saw to."""
    return "\n".join((_HEAD, *(line for user in users for line in _section(user))))


def _section(user: grants.User) -> Iterator[str]:
    yield from (f"# {role}" for role in user.roles)
    yield f"user {user.name}"
    for topic in sorted(user.writes | user.reads):
        yield f"topic {_access(user, topic)} {topic}"
    yield ""


def _access(user: grants.User, topic: str) -> str:
    if topic in user.writes and topic in user.reads:
        return "readwrite"
    return "write" if topic in user.writes else "read"

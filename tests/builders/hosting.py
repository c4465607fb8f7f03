"""The models of an agent under test: hosts and residents with a state directory of their own."""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

from foreshore_agent.hosting import children, hosts, marks, residents

BOOT = "boot-1"


class KeptMarks:
    """Durable values, in memory."""

    def __init__(self, kept: Mapping[str, bytes] | None = None) -> None:
        self.kept = dict(kept or {})

    async def keep(self, key: str, value: bytes) -> None:
        self.kept[key] = value

    def ends(self, boot_id: str = BOOT) -> marks.UncleanEnds:
        """Return what the next life makes of them."""
        return marks.UncleanEnds(self.keep, boot_id, dict(self.kept))


def residents_at(
    state: Path, *, room_mib: int = 256, kept: KeptMarks | None = None, models: Path | None = None
) -> residents.Residents:
    """Return residents with room, under no suspicion."""
    return residents.prepared(state, models, room_mib, (kept or KeptMarks()).ends())


def hosts_at(
    state: Path,
    tasks: asyncio.TaskGroup,
    *,
    here: residents.Residents | None = None,
    models: Path | None = None,
    is_confined: bool = False,
) -> hosts.Hosts:
    """Return hosts of nothing yet."""
    own = here or residents_at(state, models=models)
    servers = children.Children(state, models)
    return hosts.Hosts(own, servers, tasks, is_confined=is_confined)


def children_of(pid: int) -> dict[int, list[bytes]]:
    """The words that the children of a process were started with, by their process IDs.

    One that ends while this looks is left out.
    """
    commands: dict[int, list[bytes]] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            for child in map(int, (task / "children").read_text().split()):
                with contextlib.suppress(OSError):
                    commands[child] = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
    return commands


def servers_of(pid: int) -> list[int]:
    """The inference servers that a process has started."""
    return [
        child
        for child, words in children_of(pid).items()
        if any(b"foreshore_serving" in word for word in words)
    ]

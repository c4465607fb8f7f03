"""What a process and all it started take: processor time by thread, and memory."""

import contextlib
from collections.abc import Mapping
from pathlib import Path


def processor(process_id: int) -> Mapping[str, float]:
    """Milliseconds of processor time: the first thread (the loop), the others, the children."""
    spent: dict[str, float] = {}
    for member in family(process_id):
        for task in Path(f"/proc/{member}/task").glob("[0-9]*"):
            name = "threads" if member == process_id else "children"
            name = "loop" if task.name == str(process_id) else name
            with contextlib.suppress(OSError):
                nanoseconds = int((task / "schedstat").read_text().split()[0])
                spent[name] = spent.get(name, 0.0) + nanoseconds / 1e6
    return spent


def since(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What was spent between two readings."""
    return {name: value - before.get(name, 0.0) for name, value in after.items()}


def resident(process_id: int) -> float:
    """Proportional set size in MB of a process and everything it started."""
    total = 0
    for member in family(process_id):
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
            line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
            total += int(line.split()[1])
    return total * 1024 / 1e6  # the kernel's kB are KiB


def family(process_id: int) -> list[int]:
    """A process and everything it started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    members, waiting = list[int](), [process_id]
    while waiting:
        member = waiting.pop()
        members.append(member)
        waiting += children.get(member, [])
    return members

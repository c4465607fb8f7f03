"""Refuses a test that runs a program which the table of programs does not name.

A machine that happens to have the program hides that nothing installs it: the test passes here and
fails on the next machine. So it fails here first. `conftest.py` installs this for every session.
"""

import functools
import sys
from pathlib import Path
from typing import Any

from harness import cache, programs

STARTERS = {"subprocess.Popen", "os.posix_spawn", "os.exec"}
WRAPPERS = {"setpriv", "unshare"}  # what stands after their `--` counts as well


class UnlistedProgramError(Exception):
    """A test ran a program that programs.TABLE lacks. No HarnessError: no probe may swallow it."""


@functools.cache
def install() -> None:
    """Watch every process that this one starts, until it ends."""
    sys.addaudithook(watch)


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Python's audit hook: refuse before the program starts."""
    if event in STARTERS:
        check([str(argument) for argument in command(arguments[1], arguments[0])])


def command(arguments: Any, program: Any) -> list[Any]:
    """The arguments that a process is started with, whatever form the caller gave them in."""
    if isinstance(arguments, str | bytes) or not arguments:
        return [program]
    return list(arguments)


def check(arguments: list[str]) -> None:
    """UnlistedProgramError unless the program is of the table, or made by this run."""
    name = Path(arguments[0]).name
    if not (name in programs.ROWS or is_own(Path(arguments[0]))):
        raise UnlistedProgramError(
            f"{arguments[0]} is no row of tests/cluster/harness/programs.py: nothing installs it "
            "on a bare machine. Give it a row: where it comes from, and which target needs it."
        )
    if name in WRAPPERS and "--" in arguments[:-1]:
        check(arguments[arguments.index("--") + 1 :])


def is_own(path: Path) -> bool:
    """Whether a program is this Python, of its environment, or built by the harness."""
    folders = {Path(sys.prefix) / "bin", Path(sys.executable).parent, cache.binaries()}
    return path.is_absolute() and path.parent in folders

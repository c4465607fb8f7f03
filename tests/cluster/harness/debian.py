"""Debian: packages through apt, and a small Debian of its own in a folder."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from harness import process, programs

RELEASE = "bookworm"


def install(packages: Iterable[str]) -> None:
    """Install what is missing of these Debian packages."""
    missing = [name for name in packages if not process.succeeds(["dpkg", "-s", name])]
    if not missing:
        return
    wanted = " ".join(missing)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise process.MissingRequirementError(wanted, f"As root: apt-get install {wanted}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with process.step(f"installing {wanted}"):
        process.run(["apt-get", "update", "-qq"], env=quiet, timeout=300)
        process.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
            env=quiet,
            timeout=900,
        )


def bring(program: programs.Program) -> None:
    """Install a program that the machine lacks and Debian has."""
    if not programs.is_there(program):
        install(programs.packages(program.name))


def bootstrap(rootfs: Path, packages: Iterable[str]) -> None:
    """Make a minimal Debian with these packages in a folder, which must not exist. Needs root.

    What debootstrap mounts and starts ends with it, also when a person interrupts it.
    """
    bring(programs.ROWS["debootstrap"])
    process.run(
        [
            "unshare", "--mount", "--pid", "--fork", "--kill-child", "--",
            "debootstrap", "--variant=minbase", f"--include={','.join(packages)}", RELEASE, rootfs,
        ],
        timeout=900,
    )  # fmt: skip

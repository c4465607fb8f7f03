"""The programs that tests, harness, demo and benches run: where from, and for which make target.

This is the one table. `make tools` and the targets that need programs install from it (`bring`); an
error about a missing program is told from it (`how_to_get`); `guard` refuses a test that runs
another program; and tests/contract/test_programs.py compares it with what the sources call. Before
a test may run a program that is new here, it gets a row.

Only Debian's and the standard library's names stand here: `process` reads this module.
"""

import ctypes
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

PLACES = "/usr/sbin:/usr/local/sbin:/sbin"  # Debian keeps servers where not every PATH looks


class Target(StrEnum):
    """The make targets that run programs of this table."""

    ZOO = "zoo"
    GENERATE = "generate"
    UNIT = "test-unit"
    COMPONENT = "test-component"
    TEST = "test"
    E2E = "e2e"
    DEMO = "demo"
    DEMO_LOCAL = "demo-local"
    DEMO_DEVICES = "demo-devices"
    BENCH = "bench"
    VERIFY = "verify"
    FRESH = "fresh-check"
    SCALE = "scale"


@dataclass(frozen=True)
class Debian:
    """Comes from Debian packages; `files` are there when all of them are installed."""

    packages: tuple[str, ...]
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class SharedLibrary:
    """No program: a library that a Python package of uv.lock loads, from a Debian package."""

    package: str


@dataclass(frozen=True)
class Pinned:
    """Built from the Go module that `tools.PROGRAMS` pins."""


@dataclass(frozen=True)
class Base:
    """In every Debian, however small: the package is essential or required."""

    package: str


@dataclass(frozen=True)
class Workspace:
    """Installed by `make sync`, from this tree or uv.lock."""


@dataclass(frozen=True)
class Brought:
    """What a person brings, as README.md says; `how` says where from."""

    how: str


Source = Debian | SharedLibrary | Pinned | Base | Workspace | Brought


@dataclass(frozen=True)
class Program:
    """One program.

    `before` are the targets that install it before they start; for the targets in `later`, the
    harness brings it at the moment that it is needed: who has an engine needs none installed.
    """

    name: str
    source: Source
    before: frozenset[Target] = field(default_factory=frozenset)
    later: frozenset[Target] = field(default_factory=frozenset)

    @property
    def targets(self) -> frozenset[Target]:
        """All targets that need it."""
        return self.before | self.later


def on(*targets: Target) -> frozenset[Target]:
    """Targets, as a row names them."""
    return frozenset(targets)


EVERY = on(*Target)
NODES = on(Target.E2E, Target.DEMO, Target.BENCH)
ON_A_PLANE = on(Target.TEST, Target.SCALE)
BROKER = on(Target.COMPONENT, Target.TEST, Target.BENCH)
MOSQUITTO = BROKER | on(Target.DEMO_DEVICES)
ENGINE = ("docker.io", "containerd", "runc", "iptables", "ca-certificates")
COMPILER = ("gcc", "libc6-dev", "libmosquitto-dev")
HEADERS = ("/usr/include/stdio.h", "/usr/include/mosquitto.h")
NODE_JS = "Install Node.js 20 or newer with npm (on Debian as root: apt-get install npm)."

TABLE: tuple[Program, ...] = (
    # from Debian
    Program("mosquitto", Debian(("mosquitto",)), before=MOSQUITTO),
    Program("mosquitto_pub", Debian(("mosquitto-clients",)), before=on(Target.TEST, Target.E2E)),
    Program("curl", Debian(("curl",)), before=ON_A_PLANE),
    Program(
        "prometheus", Debian(("prometheus",)), before=on(Target.COMPONENT, Target.TEST, Target.E2E)
    ),
    Program("cc", Debian(COMPILER, HEADERS), before=BROKER),
    Program("docker", Debian(ENGINE), later=NODES),
    Program("debootstrap", Debian(("debootstrap",)), before=on(Target.FRESH), later=NODES),
    # of LightGBM, whose wheel alone brings none; a bare Debian has no OpenMP
    Program(
        "libgomp.so.1",
        SharedLibrary("libgomp1"),
        before=on(Target.ZOO, Target.GENERATE, Target.UNIT, Target.COMPONENT, Target.TEST),
    ),
    # from pinned Go modules
    Program("kube-apiserver", Pinned(), before=ON_A_PLANE, later=on(Target.BENCH)),
    Program("etcd", Pinned(), before=ON_A_PLANE, later=on(Target.BENCH)),
    Program("kube-scheduler", Pinned(), before=on(Target.SCALE), later=on(Target.BENCH)),
    Program("kube-controller-manager", Pinned(), before=on(Target.SCALE)),
    Program("kwok", Pinned(), before=on(Target.SCALE)),
    Program("kubectl", Pinned(), before=ON_A_PLANE, later=NODES),
    Program("kind", Pinned(), later=NODES),
    Program("helm", Pinned(), before=ON_A_PLANE, later=NODES | on(Target.VERIFY)),
    Program("runc-trim", Pinned(), later=NODES),
    Program("pause", Pinned(), later=NODES),
    # from this tree
    Program("foreshore-operator", Workspace(), later=on(Target.TEST)),
    # what every Debian has
    Program("apt-get", Base("apt"), later=EVERY),
    Program("apt-config", Base("apt"), later=on(Target.FRESH)),
    Program("dpkg", Base("dpkg"), later=EVERY),
    Program("tar", Base("tar"), later=NODES),
    Program("mount", Base("mount"), later=on(Target.COMPONENT, Target.TEST)),
    Program("umount", Base("mount"), later=on(Target.COMPONENT, Target.TEST)),
    Program("setpriv", Base("util-linux"), later=EVERY),
    Program("setsid", Base("util-linux"), later=NODES),
    Program("unshare", Base("util-linux"), later=NODES | on(Target.FRESH)),
    # what a person brings
    Program("git", Brought("Install git (on Debian as root: apt-get install git)."), later=EVERY),
    Program(
        "go",
        Brought("Install Go 1.26 or newer from https://go.dev/dl/ and put its bin folder on PATH."),
        later=EVERY,
    ),
    Program("node", Brought(NODE_JS), later=on(Target.BENCH)),
    Program("npm", Brought(NODE_JS), later=on(Target.BENCH)),
    Program("uv", Brought("Run a make target, which brings uv, or: pip install uv."), later=EVERY),
)
ROWS: Mapping[str, Program] = {program.name: program for program in TABLE}


def wanted(target: Target) -> tuple[Program, ...]:
    """What a target has installed before it starts, in the table's order."""
    return tuple(program for program in TABLE if target in program.before)


def packages(name: str) -> tuple[str, ...]:
    """The Debian packages that bring a program; none if it comes from elsewhere."""
    match ROWS[name].source:
        case Debian(packages=names):
            return names
        case SharedLibrary(package=package):
            return (package,)
        case _:
            return ()


def find(name: str) -> str | None:
    """Where this machine has a program, also where not every user's PATH looks."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{PLACES}")


def is_there(program: Program) -> bool:
    """Whether the machine has what Debian would bring, from Debian or from elsewhere."""
    if isinstance(program.source, SharedLibrary):
        return _is_loaded(program.name)
    files = program.source.files if isinstance(program.source, Debian) else ()
    return find(program.name) is not None and all(Path(file).exists() for file in files)


def _is_loaded(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def how_to_get(name: str) -> str:
    """What a person does about a missing program."""
    match ROWS[name].source if name in ROWS else None:
        case Debian(packages=names):
            return f"On Debian as root: apt-get install {' '.join(names)}"
        case SharedLibrary(package=package):
            return f"On Debian as root: apt-get install {package}"
        case Pinned():
            return "Build it: uv run python tests/cluster/harness tools test"
        case Base(package=package):
            return f"Debian has it in the package {package}, which every Debian has."
        case Workspace():
            return "Run: make sync"
        case Brought(how=how):
            return how
        case None:
            return f"Install the program {name} and put it on PATH."

"""The programs the harness runs: found in the cache, or built from pinned Go modules.

Each `go/<module>/go.mod` pins one project and everything below it, with its checksums in go.sum.
A program is built again when its pin, its flags or its source here changes.
"""

import functools
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness import cache, process, programs

HERE = Path(__file__).parent
KUBERNETES = "1.36.3"
VERSION_PACKAGE = "k8s.io/component-base/version"
BUILD_TIMEOUT = 2400
GO = (1, 26)


@dataclass(frozen=True)
class Program:
    """How one program is built: the folder of its pin, the package, and the linker's flags."""

    folder: str
    package: str
    flags: str = ""


def stamp() -> str:
    """The linker's flags that tell Kubernetes its version, as its own build does."""
    values = {
        "gitVersion": f"v{KUBERNETES}",
        "gitMajor": KUBERNETES.split(".")[0],
        "gitMinor": KUBERNETES.split(".")[1],
        "gitTreeState": "clean",
        "gitCommit": "unknown",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    return " ".join(f"-X {VERSION_PACKAGE}.{name}={value}" for name, value in values.items())


KUBERNETES_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubeadm",
    "kubectl",
)
PROGRAMS: Mapping[str, Program] = {
    "etcd": Program("go/etcd", "go.etcd.io/etcd/server/v3"),
    **{
        name: Program("go/kubernetes", f"k8s.io/kubernetes/cmd/{name}", stamp())
        for name in KUBERNETES_PROGRAMS
    },
    "kind": Program("go/kind", "sigs.k8s.io/kind"),
    "helm": Program("go/helm", "helm.sh/helm/v3/cmd/helm"),
    "crictl": Program("go/crictl", "sigs.k8s.io/cri-tools/cmd/crictl"),
    "coredns": Program("go/coredns", "github.com/coredns/coredns"),
    "kwok": Program("go/kwok", "sigs.k8s.io/kwok/cmd/kwok"),
    "runc-trim": Program("runc-trim", "."),
    "pause": Program("pause", "."),
}


@functools.cache
def binary(name: str) -> Path:
    """The path of a program, built now if the cache has none of this key."""
    path = cache.binaries() / name
    wanted = key(name)
    if cache.is_current(path, wanted):
        return path
    with cache.lock(f"bin-{name}"):
        if not cache.is_current(path, wanted):
            build(name, path)
            cache.mark(path, wanted)
    return path


def build(name: str, path: Path) -> None:
    """Build one program with Go, unless one of the pinned version is there from before."""
    program = PROGRAMS[name]
    if is_adoptable(program, path):
        return
    unfinished = path.with_suffix(".building")
    with process.step(f"building {name} (cached afterwards in {path.parent})"):
        process.run(
            [
                go(), "build", "-trimpath", "-ldflags", f"-s -w {program.flags}".strip(),
                "-o", unfinished, program.package,
            ],
            cwd=HERE / program.folder,
            env={"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"},
            timeout=BUILD_TIMEOUT,
        )  # fmt: skip
    unfinished.replace(path)


def is_adoptable(program: Program, path: Path) -> bool:
    """Whether a program without a key says itself that it is what the pin names.

    Go writes a program's package and the versions and checksums of all its modules into it.
    """
    if not path.exists() or cache.stamp_of(path).exists() or program.package == ".":
        return False
    told = process.run([go(), "version", "-m", path]).split("\n")
    facts = [line.split() for line in told[1:] if line.strip()]
    package = next((fact[1] for fact in facts if fact[0] == "path"), "")
    pinned = (HERE / program.folder / "go.sum").read_text().splitlines()
    # a replaced module has its checksum on the next line, after an arrow
    modules = [" ".join(fact[1:4]) for fact in facts if fact[0] in {"dep", "=>"} and len(fact) == 4]
    return package == program.package and set(modules) <= set(pinned)


def key(name: str) -> str:
    """The key of a program's inputs."""
    program = PROGRAMS[name]
    return cache.key([HERE / program.folder, program.package, program.flags])


def pause_key() -> str:
    """The key of the image that holds a pod's namespaces, which is its program's."""
    return key("pause")


def uv() -> str:
    """The uv command: the one this process runs under, wherever it stands, else PATH's."""
    return os.environ.get("UV") or "uv"


@functools.cache
def go() -> str:
    """The Go command; it must be 1.26 or newer."""
    found = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if found is None:
        raise process.MissingRequirementError("go", programs.how_to_get("go"))
    # asked where a pin stands: a newer Go fetches the version that the pin names by itself
    try:
        version = process.run([found, "env", "GOVERSION"], cwd=HERE / "go/kubernetes", timeout=300)
    except process.CommandError as refusal:
        version = refusal.output
    if not is_recent(version.strip()):
        what = f"Go {'.'.join(map(str, GO))} ({version.strip()} of {found} is older)"
        raise process.MissingRequirementError(what, programs.how_to_get("go"))
    return found


def is_recent(version: str) -> bool:
    """Whether Go's own word for its version is of one that builds the pins."""
    told = re.search(r"go(\d+)\.(\d+)", version)
    return told is not None and (int(told[1]), int(told[2])) >= GO

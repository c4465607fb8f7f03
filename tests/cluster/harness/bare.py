"""A bare Debian in a folder, and commands in it as on a machine of its own.

    with bare.Debian.made(folder, packages) as debian:    bootstrapped, removed at the end
        debian.run(["make", "test"], ...)                 its exit code; its output is in a log

It has its own files, processes, host name and mounts, and none of this machine's: no cache, no
program, no setting but how to reach the registries of packages (`LENT`, the certificate authorities
that this machine trusts, its resolver) and the folders that the caller lends, read-only. It shares
the network, because it downloads, and may not configure it. No init runs: services that packages
bring are not started. Mounts live in a namespace that ends with the command, so none stays behind.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from harness import debian, process, programs

ENTER = Path(__file__).parent / "bare" / "enter"
AUTHORITIES = Path("usr/local/share/ca-certificates")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FORBIDDEN = ("net_admin", "sys_module", "sys_boot", "sys_time", "sys_rawio")
"""What no command in it may do to this machine."""
LENT = (
    "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT",
    "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_HTTP_TIMEOUT",
)  # fmt: skip
"""Settings of this machine that say how to reach registries, by name."""
BUNDLES = ("SSL_CERT_FILE", "PIP_CERT")
"""Settings that make uv and pip trust what the system trusts, where this machine has them set."""
ASIDE = ("etc/resolv.conf", "etc/hosts", "etc/pip.conf")


@dataclass
class Debian:
    """A bare Debian; `lent` maps folders of this machine to where they are seen in it."""

    root: Path
    lent: Mapping[Path, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    @contextlib.contextmanager
    def made(cls, root: Path, packages: Sequence[str]) -> Iterator[Self]:
        """Bootstrap one in a folder; what is there from a run that broke off is removed first."""
        require()
        shutil.rmtree(root, ignore_errors=True)
        root.parent.mkdir(parents=True, exist_ok=True)
        try:
            with process.step(f"bootstrapping a bare Debian {debian.RELEASE} in {root}"):
                debian.bootstrap(root, packages)
            made = cls(root)
            made.connect()
            yield made
        finally:
            process.say(f"removing {root}")
            shutil.rmtree(root, ignore_errors=True)

    def connect(self) -> None:
        """Tell it how this machine reaches registries, and keep services from starting."""
        for name in ASIDE:
            if Path("/", name).is_file():
                shutil.copyfile(Path("/", name), self.root / name)
        for authority in Path("/", AUTHORITIES).glob("*.crt"):
            shutil.copy(authority, self.root / AUTHORITIES)
        apt = self.root / "etc/apt/apt.conf.d/90machine"
        apt.write_text("".join(f"{line}\n" for line in acquisition()))
        policy = self.root / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        log = self.root / "var/log/connect.log"
        if self.run(["update-ca-certificates"], folder="/", log=log, timeout=60) != 0:
            raise process.HarnessError(f"update-ca-certificates failed: {process.tail(log)}")

    def run(
        self,
        command: Sequence[str],
        *,
        folder: str,
        log: Path,
        timeout: float,
        forbidden: Sequence[str] = (),
    ) -> int:
        """Run a command to its end, its output appended to `log`; its exit code.

        `forbidden` are capabilities it does without. HarnessError when it is not done in time.
        """
        without = ",".join(f"-{name}" for name in (*FORBIDDEN, *forbidden))
        lent = [f"{source}={target}" for source, target in self.lent.items()]
        child = process.start(
            [
                "unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--",
                ENTER, self.root, without, folder, *lent, "--", *command,
            ],
            log=log,
            env={**settings(os.environ), **self.environment},
        )  # fmt: skip
        try:
            return child.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise process.HarnessError(
                f"{' '.join(command)}: not done in {timeout:.0f} s\n{process.tail(log)}"
            ) from None
        finally:
            process.end(child, kill=True)  # and with it all that runs in there


def require() -> None:
    """MissingRequirementError unless this machine can make a bare Debian and enter it."""
    if os.geteuid() != 0:
        raise process.MissingRequirementError(
            "the right to make a Debian of its own", "Run this as root: debootstrap needs it."
        )
    debian.bring(programs.ROWS["debootstrap"])
    if not process.succeeds(["unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "true"]):
        raise process.MissingRequirementError(
            "the right to make namespaces",
            "Run this where root may mount: on a machine, or in a privileged container.",
        )


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a command: a plain one, and how to reach registries."""
    lent = {name: environment[name] for name in LENT if name in environment}
    bundles = {name: BUNDLE for name in BUNDLES if name in environment}
    return {"HOME": "/root", "PATH": PATH, "TERM": "dumb", **lent, **bundles}


def acquisition() -> list[str]:
    """How apt of this machine reaches its mirror: proxies, certificates, patience."""
    telling = ("Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries")
    told = process.run(["apt-config", "dump"]).splitlines()
    return [line for line in told if line.startswith(telling) and not line.endswith(' "";')]

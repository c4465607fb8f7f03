"""The container engine itself: there, running, and able to run what kind needs.

On Debian as root a missing engine is installed and started; elsewhere the error says what to do.
Where the machine lacks CAP_SYS_RESOURCE, the engine refuses privileged containers: then, and only
then, runc-trim becomes its default runtime (it trims what the machine cannot grant).
"""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from harness import cache, docker, process, tools

CONFIGURATION = Path("/etc/docker/daemon.json")
RUNTIME = Path("/usr/local/sbin/runc-trim")
PAUSE = "foreshore-pause:local"
WATCHERS = 1024
PACKAGES = ("docker.io", "containerd", "runc", "iptables", "ca-certificates")


def ensure() -> None:
    """The engine runs and grants privileged containers; started here if need be."""
    allow_watches()
    with cache.lock("engine"):
        if not answers():
            start()
        if not grants_privilege():
            install_runtime()


def allow_watches() -> None:
    """Let many nodes watch files: each takes a dozen of the inotify instances of one user.

    With the usual 128, kubelets of a second cluster fail at start, after minutes and without a
    word that says why.
    """
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    if not limit.exists() or int(limit.read_text()) >= WATCHERS:
        return
    if os.access(limit, os.W_OK):
        process.say(f"raising fs.inotify.max_user_instances to {WATCHERS}, until the next boot")
        limit.write_text(str(WATCHERS))
    else:
        process.say(f"as root: sysctl fs.inotify.max_user_instances={WATCHERS}  (else nodes fail)")


def answers() -> bool:
    """Whether an engine runs."""
    return process.succeeds(["docker", "info"])


def start() -> None:
    """Start the engine by hand, as root; it goes on after this process."""
    if os.geteuid() != 0:
        raise process.MissingRequirementError(
            "a running Docker engine", "Start it (systemctl start docker), or run this as root."
        )
    install(PACKAGES)
    log = cache.root() / "dockerd.log"
    process.say(f"starting the Docker engine, which stays up (log: {log})")
    with log.open("ab") as output:
        # setsid --fork: a child of our own would be one that we never wait for
        subprocess.run(
            ["setsid", "--fork", "dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=True,
        )
    try:
        process.eventually(answers, what="the Docker engine answers", timeout=60, interval=0.5)
    except process.HarnessError as late:
        raise process.HarnessError(f"{late}\n{process.tail(log)}") from late


def install(packages: tuple[str, ...]) -> None:
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


def grants_privilege() -> bool:
    """Whether the engine starts a privileged container; the image that tries is built here."""
    wanted = tools.pause_key()
    if docker.image_key(PAUSE) != wanted:
        context = cache.work("pause")
        shutil.copy2(tools.binary("pause"), context / "pause")
        (context / "Dockerfile").write_text(
            'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n'
        )
        docker.build(PAUSE, context, key=wanted)
    return process.succeeds(["docker", "run", "--rm", "--privileged", PAUSE, "-once"])


def install_runtime() -> None:
    """Make runc-trim the engine's default runtime, unless the engine has settings of its own."""
    if os.geteuid() != 0:
        raise process.MissingRequirementError(
            "the right to run privileged containers", "Run this as root on a machine of your own."
        )
    process.say("this engine grants no privileged containers: installing runc-trim as its runtime")
    current = json.loads(CONFIGURATION.read_text()) if CONFIGURATION.exists() else {}
    wanted = {"runtimes": {"runc-trim": {"path": str(RUNTIME)}}, "default-runtime": "runc-trim"}
    if set(current) - set(wanted):
        raise process.HarnessError(
            f"{CONFIGURATION} has settings of its own; add to it: {json.dumps(wanted)}"
        )
    shutil.copy2(tools.binary("runc-trim"), RUNTIME)
    CONFIGURATION.parent.mkdir(parents=True, exist_ok=True)
    CONFIGURATION.write_text(json.dumps(wanted) + "\n")
    os.kill(int(Path("/var/run/docker.pid").read_text()), signal.SIGHUP)
    process.eventually(grants_privilege, what="privileged containers start", timeout=15)

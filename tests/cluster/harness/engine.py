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

from harness import cache, debian, docker, process, programs, tools

CONFIGURATION = Path("/etc/docker/daemon.json")
RUNTIME = Path("/usr/local/sbin/runc-trim")
PAUSE = "foreshore-pause:local"
WATCHERS = 1024
ABSENT = "the Docker engine does not start here"
END = "failed to start daemon:"  # how dockerd's last line begins


class EngineError(process.HarnessError):
    """The engine was started and gave up."""


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
    debian.install(programs.packages("docker"))
    log = cache.root() / "dockerd.log"
    process.say(f"starting the Docker engine, which stays up (log: {log})")
    log.touch()
    before = log.stat().st_size
    with log.open("ab") as output:
        # setsid --fork: a child of our own would be one that we never wait for
        subprocess.run(
            ["setsid", "--fork", "dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=True,
        )

    def is_up() -> bool:
        refuse_failure(log, before)
        return answers()

    try:
        process.eventually(is_up, what="the Docker engine answers", timeout=60, interval=0.5)
    except EngineError:
        raise
    except process.HarnessError as late:
        raise process.HarnessError(f"{late}\n{process.tail(log)}") from late


def refuse_failure(log: Path, since: int) -> None:
    """EngineError once dockerd wrote, after the first `since` bytes of its log, why it gave up."""
    with log.open("rb") as file:
        file.seek(since)
        _, ended, reason = process.decode(file.read()).rpartition(END)
    if ended:
        raise EngineError(
            f"{ABSENT}: {reason.strip().splitlines()[0][:300]}\n"
            "Nodes are containers, and in a container without rights to the machine no engine "
            "runs. Run this on a machine, in a privileged container, or with an engine lent to it "
            f"(its socket at /var/run/docker.sock, or DOCKER_HOST). The engine's log: {log}"
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

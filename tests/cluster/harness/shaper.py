"""Delay on a node's link: netem where the kernel has it, else a shaper in user space on NFQUEUE.

The user-space shaper is a container of the toolbox image in the node's network namespace. Its rule
has --queue-bypass: should the shaper end, packets pass at once instead of being lost. A delay that
is changed loses no packet, whoever makes it: a lost one is sent again a second later, and nobody
could tell that from a slow link.
"""

from harness import docker, process, settings, toolbox

QUEUE = 40
CHANGED = "/run/foreshore-delay"  # where delay.py reads another delay


def slow(node: str, interface: str, *, delay: float, jitter: float, owner: str) -> None:
    """Hold each packet that leaves the node's link for `delay` ± `jitter` seconds."""
    if has_netem(node, interface, delay=delay, jitter=jitter):
        return
    if docker.is_running(container(node)):
        change(node, delay=delay, jitter=jitter)
        return
    image = toolbox.ensure(settings.read())
    docker.run(
        container(node),
        image,
        "python3", "/usr/local/lib/foreshore/delay.py",
        f"--queue={QUEUE}", f"--delay={delay}", f"--jitter={jitter}",
        owner=owner,
        options=[f"--network=container:{node}", "--cap-add=NET_ADMIN", "--restart=no"],
    )  # fmt: skip
    process.eventually(
        lambda: "ready" in docker.docker("logs", container(node)),
        what=f"the shaper of {node} is ready",
        timeout=20,
    )
    if not has_rule(node, interface):
        docker.docker("exec", node, *rule("-A", interface))


def change(node: str, *, delay: float, jitter: float) -> None:
    """Give a shaper that runs another delay."""
    numbers = f"{delay} {jitter}".encode()
    docker.docker("exec", "-i", container(node), "tee", CHANGED, stdin=numbers)
    docker.docker("kill", "--signal=HUP", container(node))


def quicken(node: str, interface: str) -> None:
    """Take the delay away, whichever way it was made; nothing if there is none."""
    if has_rule(node, interface):
        docker.docker("exec", node, *rule("-D", interface))
    docker.remove(container(node))
    if "netem" in docker.docker("exec", node, "tc", "qdisc", "show", "dev", interface):
        docker.docker("exec", node, "tc", "qdisc", "del", "dev", interface, "root")


def forget(node: str) -> None:
    """Remove the shaper of a node whose network namespace is gone."""
    docker.remove(container(node))


def has_netem(node: str, interface: str, *, delay: float, jitter: float) -> bool:
    """Ask the kernel's own shaper, which may be at work already; False where it has none."""
    wanted = ["delay", f"{delay * 1e6:.0f}us", f"{jitter * 1e6:.0f}us"]
    return process.succeeds(
        [
            "docker", "exec", node,
            "tc", "qdisc", "replace", "dev", interface, "root", "netem", *wanted,
        ]
    )  # fmt: skip


def has_rule(node: str, interface: str) -> bool:
    """Whether packets that leave are handed to the shaper."""
    return process.succeeds(["docker", "exec", node, *rule("-C", interface)])


def container(node: str) -> str:
    """The name of a node's shaper."""
    return f"{node}-shaper"


def rule(action: str, interface: str) -> list[str]:
    """The rule that hands packets that leave to the shaper."""
    return [
        "iptables", "-w", "10", "-t", "mangle", action, "POSTROUTING", "-o", interface,
        "-j", "NFQUEUE", "--queue-num", str(QUEUE), "--queue-bypass",
    ]  # fmt: skip

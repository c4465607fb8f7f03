"""Faults of a node's link: packet filters and delays in the node's own network namespace.

Filters stand in the raw table's PREROUTING (all that arrives, for the node or its pods) and the
mangle table's POSTROUTING (all that leaves, from the node or its pods, after service addresses
became pod addresses). So they hold for connections that are already open, and what kube-proxy
does cannot go around them. `docker exec` is no packet: a cut node can still be healed.

    healthy ── cut | isolate | block ──► filtered ── heal ──► healthy
    healthy ── slow ──► slowed ── quicken ──► healthy             (a reboot clears both)
"""

import concurrent.futures
from collections.abc import Iterable, Sequence

from harness import docker, process, shaper

CHAIN = "FORESHORE"
EMPTY = f":{CHAIN} - [0:0]"  # makes the chain, or flushes it
EVERYWHERE = "0.0.0.0/0"
ARRIVING = ("raw", "PREROUTING", "-i", "-s")  # table, hook, interface option, address option
LEAVING = ("mangle", "POSTROUTING", "-o", "-d")
HOOKS = (ARRIVING, LEAVING)
PROBES = 16  # at once
PROBE_PATIENCE = 2  # seconds until silence counts as unreachable

Door = tuple[str, int]


def cut(node: str) -> None:
    """Drop everything on the node's link."""
    filter_link(node, passed=(), refused=(EVERYWHERE,))


def isolate(node: str, inside: Iterable[str]) -> None:
    """Drop everything on the node's link but what comes from or goes to these addresses."""
    filter_link(node, passed=inside, refused=(EVERYWHERE,))


def block(node: str, addresses: Iterable[str]) -> None:
    """Drop what comes from or goes to these addresses or ranges."""
    filter_link(node, passed=(), refused=addresses)


def heal(node: str) -> None:
    """Take the filters of `cut`, `isolate` and `block` away; nothing if there are none."""
    restore(node, [line for table, *_ in HOOKS for line in (f"*{table}", EMPTY, "COMMIT")])


def slow(node: str, *, delay: float, jitter: float, owner: str) -> None:
    """Hold each packet that leaves the node for `delay` ± `jitter` seconds, also if it is slow."""
    shaper.slow(node, link(node), delay=delay, jitter=jitter, owner=owner)


def quicken(node: str) -> None:
    """Let packets leave at once again; nothing if they do."""
    shaper.quicken(node, link(node))


def filter_link(node: str, *, passed: Iterable[str], refused: Iterable[str]) -> None:
    """Put a chain of its own before everything else on the node's link, both ways and at once."""
    interface, inside, outside = link(node), list(passed), list(refused)
    standing = docker.docker("exec", node, "iptables-save")
    lines: list[str] = []
    for table, hook, direction, address in HOOKS:
        lines += [f"*{table}", EMPTY]
        for target, ranges in (("RETURN", inside), ("DROP", outside)):
            lines += [
                f"-A {CHAIN} {direction} {interface} {address} {r} -j {target}" for r in ranges
            ]
        if f"-A {hook} -j {CHAIN}" not in standing:
            lines.append(f"-I {hook} 1 -j {CHAIN}")
        lines.append("COMMIT")
    restore(node, lines)


def restore(node: str, lines: Iterable[str]) -> None:
    """Change a node's packet filter in one go; what is not named stays."""
    rules = "\n".join(lines) + "\n"
    docker.docker(
        "exec", "-i", node, "iptables-restore", "--noflush", "--wait", stdin=rules.encode()
    )


def link(node: str) -> str:
    """The interface of the node's default route: its name may change when Docker reconnects it."""
    words = docker.docker("exec", node, "ip", "-4", "route", "show", "default").split()
    if "dev" not in words:
        raise process.HarnessError(f"{node} has no default route: is it connected to its network?")
    return words[words.index("dev") + 1]


def reaches(node: str, door: Door) -> bool:
    """Whether a TCP connection from the node to an address and port comes up."""
    script = 'exec 3<>"/dev/tcp/$0/$1"'
    return process.succeeds(
        [
            "docker",
            "exec",
            node,
            "timeout",
            str(PROBE_PATIENCE),
            "bash",
            "-c",
            script,
            *map(str, door),
        ]
    )


def unexpected(
    pool: concurrent.futures.Executor, nodes: Sequence[str], doors: list[Door], *, reached: bool
) -> list[str]:
    """The ways from a node to a door that are (not) open, though they should (not) be."""
    ways = [(node, door) for node in nodes for door in doors]
    answers = pool.map(lambda way: reaches(*way), ways)
    return [
        f"{node} → {door}"
        for (node, door), open_ in zip(ways, answers, strict=True)
        if open_ is reached
    ]


def prove(nodes: Sequence[str], *, closed: Iterable[Door], opened: Iterable[Door]) -> None:
    """HarnessError unless every node is kept from the closed doors and let to the open ones."""
    shut, free = list(closed), list(opened)
    with concurrent.futures.ThreadPoolExecutor(max_workers=PROBES) as pool:
        leaks = unexpected(pool, nodes, shut, reached=True)
        losses = unexpected(pool, nodes, free, reached=False)
    if leaks or losses:
        raise process.HarnessError(
            f"the fault is not what was asked: still reached {leaks}, lost {losses}"
        )

"""`make bench ARGS="--only verdicts"`: how often silence is misread, and how soon a death is seen.

Sites of three nodes over a LAN, a WAN and LTE (`builders.delivery`), in virtual time, a death, a
cut of one node's link and an outage of the uplink in each hour, beside what the link does by
itself. A false alarm is a node that lives and is called NodeDead or Unknown.
"""

from collections.abc import Iterator
from typing import Final

from builders import delivery
from harness import process

SITES: Final = 6
HOURS: Final = 4


def report() -> None:
    """Play every link and print its figures."""
    print(f"{SITES} sites of {len(delivery.NODES)} nodes for {HOURS} h each, a look a second:")
    print(
        f"{'link':5} {'node-days':>9} {'false alarms':>12} {'a node-day':>10}"
        f" {'deaths':>6} {'missed':>6} {'p50':>5} {'p99':>5} {'LinkCut':>8} {'SiteCut':>8}"
    )
    for line in lines(SITES, HOURS * 3600.0):
        print(line)


def lines(sites: int, seconds: float) -> Iterator[str]:
    """Yield a line a link."""
    for link in delivery.LINKS:
        process.say(f"bench: verdicts over {link.name}")
        made = delivery.played(link, range(sites), seconds)
        yield (
            f"{link.name:5} {made.node_days:9.1f} {made.false_alarms:12} {made.rate():10.2f}"
            f" {len(made.detected):6} {made.missed:6}"
            f" {made.detection(0.5):4.1f}s {made.detection(0.99):4.1f}s"
            f" {share(made.link_cut):8.2%} {share(made.site_cut):8.2%}"
        )


def share(right: list[bool]) -> float:
    """Return the share of seconds in which a cut was told as what it was."""
    return sum(right) / len(right) if right else 1.0

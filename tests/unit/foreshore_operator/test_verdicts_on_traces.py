"""Verdicts over traces of a LAN, a WAN and LTE; `make bench ARGS="--only verdicts"` plays more."""

import pytest

from builders import delivery

BOUNDS = {"LAN": 0.0, "WAN": 0.0, "LTE": 0.5}
"""False alarms in a node-day at most."""
DETECTED = {"LAN": 14.0, "WAN": 15.0, "LTE": 25.0}
"""Seconds within which 99 of a hundred deaths are seen."""


@pytest.mark.parametrize("link", delivery.LINKS, ids=lambda link: link.name)
def test_who_lives_is_not_called_lost_and_who_died_is_within_a_bound(
    link: delivery.LinkProfile,
) -> None:
    made = delivery.played(link, [5], 2 * 3600.0)
    assert made.rate() <= BOUNDS[link.name]
    assert (len(made.detected), made.missed) == (2, 0)
    assert made.detection(0.99) <= DETECTED[link.name]
    assert sum(made.link_cut) >= 0.98 * len(made.link_cut) > 0
    assert sum(made.site_cut) >= 0.98 * len(made.site_cut) > 0


def test_the_same_seed_plays_the_same_trace() -> None:
    first, again = (delivery.played(delivery.LINKS[2], [3], 1800.0) for _ in range(2))
    assert first == again

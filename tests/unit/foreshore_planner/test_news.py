"""What of a report is news: nothing that a decision follows from may be missed, no clock is."""

import datetime
from typing import Any

import pytest

from foreshore_api.wire import report
from foreshore_planner import news
from foreshore_planner.news import ReportNews


def facts(**fields: Any) -> report.Report:
    said = {
        "node": "edge-1",
        "boot_id": "b",
        "agent_version": "0",
        "sent_at": datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC),
        "uptime_seconds": 1000.0,
        "broker_connected": True,
        **fields,
    }
    return report.Report.model_validate(said)


def held(**fields: Any) -> dict[str, Any]:
    return {"namespace": "hq", "device": "room-301", "connected": True, "epoch": 7, **fields}


def endpoint(**fields: Any) -> dict[str, Any]:
    line = {"namespace": "hq", "policy": "p", "slot": "r0", "node": "edge-2", "url": "http://a:1"}
    return {**line, "good": 20, "late": 0, "failed": 0, **fields}


def peer(age: float, node: str = "edge-2") -> dict[str, Any]:
    return {"node": node, "age_seconds": age, "has_hub": True}


def stage(count: int) -> dict[str, Any]:
    histogram = {"buckets": {"3": count}, "total_seconds": 1.0}
    return {"namespace": "hq", "policy": "p", "stage": "Decide", "histogram": histogram}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"uptime_seconds": 1000.0}, {"uptime_seconds": 1002.0}, ReportNews.NOTHING),
        ({"decisions": {"Commanded": 1}}, {"decisions": {"Commanded": 9}}, ReportNews.NOTHING),
        ({"endpoints": [endpoint()]}, {"endpoints": [endpoint(good=31)]}, ReportNews.NOTHING),
        ({"peers": [peer(0.1)]}, {"peers": [peer(2.9)]}, ReportNews.NOTHING),
        ({"peers": [peer(5000)]}, {"peers": [peer(9000)]}, ReportNews.NOTHING),
        ({"stages": [stage(1)]}, {"stages": [stage(2)]}, ReportNews.FIGURES),
        ({"peers": [peer(0.1)]}, {"peers": [peer(3.1)]}, ReportNews.FACTS),
        ({"peers": [peer(14.0)]}, {"peers": [peer(16.0)]}, ReportNews.FACTS),
        ({"peers": [peer(16.0)]}, {"peers": [peer(4.0)]}, ReportNews.FACTS),
        ({"peers": [peer(16.0)]}, {"peers": []}, ReportNews.FACTS),
        ({"uptime_seconds": 4.0}, {"uptime_seconds": 6.0}, ReportNews.FACTS),
        ({"uptime_seconds": 1000.0}, {"uptime_seconds": 2.0}, ReportNews.FACTS),
        ({"listening_seconds": 90.0}, {"listening_seconds": 92.0}, ReportNews.NOTHING),
        ({"listening_seconds": 4.0}, {"listening_seconds": 6.0}, ReportNews.FACTS),
        ({"listening_seconds": 90.0}, {"listening_seconds": 0.0}, ReportNews.FACTS),
        ({}, {"listening_seconds": 90.0}, ReportNews.FACTS),
        ({"endpoints": [endpoint(good=0)]}, {"endpoints": [endpoint()]}, ReportNews.FACTS),
        (
            {"endpoints": [endpoint(failed=30)]},
            {"endpoints": [endpoint(failed=33)]},
            ReportNews.FACTS,
        ),
        (
            {"endpoints": [endpoint(bad_for_seconds=9.0)]},
            {"endpoints": [endpoint(bad_for_seconds=11.0)]},
            ReportNews.FACTS,
        ),
        ({"devices": [held()]}, {"devices": [held(connected=False)]}, ReportNews.FACTS),
        ({"devices": [held()]}, {"devices": [held(highest_epoch_seen=9)]}, ReportNews.FACTS),
        ({}, {"capped_by": ["RecorderFull"]}, ReportNews.FACTS),
        ({"devices": [held()]}, {"devices": [held(gave_back=True)]}, ReportNews.URGENT),
        ({}, {"stopping": True}, ReportNews.URGENT),
        ({}, {"broker_connected": False}, ReportNews.URGENT),
        ({}, {"boot_id": "c"}, ReportNews.URGENT),
        (
            {"endpoints": [endpoint()]},
            {"endpoints": [endpoint(bad_for_seconds=0.5)]},
            ReportNews.URGENT,
        ),
    ],
    ids=[
        "it is up for longer",
        "it decided more",
        "more calls went well",
        "a peer beats on",
        "a peer is silent for hours",
        "more was measured",
        "a peer missed its beats",
        "a peer is silent for longer",
        "a peer beat in between",
        "a peer is forgotten",
        "it is up for long enough to bear witness",
        "it started again",
        "it listens for longer",
        "it has listened for long enough to bear witness",
        "it hears its site no more",
        "it says for how long it has listened",
        "it calls now",
        "most calls fail, and more",
        "a replica is bad for longer",
        "a device is not heard",
        "a higher number was seen",
        "its journal is full",
        "it gave a device back",
        "it was told to stop",
        "it lost the broker",
        "its node started again",
        "a replica turned bad",
    ],
)
def test_what_is_news(before: dict[str, Any], after: dict[str, Any], expected: ReportNews) -> None:
    assert news.compare(facts(**before), facts(**after)) is expected


def test_an_agent_that_was_not_there_is_urgent() -> None:
    assert news.compare(None, facts()) is ReportNews.URGENT


@pytest.mark.parametrize("threshold", [6.0, 15.0, 60.0, 600.0])
def test_a_growing_silence_is_passed_on_soon_after_any_threshold(threshold: float) -> None:
    """Reports come every two seconds; what was passed on last is what the next is compared with."""
    passed_on, age = facts(peers=[peer(0.5)]), 0.5
    while passed_on.peers[0].age_seconds < threshold:
        age += 2.0
        following = facts(peers=[peer(age)])
        if news.compare(passed_on, following) >= ReportNews.FACTS:
            passed_on = following
        assert age < threshold * news.GROWTH + 4.0

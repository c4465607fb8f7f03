"""The largest report that an agent may have to send is one that the hub takes."""

import datetime
import tracemalloc

from foreshore_api.wire import beat, document, histogram, report

LABEL = "l" * 63


def line(number: int) -> report.HeldDevice:
    """A device with the longest names and figures there are."""
    return report.HeldDevice(
        namespace=LABEL,
        device=f"{number:063d}",
        connected=False,
        epoch=document.LARGEST,
        standing=max((one.value for one in beat.RenewalStanding), key=len),
        gave_back=False,
        highest_epoch_seen=document.LARGEST,
    )


def stage(number: int) -> report.StageReport:
    return report.StageReport(
        namespace="hq",
        policy=f"ventilate-{number}",
        stage=histogram.Stage.END_TO_END,
        histogram=histogram.Histogram.of([0.01 * 1.2**each for each in range(10)] * 30),
    )


def largest() -> report.Report:
    return report.Report(
        node="n" * 253,
        boot_id="b" * 128,
        agent_version="0",
        sent_at=datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC),
        uptime_seconds=1.0,
        devices=tuple(map(line, range(report.DEVICES))),
        stages=tuple(map(stage, range(2000))),
    )


def test_as_many_devices_as_an_agent_may_name_fit_into_a_report_with_all_else() -> None:
    assert len(largest().encode()) <= report.MAXIMUM_BYTES


def test_the_bound_is_no_multiple_of_what_is_needed() -> None:
    assert len(largest().encode()) >= report.MAXIMUM_BYTES / 2


def test_peers_and_what_they_hold_are_held_in_few_bytes_each() -> None:
    held = tuple(beat.Held(namespace="hq", device="room-301", epoch=7) for _ in range(10))
    peers = [
        report.ReportedPeer(node=f"edge-{number}", age_seconds=0.5, has_hub=True, held=held)
        for number in range(100)
    ]
    body = (
        largest().model_copy(update={"devices": (), "stages": (), "peers": tuple(peers)}).encode()
    )
    report.Report.decode(body)
    tracemalloc.start()
    kept = report.Report.decode(body)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / len(kept.peers) < 1500

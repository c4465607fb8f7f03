"""What the audit log says: every write of the operator once, also while the log grows."""

import json
from pathlib import Path
from typing import Any

from scale import ledger, processes, watched, writes


def event(name: str, code: int = 200, at: str = "2026-03-01T10:00:00.250000Z") -> dict[str, Any]:
    return {
        "verb": "patch",
        "stageTimestamp": at,
        "userAgent": "foreshore-operator/r1",
        "objectRef": {
            "resource": "devices",
            "subresource": "status",
            "namespace": "fleet",
            "name": name,
        },
        "responseStatus": {"code": code},
    }


def test_a_line_that_is_half_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = writes.AuditLog(path)
    assert log.read() == []
    whole, half = json.dumps(event("d1")) + "\n", json.dumps(event("d2")) + "\n"
    path.write_text(whole + half[:40])
    assert [write.name for write in log.read()] == ["d1"]
    path.write_text(whole + half)
    assert [write.name for write in log.read()] == ["d1", "d2"]


def test_writes_since_a_moment_come_in_the_order_in_which_they_were_answered(
    tmp_path: Path,
) -> None:
    path = tmp_path / "audit.log"
    late, early = "2026-03-01T10:00:02Z", "2026-03-01T10:00:01Z"
    path.write_text("".join(json.dumps(event(at, at=at)) + "\n" for at in (late, early)))
    log = writes.AuditLog(path)
    assert [write.name for write in log.since(0)] == [early, late]
    assert [write.name for write in log.since(log.last())] == [late]


def test_refused_writes_are_counted_apart() -> None:
    made = [writes.read(event("d1")), writes.read(event("d2")), writes.read(event("d3", 504))]
    assert writes.counted(made) == {"patch devices/status": 2, "patch devices/status (504)": 1}


def test_nobody_but_the_operator_is_logged_and_no_lease() -> None:
    levels = [rule["level"] for rule in writes.POLICY["rules"]]
    assert levels == ["None", "Metadata", "None"]
    assert writes.POLICY["rules"][0]["resources"][0]["resources"] == ["leases"]
    assert writes.POLICY["rules"][1]["users"] == [writes.OPERATOR]


def test_a_figure_says_whether_it_reaches_what_is_wanted() -> None:
    assert ledger.ScaleFigure("quiet", "memory", 299, "MB", 300).verdict == "reached"
    assert ledger.ScaleFigure("quiet", "memory", 301, "MB", 300).verdict == "MISSED"
    assert ledger.ScaleFigure("quiet", "memory", None, "MB", 300).verdict == "not measured"
    assert ledger.ScaleFigure("quiet", "memory", 301, "MB").verdict == ""


def test_metrics_are_summed_over_the_labels_that_nobody_names() -> None:
    text = (
        "# TYPE writes counter\n"
        'writes_total{kind="Pod",result="Written"} 2\n'
        'writes_total{kind="Site",result="Written"} 3\n'
        'writes_total{kind="Site",result="Refused"} 5\n'
    )
    samples = processes.Samples(tuple(processes.lines(text)))
    assert samples.total("writes_total") == 10
    assert samples.total("writes_total", result="Written") == 5
    assert samples.by("writes_total", "kind") == {("Pod",): 2, ("Site",): 8}


def test_the_hottest_functions_are_counted_once_a_sample(tmp_path: Path) -> None:
    file = tmp_path / "profile.txt"
    plan = "plan (foreshore_planner/plan.py:1)"
    place = "place (foreshore_planner/placing.py:9)"
    file.write_text(f"run (x.py:1);{plan};{place};{place} 30\nrun (x.py:1);{plan} 10\n")
    assert list(processes.hottest(file)) == [
        "100% plan (foreshore_planner/plan.py",
        "75% place (foreshore_planner/placing.py",
    ]


def test_what_differs_between_two_statuses_is_named_by_its_condition() -> None:
    before = {"conditions": [{"type": "Ready", "message": "a"}], "budget": {"limit": 1}}
    after = {"conditions": [{"type": "Ready", "message": "b"}], "budget": {"limit": 1}, "nodes": 2}
    assert list(watched.differing(before, after)) == ["conditions[Ready].message", "nodes"]
    assert list(watched.differing(before, before)) == []


def stalls(within: int, beyond: int) -> processes.Samples:
    text = "".join(
        lateness(name, within, beyond) for name in (processes.STALL_METRIC, processes.WORK_METRIC)
    )
    return processes.Samples(tuple(processes.lines(text)))


def lateness(name: str, within: int, beyond: int) -> str:
    return (
        f"# TYPE {name} histogram\n"
        f'{name}_bucket{{le="0.05"}} {within}\n'
        f'{name}_bucket{{le="+Inf"}} {within + beyond}\n'
        f"{name}_count {within + beyond}\n{name}_sum 1\n"
    )


def test_stalls_are_those_of_the_trial_alone() -> None:
    book = ledger.Ledger()
    book.note_stalls("quiet", stalls(100, 7), stalls(150, 9))
    assert [(figure.value, figure.verdict) for figure in book.figures] == [(2, "MISSED")] * 2


def test_a_product_without_a_watchdog_is_said_to_have_none() -> None:
    book = ledger.Ledger()
    book.note_stalls("quiet", processes.Samples(), processes.Samples())
    assert (book.figures[0].value, book.figures[0].note) == (None, "this release has none")


def test_an_object_that_is_written_again_and_again_is_named() -> None:
    made = [writes.read(event(name)) for name in ("d1", "d2", "d1", "d1")]
    assert writes.repeated(made) == {"patch devices/status fleet/d1": 3}

"""What is said of a capture: how it stands, what is missing, and why there is nothing."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from builders import site_side
from foreshore_agent.capture import columns, file, intake, listen, summary, verb
from foreshore_api.v1alpha1 import site
from foreshore_api.wire import assignment

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
DEVICE = site_side.speaking("room", {"name": "co2", "unit": "[ppm]"}, {"name": "light"})
SUBJECT = listen.CaptureSubject(
    assignment.AssignedSite(
        namespace="hq", name="hq", spec=site.SiteSpec(broker=site.Broker(host="h", port=1883))
    ),
    (DEVICE,),
    columns.arrange([DEVICE]),
    None,
)


class Output:
    """A file that stood there already."""

    name = "room.csv"
    continued = file.Continued(rows=1, last=START, cut=3)
    size = 0


def captured(**fields: Any) -> listen.Captured:
    tally = intake.CaptureTally(rows=2, first=START, last=START, cells=Counter({"co2": 2}))
    for name in [name for name in fields if hasattr(tally, name) and name != "rows"]:
        setattr(tally, name, fields.pop(name))
    return listen.Captured(tally, **{"rows": 3, "size": 2048, "ended": "because", **fields})


def ending(**fields: Any) -> str:
    return "\n".join(summary.ending(SUBJECT, Output(), captured(**fields)))  # type: ignore[arg-type]


def test_before_it_begins_it_says_what_stood_there_and_when_it_ends() -> None:
    limits = listen.CaptureLimits(90.0, 1 << 30, 5, "1m30s")
    lines = list(summary.beginning(SUBJECT, Output(), limits))  # type: ignore[arg-type]
    assert lines == [
        "capturing room from h:1883 into room.csv",
        "room.csv: a torn last line of 3 bytes was cut",
        "room.csv: going on after 1 row, the last of 2026-03-01T10:00:00.000000Z",
        "columns: co2 ([ppm]), light",
        "for 1m30s at most or 5 rows or 1.0 GiB; Ctrl-C ends it",
    ]


def test_the_end_names_the_rows_and_the_columns_that_stayed_empty() -> None:
    words = ending()
    assert words.startswith("2 rows into room.csv (3 in all), 2.0 KiB: because\n")
    assert "no value of light" in words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"drift": -3600.0}, "clock was set by -3600.0 s", id="clock"),
        pytest.param({"lost": 4}, "not written: 4 rows", id="disk"),
        pytest.param({"earlier": 2}, "before the row above, as the device says: 2 rows", id="late"),
        pytest.param({"inexact": 1}, "which no recording keeps: 1 text", id="blanks"),
        pytest.param(
            {"gaps": 2, "away": 9.0, "longest": intake.CaptureGap(START, 7.0)},
            "the broker was away 2 times, 9.0 s in all; longest 7.0 s from 2026-03-01T10:00:00",
            id="gaps",
        ),
        pytest.param({"denied": ("does not let us listen on x",)}, "not let us listen", id="acl"),
        pytest.param(
            {"denied": tuple(f"does not let us listen on {number}" for number in range(10))},
            "us listen on 7 and 2 more",
            id="a long access list",
        ),
        pytest.param(
            {"refused": Counter({(f"c{number}", "WrongType"): 3 for number in range(10)})},
            "refused of other columns, or for other reasons: 6 values",
            id="many columns",
        ),
        pytest.param(
            {"messages": Counter({f"Reason{number}": 3 for number in range(9)})},
            "no row for other reasons: 3 times",
            id="many reasons",
        ),
        pytest.param({"messages": Counter({"Dropped": 3})}, "no row of 3 Dropped (", id="dropped"),
    ],
)
def test_what_a_person_should_know_stands_at_the_end(fields: dict[str, Any], words: str) -> None:
    assert words in ending(**fields)
    assert words not in ending()


def test_a_refused_value_is_said_by_its_column_and_not_a_second_time() -> None:
    words = ending(messages=Counter({"WrongType": 2}), refused=Counter({("co2", "WrongType"): 2}))
    assert "refused of co2: 2 WrongType (" in words
    assert "no row of" not in words


def progress(monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool) -> tuple[Any, list[str]]:
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal)
    lines: list[str] = []
    moments = iter((0.0, 10.0, 40.0, 50.0))
    return verb.Progress(SUBJECT, lines.append, lambda: next(moments)), lines


def test_a_terminal_shows_how_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, lines = progress(monkeypatch, is_terminal=True)
    shown.show(captured(problem="refused"))
    assert lines == [
        "3 rows, 2.0 KiB, the newest of 2026-03-01T10:00:00.000000Z; no broker: refused"
    ]


def test_that_nothing_comes_is_said_once_also_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown, lines = progress(monkeypatch, is_terminal=False)
    for _ in range(3):
        silent = listen.Captured(intake.CaptureTally(), 0, 0, was_connected=True)
        shown.show(silent)
    (line,) = lines
    assert line.startswith("no row yet: nothing usable came on hq/room: no message at all")

"""What changed since when: in order, and to its end, however much was forgotten."""

import pytest

from foreshore_hub import changes


@pytest.fixture
def live() -> set[changes.Key]:
    return {"edge-1", "edge-2", "edge-3"}


@pytest.fixture
def log(live: set[changes.Key], monkeypatch: pytest.MonkeyPatch) -> changes.ChangeLog:
    """A log that has forgotten names which changed after all that is there."""
    monkeypatch.setattr(changes, "GONE", 2)
    made = changes.ChangeLog(lambda key: key in live)
    for key in ("edge-3", "edge-1", "edge-2"):
        made.note(key)
    for number in range(100):
        made.note(f"gone-{number}")
    assert not made.has(4)
    return made


def keys(log: changes.ChangeLog, revision: int) -> list[changes.Key]:
    return [key for key, _ in log.since(revision) if str(key).startswith("edge")]


def test_what_is_forgotten_costs_a_reader_that_has_everything_nothing(
    log: changes.ChangeLog,
) -> None:
    now = log.revision
    for number in range(100):
        log.note(f"more-{number}")
    assert keys(log, now) == []


def test_whoever_is_sent_everything_is_behind_with_no_part_of_it(log: changes.ChangeLog) -> None:
    log.lift()
    everything = log.since(0)
    assert keys(log, 0) == ["edge-3", "edge-1", "edge-2"], "in the order in which they changed"
    assert all(log.has(revision) for _, revision in everything)
    assert [revision for _, revision in everything] == sorted({at for _, at in everything})


def test_nothing_is_told_anew_twice(log: changes.ChangeLog) -> None:
    log.lift()
    before = log.revision
    log.lift()
    assert log.revision == before

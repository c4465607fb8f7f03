import pytest

from foreshore_agent import refusals
from foreshore_api.reasons import telemetry as reasons


def test_a_cause_has_one_line_a_minute_that_says_how_many_it_stands_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    lines = refusals.Refusals(lambda _: None, lambda: now[0])
    for _ in range(1000):
        lines.note("a message on hq/room/telemetry", "TooLarge")
    lines.note("a message on hq/room/telemetry", "InvalidJSON")
    now[0] = 61.0
    lines.note("a message on hq/hall/telemetry", "TooLarge")
    large = (
        "TooLarge (The document is larger than one may be;"
        " remedy: smaller documents: only what the profile's properties need)"
    )
    assert caplog.messages == [
        f"refused a message on hq/room/telemetry: {large}",
        "refused a message on hq/room/telemetry: InvalidJSON"
        " (The document is no JSON; remedy: payload Text for the property, where the message is a"
        " bare value; else a device that publishes JSON)",
        f"refused a message on hq/hall/telemetry: {large}; 999 more since the last line",
    ]


def test_the_first_of_its_kind_has_a_line_however_lately_another_had(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = refusals.Refusals(lambda _: None, lambda: 0.0)
    for topic in ("a", "b", "b"):
        lines.note(f"a message on {topic}", "NotYesOrNo", is_first=topic == "b")
        lines.note(f"a message on {topic}", "NotYesOrNo")
    assert [line.partition(";")[0] for line in caplog.messages] == [
        "refused a message on a: NotYesOrNo",
        "refused a message on b: NotYesOrNo",
        "refused a message on b: NotYesOrNo",
    ]


def test_a_cause_that_a_dialect_made_up_stands_alone(caplog: pytest.LogCaptureFixture) -> None:
    refusals.Refusals(lambda _: None).note("a message on x", "NotYesOrNo")
    assert caplog.messages == ["refused a message on x: NotYesOrNo"]


def test_a_topic_forges_no_line_and_moves_no_cursor(caplog: pytest.LogCaptureFixture) -> None:
    refusals.Refusals(lambda _: None).note(
        "a message on x\n2026 ERROR all is lost\x1b[2J\u202e", "UnknownTopic"
    )
    [line] = caplog.messages
    assert "\n" not in line
    assert "\x1b" not in line
    assert "\u202e" not in line


def test_causes_that_never_end_share_one_line(caplog: pytest.LogCaptureFixture) -> None:
    lines = refusals.Refusals(lambda _: None, lambda: 0.0)
    for number in range(1000):
        lines.note("x", f"cause {number}")
    assert len(caplog.messages) == refusals.MAXIMUM_CAUSES + 1


def test_every_message_is_counted_and_what_is_no_news_has_no_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counted: list[str] = []
    lines = refusals.Refusals(counted.append)
    for _ in range(2):
        lines.note("a message on x", reasons.RETAINED)
        lines.note("a message on x", reasons.DEFECT)
    assert counted == ["Retained", "Defect"] * 2
    [line] = caplog.messages
    assert line.startswith("refused a message on x: Defect (This agent failed on the message;")

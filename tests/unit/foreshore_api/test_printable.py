"""What others wrote never moves a cursor, forges a line or turns the direction of writing."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_api import conditions, printable

HOSTILE = {
    "clears the screen": "\x1b[2J\x1b[H",
    "sets the title": "\x1b]0;owned\x07",
    "C1 control": "\x9b31m",
    "forges a line": "fine\n2026-01-01 ERROR all is lost",
    "overwrites": "bad\rgood",
    "turns around": "user\u202etxt.exe",
    "isolates": "\u2066\u2069",
    "marks": "\u200e\u200f\u061c",
    "without width": "pass\u200bword\ufeff",
    "separates lines": "a\u2028b\u2029c",
    "tags": "\U000e0041",
    "half a character": "\ud800",
    "nul": "\x00",
    "deletes": "\x7f",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_is_one_harmless_line(text: str) -> None:
    for said in (printable.line(text), printable.clean(text)):
        assert all(printable.is_fit(each) for each in said)
        assert len(said.splitlines()) <= 1
        said.encode()


@pytest.mark.parametrize(
    "text", ["21.5 °C", "Lüftung – aus", "温度が高い", "سخونة", "ok 👩‍🔧", "a  b"], ids=str
)
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert printable.line(text) == text


def test_a_text_without_end_is_cut() -> None:
    assert len(printable.line("x" * 10**6)) == printable.MAXIMUM
    assert len(printable.clean(" x" * 10**6)) <= printable.MAXIMUM


@given(st.text())
def test_whatever_comes_only_fit_characters_go_out(text: str) -> None:
    for said in (printable.line(text), printable.clean(text)):
        assert not any(unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") for each in said)


@given(st.recursive(st.text(), lambda each: st.lists(each) | st.dictionaries(st.text(), each)))
def test_an_escaped_document_says_the_same_in_fit_characters(value: object) -> None:
    for indent in (None, 2):
        document = printable.escaped(json.dumps(value, ensure_ascii=False, indent=indent))
        assert json.loads(document) == value
        assert all(printable.is_fit(each) for each in document if each != "\n")


def test_a_condition_repeats_nothing_that_is_not_fit() -> None:
    made = conditions.Condition(
        type="Ready",
        status="False",
        reason="Invalid",
        message="said \x1b[2J\u202e",
        last_transition_time="2026-03-01T10:00:00Z",
    )
    assert all(map(printable.is_fit, made.message))

"""A cell that holds no value says why; a text never reads as such a cell, nor as silence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreshore_agent.play import marks
from foreshore_api.reasons import telemetry

CODES = st.sampled_from(sorted(telemetry.TABLE))
AWKWARD = st.one_of(
    st.text(),
    st.builds(lambda count, core: "!" * count + core, st.integers(0, 4), CODES),
    st.builds(
        lambda count, core: "!" * count + core,
        st.integers(0, 4),
        st.sampled_from(["", "null", "x"]),
    ),
)


@given(AWKWARD)
def test_a_text_reads_back_and_is_neither_silence_nor_a_refusal(text: str) -> None:
    cell = marks.written(text)
    assert cell not in ("", "null")
    assert marks.refusal(cell) is None
    assert marks.text(cell) == text


@given(CODES)
def test_a_refusal_reads_back_as_its_reason(code: str) -> None:
    assert marks.refusal(marks.refused(code)) == code


@pytest.mark.parametrize("cell", ["", "21.5", "!", "!!NonFinite", "!nonfinite", "NonFinite", "!x"])
def test_another_cell_is_no_refusal(cell: str) -> None:
    assert marks.refusal(cell) is None


@pytest.mark.parametrize("text", ["21.5", "on", "a !NonFinite b", "NonFinite", "!x"])
def test_a_plain_text_stands_as_it_is(text: str) -> None:
    assert marks.written(text) == text

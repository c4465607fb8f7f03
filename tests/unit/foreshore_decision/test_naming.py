"""How people name decisions."""

import pytest

from foreshore_decision import naming

WHOLE = "01a20307-9b3d-71f5-af7f-39e9f642cdfa"


@pytest.mark.parametrize(
    "written",
    [
        WHOLE,
        WHOLE.upper(),
        f" {WHOLE} ",
        f"{WHOLE}/1",
        f"decision/{WHOLE}",
        f"decisions.records.foreshore.dev/{WHOLE}",
        f"decision/{WHOLE}/12",
    ],
)
def test_every_way_to_write_a_name_is_read_as_the_identity(written: str) -> None:
    assert naming.identity(written) == WHOLE


def test_a_beginning_stays_one() -> None:
    assert naming.identity("01a2/1") == "01a2"
    assert naming.is_too_short("01a")
    assert not naming.is_too_short("01a2")


def test_more_candidates_than_are_shown_are_counted_as_more() -> None:
    many = [naming.DecisionCandidate(f"{n:04}", "t", "hq/room", "Denied/X") for n in range(11)]
    head, *rows = naming.ambiguous("0", many).splitlines()
    assert head.startswith("more than 10 decisions begin with 0;")
    assert len(rows) == 10

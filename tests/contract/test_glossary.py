"""The glossary: one line a term, and a line for every word that status and records show."""

import re
from collections import Counter
from enum import StrEnum
from pathlib import Path

import pytest

from foreshore_api.v1alpha1 import Mode
from foreshore_api.wire import histogram, record
from foreshore_decision import fencing
from foreshore_decision.chain import order

GLOSSARY = Path(__file__).parents[2] / "crds/glossary.md"
LINES = GLOSSARY.read_text().splitlines()
TERMS = [
    term
    for line in LINES
    if line.startswith("- ")
    for term in re.findall(r"^- \*\*(.+?)\*\*", line)
]


def test_a_term_is_explained_in_one_line_that_ends() -> None:
    explained = re.compile(r"- \*\*[^*]+\*\*: .+[^ ]\.$")
    broken = [line for line in LINES if line.startswith("- ") and not explained.match(line)]
    assert broken == []
    assert len(TERMS) > 100


def test_a_term_is_explained_twice_only_where_it_says_so() -> None:
    twice = {term for term, count in Counter(TERMS).items() if count > 1}
    assert twice == {"Superseded"}, "an outcome and a standing"


@pytest.mark.parametrize(
    "words",
    [record.Verdict, record.Outcome, fencing.Standing, histogram.Stage],
    ids=lambda kind: kind.__name__,
)
def test_every_word_of_a_record_has_a_line(words: type[StrEnum]) -> None:
    assert set(words) - set(TERMS) == set()


def line_of(term: str) -> str:
    return next(line for line in LINES if line.startswith(f"- **{term}**:"))


def test_the_modes_are_those_of_a_policy() -> None:
    listed = re.findall(r"[A-Z][a-z]+", line_of("mode").partition(": ")[2].partition(":")[2])
    assert [word for word in listed if word in set(Mode)] == list(Mode)


def test_the_gates_are_those_of_the_chain_in_its_order() -> None:
    listed = line_of("gate").partition("In order: ")[2].rstrip(".").split(", ")
    assert listed == list(order.NAMES)

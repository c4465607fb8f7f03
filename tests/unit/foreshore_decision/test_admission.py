"""A file is refused without a cluster for what a cluster would refuse it for."""

from typing import Any

import pytest

from builders import refusals, room, stock
from foreshore_api import resources
from foreshore_decision import admission
from foreshore_decision.expr import rules

Json = dict[str, Any]


@pytest.mark.parametrize(
    "document",
    [
        *room.all_of(),
        refusals.cluster(),
        refusals.placement(),
        stock.plug(),
        stock.friendly(),
        stock.gateway(),
    ],
    ids=lambda document: f"{document['kind']} {document['metadata']['name']}",
)
def test_the_smallest_useful_set_breaks_nothing(document: Json) -> None:
    assert admission.check(resources.parse(document, strict=True)) == ()


def told(document: Json) -> str:
    """All that is said about a document, one problem a line, as `field: message`."""
    try:
        resource = resources.parse(document, strict=True)
    except resources.InvalidError as error:
        return str(error)
    return "\n".join(f"{breach.path}: {breach.message}" for breach in admission.check(resource))


@pytest.mark.parametrize("case", refusals.REFUSALS, ids=str)
def test_folder_mode_says_what_the_api_server_says(case: refusals.Refusal) -> None:
    said = told(case.document)
    assert case.field.replace("<nil>", "") in said
    assert (case.says or case.rule) in said


@pytest.mark.parametrize("case", refusals.CHANGES[:2], ids=str)
def test_what_changes_is_not_held_against_a_folder(case: refusals.Change) -> None:
    assert told(case.after) == ""


def test_an_error_in_a_rule_never_admits() -> None:
    assert not rules.holds("self.absent.size() > 0", {})
    assert not rules.holds("'text'", {})
    assert rules.holds("has(self.a)", {"a": 1})

"""What is wrong with a folder's resources is said, whatever goes wrong meanwhile."""

from typing import Any

import pytest

from builders import room
from foreshore_agent import inspection, manifests
from foreshore_decision import policy, resources


def test_a_policy_that_cannot_be_compiled_at_all_is_a_problem_of_it_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def breaks(*_: Any, **__: Any) -> None:
        raise RuntimeError("a trap nobody knew")

    monkeypatch.setattr(policy, "check", breaks)
    documents = (room.site(), room.profile(), room.device(), room.model(), room.policy())
    read = resources.read(
        [manifests.Manifest(f"room.yaml#{at}", each) for at, each in enumerate(documents, 1)], {}
    )
    found = [each for each in inspection.inspect(read) if each.reason == "CompileFailed"]
    assert len(found) == 1
    assert found[0].kind == "DecisionPolicy"
    assert "a trap nobody knew" in found[0].message

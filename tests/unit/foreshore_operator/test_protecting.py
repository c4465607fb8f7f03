"""Disruption budgets that are gone are found by a list; what the list cannot know is not missed."""

from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from builders import planning as build
from foreshore_api import v1alpha1
from foreshore_kube import api, apply, kinds
from foreshore_operator import protecting, store

WRITTEN = apply.WriteResult.WRITTEN


class Listing:
    """An API server that lists these names, in pages of one."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.error: api.ApiError | None = None
        self.lists = 0
        self.meanwhile: Callable[[], None] = lambda: None

    async def pages(self, kind: kinds.ResourceKind, **_: Any) -> AsyncIterator[api.Page]:
        assert kind is kinds.DISRUPTION_BUDGETS
        self.lists += 1
        self.meanwhile()
        for name in self.names:
            yield api.Page(({"metadata": {"namespace": "hq", "name": name}},), "1")
        if self.error is not None:
            raise self.error


class Term:
    epoch = 1

    def may_write(self) -> bool:
        return True


def policy(name: str) -> v1alpha1.DecisionPolicy:
    made = build.policy(name)
    return made.model_copy(update={"metadata": made.metadata.model_copy(update={"uid": name})})


class Looked:
    """A look at policies whose budgets were made."""

    def __init__(self, *made: str, listed: tuple[str, ...]) -> None:
        self.policies = protecting.ProtectedPolicies()
        for name in made:
            self.policies.note(policy(name), WRITTEN)
        self.kube = Listing(*(f"{name}-replicas" for name in listed))
        self.passes = 0
        self.gone: set[str] = set()
        server = cast(api.KubeApi, self.kube)
        self.looking = protecting.BudgetLook(server, Term(), self.policies, self._ask)

    def _ask(self) -> None:
        self.passes += 1

    def find(self, _: object, namespace: str, name: str) -> v1alpha1.DecisionPolicy | None:
        """Every policy but one that is gone."""
        return None if name in self.gone else policy(name)

    @property
    def lost(self) -> list[str]:
        mirrors = cast(store.ClusterMirrors, self)
        return [policy.name for policy in self.policies.unprotected(mirrors)]


async def test_what_is_not_listed_is_missed_and_asks_for_a_pass() -> None:
    looked = Looked("a", "b", "c", listed=("a", "c"))
    await looked.looking.look()
    assert (looked.lost, looked.passes) == (["b"], 1)
    assert looked.policies.needs(policy("b"))
    assert not looked.policies.needs(policy("a"))
    assert looked.policies.note(policy("b"), WRITTEN)
    assert not looked.lost


async def test_what_is_all_there_asks_for_nothing() -> None:
    looked = Looked("a", "b", listed=("a", "b", "of-somebody"))
    await looked.looking.look()
    assert (looked.lost, looked.passes) == ([], 0)


async def test_who_has_made_none_does_not_look() -> None:
    looked = Looked(listed=())
    await looked.looking.look()
    assert looked.kube.lists == 0


@pytest.mark.parametrize("status", [403, 410, 0])
async def test_a_list_that_is_not_whole_misses_nothing(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    looked = Looked("a", "b", listed=("a",))
    looked.kube.error = api.ApiError(status, "no list")
    await looked.looking.look()
    assert (looked.lost, looked.passes) == ([], 0)
    assert ("ClusterRole" in caplog.text) is (status == 403)


async def test_what_is_made_while_the_list_comes_is_not_missed_in_it() -> None:
    looked = Looked("a", listed=("a",))

    def make() -> None:
        looked.policies.note(policy("late"), WRITTEN)

    looked.kube.meanwhile = make
    await looked.looking.look()
    assert not looked.lost


async def test_what_is_gone_with_its_policy_is_not_made_again() -> None:
    looked = Looked("a", "b", listed=())
    looked.gone.add("a")
    await looked.looking.look()
    assert looked.lost == ["b"]


async def test_one_that_somebody_else_made_meanwhile_is_no_news() -> None:
    looked = Looked("a", listed=())
    await looked.looking.look()
    assert looked.lost == ["a"]
    assert not looked.policies.note(policy("a"), apply.WriteResult.MOVED_ON)
    assert not looked.lost


def test_who_stands_down_knows_of_none() -> None:
    looked = Looked("a", listed=())
    looked.policies.miss("a")
    looked.policies.forget()
    assert not looked.lost
    assert looked.policies.needs(policy("a"))

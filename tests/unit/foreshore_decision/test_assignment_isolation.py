"""In whose process a model runs, as far as the resources decide it: two people have to want it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.resources import device, everything, placement, policy, profile, site, version
from foreshore_api import meta, v1alpha1
from foreshore_api.wire import assignment as wire
from foreshore_decision import assignment

ISOLATIONS = st.sampled_from(v1alpha1.Isolation)
AGENT, CHILD = v1alpha1.Isolation.AGENT, v1alpha1.Isolation.CHILD
IN_AGENT = "agent:" + "0" * 64


def resources(
    asked: v1alpha1.Isolation, allowed: v1alpha1.Isolation, *more: meta.Resource
) -> list[meta.Resource]:
    """The smallest useful set, with what its version asks and its site allows."""
    replaced = {v1alpha1.Site.kind, v1alpha1.ModelVersion.kind}
    others = [resource for resource in everything(*more) if resource.kind not in replaced]
    return [
        *others,
        version(runtime={"isolation": asked}),
        site(spec={"isolation": allowed}),
    ]


def compiled(*of: meta.Resource, node: str = "edge-1", **arguments: Any) -> assignment.Compilation:
    return assignment.compile(assignment.Resources.of(of), node, site="hq", **arguments)


def in_force(made: assignment.Compilation) -> wire.AssignedPolicy:
    (only,) = made.assignment.policies
    return only


@given(asked=ISOLATIONS, allowed=ISOLATIONS, is_folder=st.booleans())
def test_an_agent_runs_a_model_itself_only_where_version_and_site_want_it(
    asked: v1alpha1.Isolation, allowed: v1alpha1.Isolation, is_folder: bool
) -> None:
    given_ = assignment.LocalStatuses() if is_folder else None
    policy_ = in_force(compiled(*resources(asked, allowed), given=given_))
    is_wanted = (asked, allowed) == (AGENT, AGENT)
    assert policy_.model is not None
    assert policy_.model.isolation is (AGENT if is_wanted else CHILD)
    assert [endpoint.url for endpoint in policy_.endpoints] == [IN_AGENT] * is_wanted


@given(asked=ISOLATIONS, allowed=ISOLATIONS)
def test_it_is_said_with_the_remedy_exactly_where_a_wish_is_not_allowed(
    asked: v1alpha1.Isolation, allowed: v1alpha1.Isolation
) -> None:
    made = compiled(*resources(asked, allowed, policy("second")))
    assert made.problems == (), "it works in a child, so that nothing is held back for it"
    denied = assignment.denials(made.assignment)
    if (asked, allowed) != (AGENT, CHILD):
        assert denied == ()
        return
    (denial,) = denied  # once, although two policies ask for the version
    assert denial.startswith("ModelVersion occupancy-v1 asks isolation Agent")
    assert "set isolation: Agent in Site hq" in denial


@pytest.mark.parametrize("node", ["edge-1", "edge-2"])
def test_every_agent_is_given_its_own_endpoint_before_the_placed_ones(node: str) -> None:
    placed = placement(("r0", "Active", "Ready", "10.0.0.1:8080"))
    first, second = in_force(compiled(*resources(AGENT, AGENT, placed), node=node)).endpoints
    assert first == wire.Endpoint(
        slot="r0",
        role=wire.Role.ACTIVE,
        node=node,
        url=IN_AGENT,
        policy_generation=1,
        version="occupancy-v1",
        digest="sha256:" + "0" * 64,
    )
    assert first.is_in_agent
    assert second.url == "http://10.0.0.1:8080"
    assert not second.is_in_agent


def test_what_folder_mode_serves_itself_comes_after_the_agents_own() -> None:
    child = wire.Endpoint(slot="a0", role=wire.Role.ACTIVE, node="edge-1", url="unix:/tmp/s")
    given_ = assignment.LocalStatuses(endpoints={("hq", "ventilate"): (child,)})
    policy_ = in_force(compiled(*resources(AGENT, AGENT), given=given_))
    assert [endpoint.url for endpoint in policy_.endpoints] == [IN_AGENT, "unix:/tmp/s"]


def test_a_kept_model_whose_version_is_gone_runs_by_what_the_site_allows_now() -> None:
    allowed = compiled(*resources(AGENT, AGENT)).assignment
    left = [profile(), device(), policy(), site(spec={"isolation": CHILD})]
    policy_ = in_force(compiled(*left, last=[allowed]))
    assert policy_.model is not None
    assert policy_.model.version == "occupancy-v1"
    assert policy_.model.isolation is CHILD
    assert policy_.endpoints == ()


def test_a_policy_of_rules_alone_has_no_endpoint() -> None:
    rules = policy(modelRef=None)
    others = [r for r in resources(AGENT, AGENT) if r.kind != v1alpha1.DecisionPolicy.kind]
    assert in_force(compiled(*others, rules)).endpoints == ()


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        pytest.param({"runtime": {"providers": ["CUDA", "CPU"]}}, "CUDA", id="another provider"),
        pytest.param(
            {"resources": {"accelerator": {"name": "nvidia.com/gpu"}}},
            "nvidia.com/gpu",
            id="an accelerator",
        ),
    ],
)
def test_an_agent_runs_nothing_itself_that_cpu_does_not_compute_and_says_so(
    asked: dict[str, Any], named: str
) -> None:
    runtime = {"isolation": "Agent", **asked.get("runtime", {})}
    wanted = version(runtime=runtime, resources=asked.get("resources", {}))
    others = [
        resource
        for resource in resources(AGENT, AGENT)
        if resource.kind != v1alpha1.ModelVersion.kind
    ]
    made = compiled(*others, wanted)
    policy_ = in_force(made)
    assert policy_.model is not None
    assert policy_.model.isolation is CHILD
    assert policy_.endpoints == ()
    (denial,) = assignment.denials(made.assignment)
    assert f"asks isolation Agent, and {named}, which agents have not" in denial
    assert "want CPU first" in denial


def test_cpu_before_others_stays_in_the_agent() -> None:
    wanted = version(runtime={"isolation": "Agent", "providers": ["CPU", "CUDA"]})
    others = [
        resource
        for resource in resources(AGENT, AGENT)
        if resource.kind != v1alpha1.ModelVersion.kind
    ]
    policy_ = in_force(compiled(*others, wanted))
    assert policy_.model is not None
    assert policy_.model.isolation is AGENT

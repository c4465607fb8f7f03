"""How the objects look that the operator makes."""

import datetime
import json
from typing import Any

from builders import room
from foreshore_api import v1alpha1
from foreshore_api.wire import serving
from foreshore_operator import manifests, pods
from foreshore_planner.placement import case

INTENT = case.PodIntent(
    name="ventilate-when-occupied-r0-12345678",
    namespace="hq",
    placement="ventilate-when-occupied.hq",
    policy="ventilate-when-occupied",
    site="hq",
    slot="r0",
    node="edge-2",
    template="0123456789abcdef",
    model="occupancy",
    version="occupancy-v1",
    digest=room.DIGEST,
    generation=4,
)
OWNER = v1alpha1.InferencePlacement.read(
    room.resource(
        "InferencePlacement",
        "hq",
        "ventilate-when-occupied.hq",
        {"policyRef": {"name": "ventilate-when-occupied"}, "site": "hq"},
        uid="owner",
    )
)


def pod(**policy: Any) -> dict[str, Any]:
    return manifests.pod(
        INTENT,
        OWNER,
        v1alpha1.DecisionPolicy.read(room.changed(room.policy(), **policy)),
        v1alpha1.ModelVersion.read(room.version()),
        image="foreshore-edge:dev",
    )


def test_a_pod_serves_on_addresses_of_both_families() -> None:
    """On IPv4 alone kubelet's probe of a Pod with an IPv6 address first is refused for ever."""
    (container,) = pod()["spec"]["containers"]
    assert container["args"][-2:] == ["--listen", "[::]:8080"]


def test_a_pod_is_recognised_by_what_was_put_on_it() -> None:
    made = pod()

    assert manifests.is_ours(made["metadata"])
    assert manifests.wanted_node(made["spec"]) == "edge-2"


def test_the_scheduler_still_places_it() -> None:
    assert "nodeName" not in pod()["spec"]


def test_a_pod_passes_restricted_pod_security() -> None:
    spec = pod()["spec"]
    container = spec["containers"][0]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert spec["automountServiceAccountToken"] is False
    assert {kind for volume in spec["volumes"] for kind in volume if kind != "name"} == {
        "configMap",
        "emptyDir",
        "secret",
    }


def test_a_pod_is_not_evicted_from_a_node_that_is_only_silent() -> None:
    tolerations = pod()["spec"]["tolerations"]

    assert {each["key"] for each in tolerations} == {
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    }
    assert all("tolerationSeconds" not in each for each in tolerations)


def test_what_the_policy_says_about_pods_reaches_them() -> None:
    spec = pod(
        spec__placement={
            "tolerations": [{"key": "edge", "operator": "Exists"}],
            "runtimeClassName": "nvidia",
            "priorityClassName": "decisions",
            "imagePullSecrets": [{"name": "registry"}],
        }
    )["spec"]

    assert {"key": "edge", "operator": "Exists"} in spec["tolerations"]
    assert (spec["runtimeClassName"], spec["priorityClassName"]) == ("nvidia", "decisions")
    assert spec["imagePullSecrets"] == [{"name": "registry"}]


def test_a_pod_goes_away_with_its_placement() -> None:
    assert pod()["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "foreshore.dev/v1alpha1",
            "kind": "InferencePlacement",
            "name": "ventilate-when-occupied.hq",
            "uid": "owner",
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]


def test_the_model_file_says_what_to_serve_and_whom_to_trust() -> None:
    made = manifests.config_map(
        INTENT,
        "pod-uid",
        v1alpha1.Model.read(room.model()),
        v1alpha1.ModelVersion.read(room.version()),
    )

    config = serving.ModelConfig.decode(made["data"]["model.json"])
    assert config.digest == room.DIGEST
    assert config.source.https is not None
    assert config.source.https.ca_file == "/etc/foreshore/ca/ca.crt"
    assert [one.name for one in config.outputs] == ["probabilities"]
    assert json.loads(made["data"]["model.json"])["inputs"][0]["dataType"] == "FP32"


def test_pod_and_model_file_agree_on_its_name_and_it_goes_away_with_the_pod() -> None:
    volume = next(one for one in pod()["spec"]["volumes"] if one["name"] == "model")
    made = manifests.config_map(
        INTENT,
        "pod-uid",
        v1alpha1.Model.read(room.model()),
        v1alpha1.ModelVersion.read(room.version()),
    )

    assert volume["configMap"]["name"] == made["metadata"]["name"]
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Pod", "pod-uid")


def test_an_object_nobody_understands_is_refused_in_its_status() -> None:
    document = {"metadata": {"name": "x", "generation": 4}, "status": {"conditions": "nonsense"}}
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

    status = manifests.refusal(document, "spec.mode: no such word", now)

    assert status.observed_generation == 4
    assert {(one.type, one.status.value, one.reason) for one in status.conditions} == {
        ("Ready", "False", "Invalid"),
        ("Stalled", "True", "Invalid"),
    }


def test_a_figure_that_wavers_is_no_news_and_a_new_endpoint_is() -> None:
    condition = {"type": "BudgetMet", "status": "False", "reason": "OverBudget", "message": "31ms"}
    status = {
        "budget": {"limit": "200ms", "from": "Receipt", "measured": "31ms"},
        "candidates": {"total": 4},
        "conditions": [condition],
        "replicas": [{"slot": "r0", "endpoint": "10.244.1.7:8080"}],
    }
    wavered = room.changed(status, budget__measured="36ms", candidates__total=5)
    wavered["conditions"] = [{**condition, "message": "36ms"}]
    moved = room.changed(status, replicas=[{"slot": "r0", "endpoint": "10.244.2.7:8080"}])

    taken_over = {**status, "writerEpoch": 1_800_000_000}

    assert manifests.without_figures(wavered) == manifests.without_figures(status)
    assert manifests.without_figures(taken_over) == manifests.without_figures(status)
    assert manifests.without_figures(moved) != manifests.without_figures(status)


def test_a_pod_says_what_it_serves_and_for_which_generation_of_the_policy() -> None:
    document = pod()
    document["status"] = {}

    found = pods.record(document).inference

    assert found is not None
    assert (found.version, found.digest, found.generation) == ("occupancy-v1", room.DIGEST, 4)


def test_a_successors_words_alone_are_no_news() -> None:
    def status(message: str, reason: str = "ImagePull") -> dict[str, Any]:
        successor = {"node": "edge-1", "phase": "Pending", "reason": reason, "message": message}
        return {"replicas": [{"slot": "r0", "successor": successor}]}

    one, other = (manifests.without_figures(status(text)) for text in ("pull", "back-off"))
    assert one == other
    assert manifests.without_figures(status("pull", "SecretMissing")) != one


def test_an_authority_that_is_missing_lets_the_pod_start_and_say_so() -> None:
    """A volume that must be there holds the pod back, and only Events of it say why."""
    (volume,) = [one for one in pod()["spec"]["volumes"] if one["name"] == "ca"]
    assert volume["secret"]["optional"] is True


def counted(**reasons: int) -> dict[str, Any]:
    rejected = [
        {"reason": reason, "count": count, "example": f"edge-1: {count}"}
        for reason, count in reasons.items()
    ]
    return manifests.without_figures({"candidates": {"total": 4, "rejected": rejected}})


def test_a_node_that_is_rejected_for_another_cause_is_news_and_its_latency_is_not() -> None:
    """The counts stayed as they were for a minute and more after a node was cordoned."""
    assert counted(Cordoned=1) != counted()
    assert counted(Cordoned=1) != counted(Cordoned=2)
    assert counted(Cordoned=1, LatencyBudget=1) == counted(Cordoned=1, LatencyBudget=2)
    assert counted(OtherSite=1) == counted(OtherSite=2)


def accelerated(count: int = 2) -> v1alpha1.ModelVersion:
    accelerator = {"name": "nvidia.com/gpu", "count": count}
    runtime = {"providers": ["CUDA", "CPU"], "require": "First"}
    changed = room.changed(
        room.version(), spec__resources__accelerator=accelerator, spec__runtime=runtime
    )
    return v1alpha1.ModelVersion.read(changed)


def test_an_accelerator_is_asked_of_the_node_in_requests_and_limits_alike() -> None:
    policy = v1alpha1.DecisionPolicy.read(
        room.changed(room.policy(), spec__placement__runtimeClassName="nvidia")
    )
    made = manifests.pod(INTENT, OWNER, policy, accelerated(), image="foreshore-edge:gpu")
    (container,) = made["spec"]["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "100m", "memory": "128Mi", "nvidia.com/gpu": "2"},
        "limits": {"memory": "128Mi", "nvidia.com/gpu": "2"},
    }
    assert made["spec"]["runtimeClassName"] == "nvidia"
    assert pods.requests(made["spec"]).count("nvidia.com/gpu") == 2


def test_a_server_is_told_the_providers_and_whether_the_first_must_compute() -> None:
    model = v1alpha1.Model.read(room.model())
    plain = manifests.model_config(model, v1alpha1.ModelVersion.read(room.version()))
    assert (plain.providers, plain.is_first_required) == (("CPU",), False)
    told = manifests.model_config(model, accelerated())
    assert (told.providers, told.is_first_required) == (("CUDA", "CPU"), True)

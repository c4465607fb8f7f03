"""What is read of Pods."""

import json
from typing import Any

import pytest

from foreshore_operator import manifests, pods
from foreshore_planner import snapshot


def ours(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "hq",
            "name": "p-r0-1",
            "uid": "u",
            "labels": {
                **manifests.LABELS,
                "foreshore.dev/policy": "p",
                "foreshore.dev/site": "hq",
                "foreshore.dev/slot": "r0",
            },
            "annotations": {manifests.ANNOTATION_TEMPLATE: "t"},
        },
        "spec": {
            "containers": [{"name": "serving", "resources": {"requests": {"cpu": "100m"}}}],
            "affinity": manifests._pinned("edge-1"),
        },
        "status": status,
    }


def inference(document: dict[str, Any]) -> pods.InferencePod:
    found = pods.record(document).inference
    assert found is not None
    return found


def test_a_pod_that_is_not_scheduled_yet_counts_for_the_node_it_is_pinned_to() -> None:
    assert pods.record(ours(phase="Pending")).node == "edge-1"


def test_somebody_elses_pod_is_only_room() -> None:
    document = ours(phase="Running")
    document["metadata"]["labels"] = {"app": "other"}

    found = pods.record(document)

    assert found.inference is None
    assert found.requests == snapshot.ComputeResources(cpu=100)


def test_the_first_address_of_a_pod_is_where_it_is_called() -> None:
    """A cluster whose Pods have IPv6 addresses first: kubelet probes that one, so agents ask it."""
    both = {"podIP": "fd42:1::1:7", "podIPs": [{"ip": "fd42:1::1:7"}, {"ip": "10.42.1.7"}]}
    assert inference(ours(phase="Running", **both)).address == "fd42:1::1:7"


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ({"phase": "Pending"}, snapshot.PodPhase.PENDING),
        ({"phase": "Running"}, snapshot.PodPhase.UNREADY),
        (
            {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
            snapshot.PodPhase.READY,
        ),
        ({"phase": "Failed", "reason": "Evicted"}, snapshot.PodPhase.FAILED),
    ],
    ids=["pending", "running, not ready", "ready", "evicted"],
)
def test_a_pods_phase_is_what_placement_cares_about(
    status: dict[str, Any], phase: snapshot.PodPhase
) -> None:
    assert inference(ours(**status)).phase is phase


def test_a_pod_of_a_dead_node_that_stays_is_terminating_although_it_says_running() -> None:
    document = ours(phase="Running", conditions=[{"type": "Ready", "status": "True"}])
    document["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    assert inference(document).phase is snapshot.PodPhase.TERMINATING


def test_a_refused_model_is_told_in_the_servers_own_words() -> None:
    said = json.dumps({"reason": "DigestMismatch", "message": "the bytes are others"})
    ended = {"terminated": {"exitCode": 3, "message": said, "reason": "Error"}}
    found = inference(
        ours(
            phase="Running",
            containerStatuses=[
                {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended}
            ],
        )
    )

    assert (found.reason, found.message) == ("DigestMismatch", "the bytes are others")


def test_a_refusal_in_words_that_nobody_can_read_is_still_a_refusal() -> None:
    ended = {"terminated": {"exitCode": 3, "message": "Killed", "reason": "Error"}}
    found = inference(ours(phase="Running", containerStatuses=[{"state": ended}]))

    assert found.reason == "ModelRejected"


@pytest.mark.parametrize("word", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
def test_an_image_that_cannot_be_pulled_has_one_name_whatever_the_kubelet_calls_it(
    word: str,
) -> None:
    waiting = {"waiting": {"reason": word, "message": "no such image"}}
    found = inference(ours(phase="Pending", containerStatuses=[{"state": waiting}]))

    assert (found.reason, found.message) == ("ImagePull", "no such image")


def test_pull_secrets_are_named_beside_what_the_registry_said() -> None:
    """A kubelet that finds no such Secret pulls without it, and says so in an Event alone."""
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "401 Unauthorized"}}
    document = ours(phase="Pending", containerStatuses=[{"state": waiting}])
    document["spec"]["imagePullSecrets"] = [{"name": "registry"}]

    assert inference(document).message == (
        "401 Unauthorized (pulled with Secret registry, if it is there)"
    )


def test_a_missing_secret_is_named() -> None:
    said = json.dumps({"reason": "SecretMissing", "message": "there is no ca.crt"})
    ended = {"terminated": {"exitCode": 4, "message": said, "reason": "Error"}}
    document = ours(phase="Running", containerStatuses=[{"lastState": ended}])
    document["spec"]["volumes"] = [{"name": "ca", "secret": {"secretName": "model-source-ca"}}]
    found = inference(document)

    assert found.reason == "SecretMissing"
    assert found.message == "Secret model-source-ca: there is no ca.crt"


def test_a_container_that_is_being_created_says_so() -> None:
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    found = inference(ours(phase="Pending", containerStatuses=[{"state": waiting}]))

    assert found.reason == "ContainerCreating"


@pytest.mark.parametrize(
    ("mark", "value"),
    [
        (manifests.ANNOTATION_VERSION, "No Name"),
        (manifests.ANNOTATION_VERSION, "v" * 53),
        (manifests.ANNOTATION_DIGEST, "sha256:0"),
        (manifests.ANNOTATION_GENERATION, "9" * 400),
        (manifests.ANNOTATION_GENERATION, "-1"),
    ],
)
def test_a_mark_that_we_never_write_says_nothing(mark: str, value: str) -> None:
    """Who may edit Pods may write anything there, and a status with it would be refused."""
    document = ours(phase="Running")
    document["metadata"]["annotations"][mark] = value
    found = inference(document)

    assert (found.version, found.digest, found.generation) == (None, None, None)


def test_a_pod_nobody_can_schedule_says_why() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/4 nodes are available",
    }
    found = inference(ours(phase="Pending", conditions=[condition]))

    assert (found.reason, found.message) == ("Unschedulable", "0/4 nodes are available")


def test_a_pod_that_serves_again_has_no_trouble_left() -> None:
    ended = {"terminated": {"exitCode": 4, "message": "", "reason": "Error"}}
    found = inference(
        ours(phase="Running", containerStatuses=[{"ready": True, "lastState": ended}])
    )

    assert found.reason is None


def test_the_largest_init_container_counts_if_it_asks_for_more_than_all_others() -> None:
    spec = {
        "containers": [{"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}] * 2,
        "initContainers": [
            {"resources": {"requests": {"cpu": "5"}}},
            {"restartPolicy": "Always", "resources": {"requests": {"memory": "1Gi"}}},
        ],
    }

    assert pods.requests(spec) == snapshot.ComputeResources(5000, 3 << 30)


def test_extended_resources_count_as_the_scheduler_counts_them() -> None:
    def asks(**counts: str) -> dict[str, Any]:
        named = {f"example.com/{name}": count for name, count in counts.items()}
        return {"resources": {"requests": named}}

    spec = {"containers": [asks(gpu="1")] * 2, "initContainers": [asks(gpu="3", npu="1")]}

    assert pods.requests(spec).extended == (("example.com/gpu", 3), ("example.com/npu", 1))


def test_a_finished_pod_takes_no_room() -> None:
    assert pods.record(ours(phase="Failed")).requests == snapshot.ComputeResources()


def part(component: str = "foreshore-agent", **status: Any) -> snapshot.ProductPod | None:
    """What is kept of a pod of the product's own."""
    labels = {"app.kubernetes.io/name": component, "app.kubernetes.io/part-of": "foreshore"}
    return pods.record(
        {
            "metadata": {"namespace": "foreshore-agents", "name": "a-x7k2p", "labels": labels},
            "spec": {"nodeName": "edge-1"},
            "status": status,
        }
    ).part


def waiting(reason: str) -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason}}, "restartCount": 4}


READY = {"type": "Ready", "status": "True"}
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param({"phase": "Running", "conditions": [READY]}, None, id="ready"),
        pytest.param(
            {
                "phase": "Running",
                "containerStatuses": [
                    waiting("CrashLoopBackOff")
                    | {"lastState": {"terminated": {"reason": "Error", "exitCode": 1}}}
                ],
            },
            "CrashLoopBackOff",
            id="a crash loop, not how it ended last",
        ),
        pytest.param(
            {"phase": "Pending", "initContainerStatuses": [waiting("ImagePullBackOff")]},
            "ImagePullBackOff",
            id="an image that cannot be pulled",
        ),
        pytest.param(
            {"phase": "Pending", "conditions": [UNSCHEDULED]}, "Unschedulable", id="no room"
        ),
        pytest.param({"phase": "Running"}, "NotReady", id="running, not ready, and no word why"),
    ],
)
def test_a_pod_of_ours_says_why_it_is_not_ready(status: dict[str, Any], reason: str | None) -> None:
    found = part(**status)
    assert found is not None
    assert (found.node, found.reason) == ("edge-1", reason)


def test_only_agents_and_the_hub_are_named_in_messages() -> None:
    assert part("foreshore-hub") is not None
    assert part("foreshore-operator") is None
    assert pods.record(ours(phase="Running")).part is None


def test_an_agent_that_begins_to_crash_asks_for_a_pass() -> None:
    def record(**status: Any) -> pods.PodRecord:
        metadata = {
            "namespace": "foreshore-agents",
            "name": "a-x7k2p",
            "labels": {
                "app.kubernetes.io/name": "foreshore-agent",
                "app.kubernetes.io/part-of": "foreshore",
            },
        }
        return pods.record({"metadata": metadata, "spec": {}, "status": status})

    well = record(phase="Running", conditions=[READY])
    ill = record(phase="Running", containerStatuses=[waiting("CrashLoopBackOff")])
    assert not pods.is_same(well, ill)

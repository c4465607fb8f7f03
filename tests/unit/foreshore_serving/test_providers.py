import dataclasses
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import local_models, onnx_models, runtimes
from foreshore_api.reasons import serving as reasons
from foreshore_api.v1alpha1 import modelversion
from foreshore_serving import contract as contracts
from foreshore_serving import limits, main, providers, refusal, session, supervise, trial
from foreshore_serving.settings import ServingSettings

BODY = onnx_models.model()
EVERY = tuple(providers.NAMES)


def contract(*wanted: str, first: bool = False) -> contracts.Contract:
    plain = local_models.contract(BODY, onnx_models.config(BODY))
    return dataclasses.replace(plain, providers=wanted, is_first_required=first)


def computed(
    runtime: runtimes.AcceleratedRuntime, agreed: contracts.Contract
) -> providers.Computed:
    made = providers.session(runtime, BODY, runtimes.RuntimeOptions(), agreed)
    return providers.computed(made, agreed)


def refused(runtime: runtimes.AcceleratedRuntime, agreed: contracts.Contract) -> str:
    with pytest.raises(refusal.Refused) as caught:
        computed(runtime, agreed)
    assert caught.value.reason is refusal.Reason.PROVIDER_MISSING
    assert caught.value.remedy == caught.value.reason.remedy, "whole: it fits its bound"
    return caught.value.cause


def test_every_provider_of_a_model_version_has_its_name_in_the_runtime() -> None:
    assert set(providers.NAMES) == set(modelversion.ExecutionProvider)
    assert set(providers.NAMES.values()) <= set(onnxruntime.get_all_providers())


def test_a_device_that_is_there_computes_what_it_can() -> None:
    runtime = runtimes.AcceleratedRuntime(["CUDA"], starting=["CUDA"], nodes={"CUDA": 12, "CPU": 3})
    agreed = contract("CUDA", "CPU", first=True)
    found = computed(runtime, agreed)
    assert found.provider == "CUDA"
    assert str(found) == "CPU 3 nodes, CUDA 12 nodes"
    assert providers.shortfall(found, agreed) == ""
    assert runtime.asked == [("CUDA", "CPU")]
    assert runtime.fallbacks == [0]


def test_first_refuses_a_runtime_that_was_not_built_with_it() -> None:
    runtime = runtimes.AcceleratedRuntime(["OpenVINO"])
    message = refused(runtime, contract("CUDA", "CPU", first=True))
    assert message == "only CUDA is required, and this ONNX Runtime has CPU, OpenVINO"
    assert runtime.asked == []


def test_first_refuses_a_device_that_does_not_start() -> None:
    """The runtime's silent fall-back: it says so in a line of its log, and goes on with CPU."""
    runtime = runtimes.AcceleratedRuntime(["CUDA"], nodes={"CPU": 15})
    assert "did not start, CPU computes it" in refused(runtime, contract("CUDA", "CPU", first=True))


@pytest.mark.parametrize("first", [True, False])
def test_a_device_that_computes_no_node_computes_no_model(first: bool) -> None:
    """Tree ensembles have no CUDA kernel: the provider is registered, and does nothing."""
    runtime = runtimes.AcceleratedRuntime(["CUDA"], starting=["CUDA"], nodes={"CPU": 15})
    agreed = contract("CUDA", "CPU", first=first)
    if first:
        assert "CUDA computes no node of this model, CPU does" in refused(runtime, agreed)
    else:
        found = computed(runtime, agreed)
        assert found.provider == "CPU"
        assert "CUDA computes no node" in providers.shortfall(found, agreed)


def test_a_runtime_that_does_not_tell_of_nodes_is_believed_what_it_registered() -> None:
    runtime = runtimes.AcceleratedRuntime(["CUDA"], starting=["CUDA"])
    assert computed(runtime, contract("CUDA", "CPU", first=True)) == ("CUDA", ("CUDA", "CPU"), {})


def test_any_goes_on_with_what_is_there_and_says_so() -> None:
    runtime = runtimes.AcceleratedRuntime([])
    agreed = contract("TensorRT", "CUDA", "CPU")
    found = computed(runtime, agreed)
    assert (found.provider, str(found)) == ("CPU", "CPU")
    assert runtime.asked == [("CPU",)]
    assert providers.shortfall(found, agreed) == (
        "TensorRT is not in this ONNX Runtime or did not start, CPU computes it; TensorRT needs an"
        " image whose ONNX Runtime has it, and its device and driver here"
    )


def test_a_provider_that_fails_makes_room_for_cpu_where_any_will_do() -> None:
    runtime = runtimes.AcceleratedRuntime(["CUDA"], failing=["CUDA"])
    assert computed(runtime, contract("CUDA", "CPU")).provider == "CPU"
    assert runtime.asked == [("CUDA", "CPU"), ("CPU",)]


def test_of_several_that_fail_the_next_is_tried_before_cpu() -> None:
    runtime = runtimes.AcceleratedRuntime(
        ["TensorRT", "CUDA"], starting=["CUDA"], failing=["TensorRT"]
    )
    assert computed(runtime, contract("TensorRT", "CUDA", "CPU")).provider == "CUDA"
    assert runtime.asked == [("TensorRT", "CUDA", "CPU"), ("CUDA", "CPU")]


@pytest.mark.parametrize("agreed", [contract("CUDA", "CPU", first=True), contract("CUDA")])
def test_a_device_that_fails_is_the_nodes_fault_and_not_the_models(
    agreed: contracts.Contract,
) -> None:
    message = refused(runtimes.AcceleratedRuntime(["CUDA"], failing=["CUDA"]), agreed)
    assert "CUDA fails on this node: CUDA failure 100: no CUDA-capable device" in message
    with_model_fault = runtimes.AcceleratedRuntime(["CUDA"], failing=["CUDA", "CPU"])
    with pytest.raises(RuntimeError, match="CUDA failure"):
        computed(with_model_fault, agreed)


def test_cpu_is_no_answer_where_nobody_listed_it() -> None:
    message = refused(runtimes.AcceleratedRuntime([]), contract("CUDA", "TensorRT"))
    assert message.startswith("only CUDA, TensorRT may compute the model")
    started = runtimes.AcceleratedRuntime(["CUDA"])
    assert "CPU computes it" in refused(started, contract("CUDA"))


def test_a_provider_that_nobody_knows_is_not_there() -> None:
    assert computed(runtimes.AcceleratedRuntime([]), contract("NPU", "CPU")).provider == "CPU"
    refused(runtimes.AcceleratedRuntime([]), contract("NPU", first=True))


@given(
    st.permutations(EVERY).flatmap(
        lambda every: st.integers(1, len(every)).map(lambda size: tuple(every[:size]))
    ),
    st.sets(st.sampled_from(EVERY)),
    st.sets(st.sampled_from(EVERY)),
    st.booleans(),
)
def test_what_computes_is_always_allowed_or_refused(
    wanted: Sequence[str], built: set[str], starting: set[str], first: bool
) -> None:
    runtime = runtimes.AcceleratedRuntime(
        sorted(built - {"CPU"}), starting=sorted(starting & built)
    )
    agreed = contract(*wanted, first=first)
    try:
        found = computed(runtime, agreed)
    except refusal.Refused:
        reachable = wanted[:1] if first else wanted
        usable = (built & starting) | {"CPU"}
        assert not set(reachable) <= usable
        return
    assert found.provider in (wanted[:1] if first else wanted)
    assert found.provider == "CPU" or found.provider in starting & built
    assert (providers.shortfall(found, agreed) == "") == (found.provider == wanted[0])


def test_the_refusal_names_what_helps() -> None:
    row = reasons.ServingReason.PROVIDER_MISSING
    for remedy in ("an image", "resources.accelerator", "require: Any"):
        assert remedy in row.remedy
    assert row in reasons.TRANSIENT, "another node, or the device when it is back, may have it"


def test_the_real_runtime_says_what_computes() -> None:
    agreed = contract("CUDA", "CPU")
    loaded = session.load(BODY, agreed)
    assert providers.computed(loaded, agreed) == ("CPU", ("CPU",), {})
    with pytest.raises(refusal.Refused, match="only CUDA is required"):
        session.load(BODY, contract("CUDA", "CPU", first=True))


def test_evidence_of_one_provider_is_none_of_another() -> None:
    prints = {
        agreed.fingerprint()
        for agreed in (
            contract("CPU"),
            contract("CUDA", "CPU"),
            contract("CUDA", "CPU", first=True),
        )
    }
    assert len(prints) == 3
    loaded = session.load(BODY, contract("CPU"))
    shown = trial.Measure(0).evidence(loaded, contract("CPU"), 0.0, is_bounded=True)
    assert shown.provider == "CPU"


def test_the_contract_travels_whole() -> None:
    agreed = contract("CUDA", "CPU", first=True)
    assert contracts.decode(agreed.encode()) == agreed


def test_a_driver_that_reserves_addresses_is_bounded_by_what_it_may_write() -> None:
    plain = limits.bound(512 << 20, is_reserving=providers.is_reserving(("OpenVINO", "CPU")))
    assert plain == (resource.RLIMIT_AS, 512 << 20)
    for name in ("CUDA", "TensorRT", "MIGraphX"):
        limit, most = limits.bound(512 << 20, is_reserving=providers.is_reserving((name, "CPU")))
        assert limit == resource.RLIMIT_DATA
        assert 512 << 20 < most < 24 << 30, "a hostile model is still bounded"


RESERVES_AND_ALLOCATES = """
import mmap
from foreshore_serving import limits
limits.confine(limits.bound(512 << 20, is_reserving=True), 60)
reserved = mmap.mmap(-1, 64 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ)
try:
    bytearray(24 << 30)
except MemoryError:
    print("bounded")
"""


def test_addresses_can_be_reserved_and_a_bomb_is_still_none() -> None:
    run = subprocess.run(
        [sys.executable, "-c", RESERVES_AND_ALLOCATES], capture_output=True, text=True, check=True
    )
    assert run.stdout == "bounded\n"


def test_the_child_is_handed_where_drivers_are_only_where_one_is_wanted() -> None:
    ours = {"LD_LIBRARY_PATH": "/usr/local/cuda/lib64", "LD_PRELOAD": "/evil.so", "SECRET": "x"}
    assert "LD_LIBRARY_PATH" not in supervise.environment(contract("CPU", "CUDA"), ours)
    handed = supervise.environment(contract("CUDA", "CPU"), ours)
    assert handed["LD_LIBRARY_PATH"] == ours["LD_LIBRARY_PATH"]
    assert not {"LD_PRELOAD", "SECRET"} & set(handed)


@pytest.mark.parametrize(
    ("wanted", "seconds"), [(("CUDA", "CPU"), 60.0), (("TensorRT", "CUDA", "CPU"), 600.0)]
)
def test_a_provider_that_compiles_the_model_is_waited_for(
    wanted: tuple[str, ...], seconds: float
) -> None:
    config = onnx_models.config(BODY).model_copy(update={"providers": wanted})
    told = main.contract(config, 1, ServingSettings(model_config=Path("x"), address=None))
    assert told.load_seconds == seconds
    assert told.providers == wanted

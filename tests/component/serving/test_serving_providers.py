"""Execution providers in a real serving process, which has CPU alone."""

import contextlib
import resource

import pytest

from builders import onnx_models, serving_process
from foreshore_api.reasons.serving import ServingReason
from foreshore_api.wire import oip, serving
from foreshore_serving import supervise

pytestmark = pytest.mark.component

BODY = onnx_models.model()


def config(*wanted: str, first: bool = False) -> serving.ModelConfig:
    update = {"providers": wanted, "is_first_required": first}
    return onnx_models.config(BODY).model_copy(update=update)


def test_an_answer_its_metadata_and_the_metrics_name_what_computed_it() -> None:
    with serving_process.serving_process(BODY, config=config("CUDA", "CPU")) as served:
        served.await_ready()
        _, answer = served.infer(1, 2, 3)
        parameters = oip.InferResponse.model_validate(answer).parameters
        assert parameters is not None
        assert parameters.provider == "CPU"
        described = served.request("GET", "/v2/models/occupancy")[1]
        assert oip.ModelMetadata.model_validate(described).provider == "CPU"
        ready = oip.ModelReady.model_validate(
            served.request("GET", "/v2/models/occupancy/ready")[1]
        )
        assert ready.parameters == parameters
        with contextlib.closing(served.connection()) as connection:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        assert 'foreshore_serving_provider_info{provider="CPU"} 1.0' in text
        assert "computed by CPU" in served.log
        assert "warning: CUDA is not in this ONNX Runtime or did not start" in served.log
        assert _address_space(served) < 1 << 30, "nothing was asked that reserves addresses"


def _address_space(served: serving_process.Serving) -> int:
    return resource.prlimit(served.child(), resource.RLIMIT_AS)[0]


def test_nothing_is_warned_of_where_all_is_as_wanted() -> None:
    with serving_process.serving_process(BODY) as served:
        served.await_ready()
        assert "warning" not in served.log


def test_first_is_refused_where_its_provider_is_not() -> None:
    wanted = config("CUDA", "CPU", first=True)
    with serving_process.serving_process(BODY, config=wanted) as served:
        ending = served.await_end()
        assert ending.reason == ServingReason.PROVIDER_MISSING
        assert ending.message.startswith("only CUDA is required, and this ONNX Runtime has CPU; an")
        assert "require: Any" in ending.message
        assert served.process.returncode == supervise.EXIT_TRANSIENT

"""The question to a model as it travels, held to the protocol's document."""

from builders import engine_rig
from foreshore_agent.engine import effects
from foreshore_agent.inference.oip import request
from foreshore_api.wire import oip


def test_a_replica_reads_the_tensors_that_the_engine_meant() -> None:
    tensors = (
        effects.Tensor("x", "FP32", (1, 2), (0.5, 1.0)),
        effects.Tensor("count", "INT64", (1, 1), (2**53 + 1,)),
    )
    asked = effects.Infer("d", engine_rig.POLICY, engine_rig.DEVICE, "occupancy", "", tensors, 0.1)
    read = oip.InferRequest.model_validate_json(request.encode(asked))
    assert read.id == "d"
    assert [(each.name, each.datatype, each.shape, each.data) for each in read.inputs] == [
        tuple(each) for each in tensors
    ]

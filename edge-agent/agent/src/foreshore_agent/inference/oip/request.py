"""The body of an inference call. A test holds it to `wire.oip.InferRequest`."""

import orjson

from foreshore_agent.engine import effects


def encode(asked: effects.Infer) -> bytes:
    """Return the request; its id is the decision's."""
    return orjson.dumps(
        {
            "id": asked.decision_id,
            "inputs": [
                {
                    "name": tensor.name,
                    "datatype": tensor.data_type,
                    "shape": tensor.shape,
                    "data": tensor.data,
                }
                for tensor in asked.tensors
            ],
        }
    )

"""What a child says of model files, as tests of `model inspect` need it."""

from typing import Any

from foreshore_api.wire import inspection

DIGEST = f"sha256:{'0123456789abcdef' * 4}"


def tensor(name: str = "X", data_type: str | None = "FP32", **fields: Any) -> Any:
    """An input or output: FP32 [-1, 3] without arguments."""
    shape = fields.pop("shape", (-1, 3))
    kind = fields.pop("type", "tensor(float)")
    return inspection.InspectedTensor(
        name=name, type=kind, data_type=data_type, shape=shape, **fields
    )


def model(**fields: Any) -> inspection.ModelInspection:
    """A classifier that works: X FP32 [-1, 3] to probabilities FP32 [-1, 2]."""
    inputs = fields.pop("inputs", (tensor(),))
    outputs = fields.pop("outputs", (tensor("probabilities", shape=(-1, 2)),))
    counts = {"input_count": len(inputs), "output_count": len(outputs)}
    return inspection.ModelInspection(
        **{
            "size": 1725,
            "digest": DIGEST,
            "ir_version": 8,
            "producer": "skl2onnx 1.20.0",
            "opsets": (inspection.OperatorSet(domain="", version=17),),
            "inputs": inputs,
            "outputs": outputs,
            **counts,
            **fields,
        }
    )

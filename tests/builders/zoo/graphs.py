"""Graphs by hand, in the few words that those of an exporter need."""

from collections.abc import Sequence
from typing import Any

import onnx
from onnx import helper, numpy_helper

from builders.zoo.exported import Array

FLOAT = onnx.TensorProto.FLOAT
Dimension = int | str
node = helper.make_node


def value(name: str, shape: Sequence[Dimension] | None, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def weight(name: str, array: Array) -> onnx.TensorProto:
    return numpy_helper.from_array(array, name)


def graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Sequence[onnx.TensorProto] = (),
    *,
    producer: str = "pytorch",
    opset: int = 18,
    domains: Sequence[str] = (),
    functions: Sequence[onnx.FunctionProto] = (),
) -> Any:
    """Return a model as an exporter makes it; the operators of other `domains` are of version 1."""
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(name, 1) for name in domains)]
    return helper.make_model(
        helper.make_graph(list(nodes), "main_graph", list(inputs), list(outputs), list(weights)),
        opset_imports=opsets,
        ir_version=10,
        producer_name=producer,
        functions=list(functions),
    )


def body(model: Any) -> bytes:
    """Return the bytes of a model that the standard's own checker accepts."""
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())

"""ONNX models as tests need them: one that classifies, and one for each thing serving must survive.

Every model reads `features` FP32 [-1, 3] and writes `probabilities` FP32 [-1, 2], so that one
declaration fits them all.
"""

from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper, numpy_helper

from foreshore_api.wire import serving
from foreshore_serving import models

INPUT = serving.DeclaredTensor(name="features", data_type="FP32", shape=(-1, 3))
OUTPUT = serving.DeclaredTensor(name="probabilities", data_type="FP32", shape=(-1, 2))

WEIGHTS = helper.make_tensor(
    "weights", TensorProto.FLOAT, [3, 2], [0.1, -0.1, 0.2, -0.2, 0.3, -0.3]
)
CLASSIFY = (
    helper.make_node("MatMul", ["features", "weights"], ["logits"]),
    helper.make_node("Softmax", ["logits"], ["probabilities"]),
)


def config(body: bytes, url: str = "https://nowhere.invalid/m.onnx") -> serving.ModelConfig:
    """Declare a model of these bytes, with a source that cannot answer."""
    return serving.ModelConfig(
        name="occupancy",
        version="occupancy-v1",
        digest=models.digest_of(body),
        source=serving.Source(https=serving.HttpsSource(url=url)),
        inputs=(INPUT,),
        outputs=(OUTPUT,),
    )


def model(
    nodes: Sequence[onnx.NodeProto] = CLASSIFY,
    weights: Sequence[onnx.TensorProto] = (WEIGHTS,),
    domains: Sequence[str] = (),
    functions: Sequence[onnx.FunctionProto] = (),
) -> bytes:
    """Return a model of these nodes; without arguments, the classifier."""
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", 3])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 2])
    graph = helper.make_graph(list(nodes), "test", [features], [probabilities], list(weights))
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(name, 1) for name in domains)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=list(functions))
    return bytes(proto.SerializeToString())


def custom_operator() -> bytes:
    """Return a model with an operator of a vendor."""
    return model(
        [helper.make_node("Oracle", ["features"], ["probabilities"], domain="acme")],
        domains=["acme"],
    )


def custom_operator_in_a_branch() -> bytes:
    """Return a model that hides a vendor's operator in a subgraph."""
    inner = helper.make_node("Oracle", ["logits"], ["inner"], domain="acme")
    branch = helper.make_graph(
        [inner], "branch", [], [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)]
    )
    return model(
        [
            CLASSIFY[0],
            helper.make_node(
                "If", ["flag"], ["probabilities"], then_branch=branch, else_branch=branch
            ),
        ],
        [WEIGHTS, helper.make_tensor("flag", TensorProto.BOOL, [], [True])],
        ["acme"],
    )


def runtime_operator() -> bytes:
    """Return a model with an operator that onnxruntime has and the standard has not."""
    nodes = [
        CLASSIFY[0],
        helper.make_node("QuickGelu", ["logits"], ["probabilities"], domain="com.microsoft"),
    ]
    return model(nodes, domains=["com.microsoft"])


def local_function() -> bytes:
    """Return a model that defines an operator itself."""
    function = helper.make_function(
        "local",
        "Twice",
        ["x"],
        ["y"],
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [helper.make_opsetid("", 17)],
    )
    nodes = [CLASSIFY[0], helper.make_node("Twice", ["logits"], ["probabilities"], domain="local")]
    return model(nodes, domains=["local"], functions=[function])


def external_weights(location: str = "weights.bin") -> bytes:
    """Return the classifier with its weights in another file."""
    return model(weights=[_external(location)])


def external_constant(location: str = "weights.bin") -> bytes:
    """Return the classifier with its weights in another file, as a node's attribute."""
    constant = helper.make_node("Constant", [], ["weights"], value=_external(location))
    return model([constant, *CLASSIFY], [])


def _external(location: str) -> onnx.TensorProto:
    tensor = onnx.TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[3, 2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def endless() -> bytes:
    """Return a model that loops for ever, whatever its input."""
    return _looping(
        helper.make_node("Constant", [], ["trips"], value=_scalar(2**62, TensorProto.INT64))
    )


def endless_on_request() -> bytes:
    """Return a model that loops for as long as its first feature says; zeros end at once."""
    return _looping(*_from_first_feature(1e18, "trips"))


def _looping(*trips: onnx.NodeProto) -> bytes:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["still"]),
            helper.make_node("Softmax", ["carried"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("trip", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    loop = helper.make_node("Loop", ["trips", "going_on", "logits"], ["probabilities"], body=body)
    going = helper.make_tensor("going_on", TensorProto.BOOL, [], [True])
    return model([CLASSIFY[0], *trips, loop], [WEIGHTS, going])


def memory_bomb() -> bytes:
    """Return a model of a few hundred bytes that asks for 24 GB at its first run."""
    return _greedy(
        helper.make_node(
            "Constant", [], ["wanted"], value=_scalar(6_000_000_000, TensorProto.INT64)
        )
    )


def memory_bomb_on_request() -> bytes:
    """Return a model that asks for 24 GB when its first feature is 1; zeros need nothing."""
    return _greedy(*_from_first_feature(6e9, "wanted"))


def _greedy(*wanted: onnx.NodeProto) -> bytes:
    return model(
        [
            *CLASSIFY[:1],
            *wanted,
            helper.make_node("Reshape", ["wanted", "one"], ["length"]),
            helper.make_node("ConstantOfShape", ["length"], ["heap"]),
            helper.make_node("ReduceSum", ["heap"], ["sum"], keepdims=0),
            helper.make_node("Add", ["logits", "sum"], ["probabilities"]),
        ],
        [
            WEIGHTS,
            numpy_helper.from_array(
                onnx.numpy_helper.to_array(_scalar(1, TensorProto.INT64)).reshape(1), "one"
            ),
        ],
    )


def not_a_number() -> bytes:
    """Return a model that divides by the sum of its weights' products: zeros answer NaN."""
    return model([CLASSIFY[0], helper.make_node("Div", ["logits", "logits"], ["probabilities"])])


def _from_first_feature(factor: float, name: str) -> tuple[onnx.NodeProto, ...]:
    return (
        helper.make_node("ReduceMax", ["features"], ["largest"], keepdims=0),
        helper.make_node("Constant", [], ["factor"], value=_scalar(factor, TensorProto.FLOAT)),
        helper.make_node("Mul", ["largest", "factor"], ["product"]),
        helper.make_node("Cast", ["product"], [name], to=TensorProto.INT64),
    )


def _scalar(value: float, kind: int) -> onnx.TensorProto:
    return helper.make_tensor("value", kind, [], [value])

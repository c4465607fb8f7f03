"""Models that no converter writes: what is wrong with each is in its name.

All are variations of the classifier of `onnx_models`, so that they fit its declaration. `REFUSED`
has those that must be refused, with the reason; `HARMLESS` those that are odd and work.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from builders import onnx_models

HUGE = 1 << 40
LONG = 1 << 16


def changed(change: Callable[[onnx.ModelProto], object]) -> bytes:
    """Return the classifier after a change."""
    proto = onnx.load_from_string(onnx_models.model())
    change(proto)
    return bytes(proto.SerializeToString())


def weights(change: Callable[[onnx.TensorProto], object]) -> bytes:
    """Return the classifier after a change of its weights."""
    return changed(lambda proto: change(proto.graph.initializer[0]))


def dimensions(*lengths: int) -> bytes:
    """Return the classifier with weights that claim other lengths than they have data for."""

    def change(tensor: onnx.TensorProto) -> None:
        del tensor.dims[:]
        tensor.dims.extend(lengths)

    return weights(change)


def raw(data: bytes) -> bytes:
    """Return the classifier with these bytes as weights."""

    def change(tensor: onnx.TensorProto) -> None:
        tensor.ClearField("float_data")
        tensor.raw_data = data

    return weights(change)


def inflated(*nodes: onnx.NodeProto, constants: Sequence[onnx.TensorProto] = ()) -> bytes:
    """Return the classifier plus the sum of what nodes make of little, under the name `heap`."""
    return onnx_models.model(
        [
            onnx_models.CLASSIFY[0],
            *nodes,
            helper.make_node("ReduceSum", ["heap"], ["sum"], keepdims=0),
            helper.make_node("Add", ["logits", "sum"], ["probabilities"]),
        ],
        [onnx_models.WEIGHTS, *constants],
    )


def lengths(*values: int, name: str = "lengths") -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def number(value: float = 1.0, name: str = "number") -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([value], np.float32), name)


def doubling(times: int) -> bytes:
    """Return a model that doubles a tensor so many times: each line of the file doubles it."""
    names = ["number", *(f"twice{step}" for step in range(times - 1)), "heap"]
    nodes = [
        helper.make_node("Concat", [before, before], [after], axis=0)
        for before, after in itertools.pairwise(names)
    ]
    return inflated(*nodes, constants=[number()])


def cyclic() -> bytes:
    return onnx_models.model(
        [
            onnx_models.CLASSIFY[0],
            helper.make_node("Add", ["logits", "b"], ["a"]),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("Softmax", ["b"], ["probabilities"]),
        ]
    )


def nested(depth: int) -> bytes:
    """Return a model of branches within branches, written by hand: protobuf nests only so deep."""
    value = helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)
    leaf = helper.make_node("Identity", ["logits"], ["inner"])
    graph = helper.make_graph([leaf], "g", [], [value]).SerializeToString()
    node = onnx.NodeProto(op_type="If", input=["flag"], output=["inner"])
    node.attribute.add(name="else_branch", type=onnx.AttributeProto.GRAPH).g.ParseFromString(graph)
    then = onnx.AttributeProto(name="then_branch", type=onnx.AttributeProto.GRAPH)
    ends = onnx.GraphProto(name="g", output=[value]).SerializeToString()
    for _ in range(depth):
        branch = then.SerializeToString() + _field(_ATTRIBUTE_GRAPH, graph)
        graph = (
            _field(_GRAPH_NODE, node.SerializeToString() + _field(_NODE_ATTRIBUTE, branch)) + ends
        )
    flag = helper.make_tensor("flag", TensorProto.BOOL, [], [True])
    first = onnx.load_from_string(
        onnx_models.model(onnx_models.CLASSIFY[:1], [onnx_models.WEIGHTS, flag])
    )
    last = helper.make_node("Identity", ["inner"], ["probabilities"])
    around = first.graph.SerializeToString() + graph[: -len(ends)]
    around += _field(_GRAPH_NODE, last.SerializeToString())
    first.ClearField("graph")
    return bytes(first.SerializeToString() + _field(_MODEL_GRAPH, around))


_MODEL_GRAPH, _GRAPH_NODE, _NODE_ATTRIBUTE, _ATTRIBUTE_GRAPH = 7, 1, 5, 6
"""Numbers of fields in onnx.proto."""


def _field(number: int, body: bytes) -> bytes:
    """Return a field of protobuf that holds a message."""
    length, head = len(body), bytes([number << 3 | 2])
    while length > 0x7F:
        head += bytes([length & 0x7F | 0x80])
        length >>= 7
    return head + bytes([length]) + body


def trees(**changes: Sequence[int]) -> bytes:
    """Return a classifier of one tree, after changes of its nodes: 0 splits to 1 and 2."""
    attributes: dict[str, Any] = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_values": [0.5, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "nodes_hitrates": [1.0, 1.0, 1.0],
        "nodes_missing_value_tracks_true": [0, 0, 0],
        "class_treeids": [0, 0, 0, 0],
        "class_nodeids": [1, 1, 2, 2],
        "class_ids": [0, 1, 0, 1],
        "class_weights": [0.25, 0.75, 0.5, 0.5],
        "classlabels_int64s": [0, 1],
        "post_transform": "NONE",
        **changes,
    }
    node = helper.make_node(
        "TreeEnsembleClassifier",
        ["features"],
        ["label", "probabilities"],
        domain="ai.onnx.ml",
        **attributes,
    )
    return onnx_models.model([node], [], domains=["ai.onnx.ml"])


def zipped() -> bytes:
    """Return the classifier as converters end it: its probabilities as a list of maps."""
    nodes = [
        onnx_models.CLASSIFY[0],
        helper.make_node("Softmax", ["logits"], ["p"]),
        helper.make_node(
            "ZipMap",
            ["p"],
            ["probabilities"],
            domain="ai.onnx.ml",
            classlabels_strings=["quiet", "busy"],
        ),
    ]
    proto = onnx.load_from_string(onnx_models.model(nodes, domains=["ai.onnx.ml"]))
    value = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    maps = helper.make_map_type_proto(TensorProto.STRING, value)
    proto.graph.output[0].type.CopyFrom(helper.make_sequence_type_proto(maps))
    return bytes(proto.SerializeToString())


def sparse(*dims: int, at: int = 0) -> bytes:
    """Return the classifier with sparse weights of these dimensions, one of them set."""

    def change(proto: onnx.ModelProto) -> None:
        del proto.graph.initializer[:]
        values = numpy_helper.from_array(np.array([1.0], np.float32), "weights")
        indices = numpy_helper.from_array(np.array([at], np.int64), "indices")
        proto.graph.sparse_initializer.append(
            onnx.SparseTensorProto(values=values, indices=indices, dims=dims)
        )

    return changed(change)


def opset(version: int, domain: str = "") -> bytes:
    def change(proto: onnx.ModelProto) -> None:
        if domain:
            proto.opset_import.add(domain=domain, version=version)
        else:
            proto.opset_import[0].version = version

    return changed(change)


def ir_version(version: int) -> bytes:
    return changed(lambda proto: setattr(proto, "ir_version", version))


def training_information() -> bytes:
    return changed(lambda proto: proto.training_info.add().algorithm.node.add(op_type="Relu"))


def gradient() -> bytes:
    return onnx_models.model(
        [
            onnx_models.CLASSIFY[0],
            helper.make_node(
                "Gradient", ["logits"], ["probabilities"], domain="ai.onnx.preview.training"
            ),
        ],
        domains=["ai.onnx.preview.training"],
    )


def training_normalisation() -> bytes:
    """Return a model that normalises by the batch it is asked with: of one sample, to nothing."""
    constants = [
        numpy_helper.from_array(np.ones(2, np.float32), name)
        for name in ("scale", "shift", "mean", "variance")
    ]
    node = helper.make_node(
        "BatchNormalization",
        ["logits", "scale", "shift", "mean", "variance"],
        ["probabilities", "new_mean", "new_variance"],
        training_mode=1,
    )
    return onnx_models.model([onnx_models.CLASSIFY[0], node], [onnx_models.WEIGHTS, *constants])


def training_dropout() -> bytes:
    """Return a model that leaves out half of its numbers by chance."""
    constants = [
        numpy_helper.from_array(np.array(0.5, np.float32), "ratio"),
        numpy_helper.from_array(np.array([True]).reshape(()), "trains"),
    ]
    node = helper.make_node("Dropout", ["logits", "ratio", "trains"], ["probabilities"])
    return onnx_models.model([onnx_models.CLASSIFY[0], node], [onnx_models.WEIGHTS, *constants])


def attribute(count: int) -> bytes:
    """Return a model with one attribute of so many numbers."""
    node = helper.make_node("Softmax", ["logits"], ["probabilities"])
    node.attribute.add(name="axis", type=onnx.AttributeProto.INTS, ints=range(count))
    return onnx_models.model([onnx_models.CLASSIFY[0], node])


def many_nodes(count: int) -> bytes:
    names = ["logits", *(f"n{step}" for step in range(count)), "probabilities"]
    nodes = [
        helper.make_node("Neg", [before], [after]) for before, after in itertools.pairwise(names)
    ]
    return onnx_models.model([onnx_models.CLASSIFY[0], *nodes])


def metadata(text: str, count: int = 1) -> bytes:
    def change(proto: onnx.ModelProto) -> None:
        proto.producer_name = proto.doc_string = proto.graph.doc_string = text
        for place in range(count):
            proto.metadata_props.add(key=f"{place}{text}", value=text)

    return changed(change)


def named(name: str) -> bytes:
    """Return the classifier with other names of its input, nodes and weights."""

    def change(proto: onnx.ModelProto) -> None:
        proto.graph.input[0].name = proto.graph.node[0].input[0] = name
        proto.graph.initializer[0].name = proto.graph.node[0].input[1] = f"w{name}"
        for place, node in enumerate(proto.graph.node):
            node.name = node.doc_string = f"{name}{place}"

    return changed(change)


def many_outputs(count: int) -> bytes:
    """Return a model that gives its numbers under so many names, none of them the declared one."""

    def change(proto: onnx.ModelProto) -> None:
        del proto.graph.output[:]
        for place in range(count):
            value = helper.make_tensor_value_info(f"p{place}", TensorProto.FLOAT, ["n", 2])
            proto.graph.output.append(value)
            proto.graph.node.append(helper.make_node("Identity", ["logits"], [f"p{place}"]))

    return changed(change)


def operator(name: str) -> bytes:
    """Return a model with an operator of such a name."""
    return onnx_models.model(
        [onnx_models.CLASSIFY[0], helper.make_node(name, ["logits"], ["probabilities"])]
    )


def undecodable() -> bytes:
    """Return the classifier with a name of a dimension that is no UTF-8."""
    return WHOLE.replace(b"rows", b"\xffows")


def not_text() -> bytes:
    """Return a model whose text is none."""
    text = onnx.TensorProto(name="t", data_type=TensorProto.STRING, dims=[1, 2])
    text.string_data.extend([b"\xff\xfe", b"\x80"])
    constant = helper.make_node("Constant", [], ["probabilities"], value=text)
    proto = onnx.load_from_string(onnx_models.model([constant], []))
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING
    return bytes(proto.SerializeToString())


def of_operator(kind: str, *inputs: str, constants: Sequence[onnx.TensorProto] = ()) -> bytes:
    """Return a model whose `heap` an operator makes."""
    return inflated(helper.make_node(kind, list(inputs), ["heap"]), constants=constants)


WHOLE = onnx_models.model()

REFUSED: dict[str, tuple[bytes, str]] = {
    "the first half": (WHOLE[: len(WHOLE) // 2], "NotONNX"),
    "all but the last byte": (WHOLE[:-1], "NotONNX"),
    "ten bytes": (WHOLE[:10], "NotONNX"),
    "nothing": (b"", "NotONNX"),
    "a zip archive": (b"PK\x03\x04" + WHOLE, "NotONNX"),
    "a thousand branches within one another": (nested(1000), "NotONNX"),
    "terabytes that are not there": (dimensions(HUGE, 2), "LoadFailed"),
    "lengths whose product overflows": (dimensions(1 << 62, 8), "LoadFailed"),
    "a negative length": (dimensions(-3, 2), "LoadFailed"),
    "a thousand dimensions": (dimensions(*[1] * 1000), "LoadFailed"),
    "fewer bytes than numbers": (raw(b"123"), "LoadFailed"),
    "more bytes than numbers": (raw(bytes(1 << 20)), "LoadFailed"),
    "a constant of terabytes": (
        of_operator("ConstantOfShape", "lengths", constants=[lengths(HUGE)]),
        "WarmUpFailed",
    ),
    "a constant past all numbers": (
        of_operator("ConstantOfShape", "lengths", constants=[lengths(HUGE, HUGE)]),
        "WarmUpFailed",
    ),
    "expanded to terabytes": (
        of_operator("Expand", "number", "lengths", constants=[number(), lengths(HUGE)]),
        "WarmUpFailed",
    ),
    "tiled to terabytes": (
        of_operator("Tile", "number", "lengths", constants=[number(), lengths(1 << 62)]),
        "WarmUpFailed",
    ),
    "padded to terabytes": (
        of_operator("Pad", "number", "lengths", constants=[number(), lengths(HUGE, 0)]),
        "WarmUpFailed",
    ),
    "terabytes of random numbers": (
        inflated(helper.make_node("RandomUniform", [], ["heap"], shape=[HUGE])),
        "WarmUpFailed",
    ),
    "doubled sixty times": (doubling(60), "LoadFailed"),
    "24 GB at its first run": (onnx_models.memory_bomb(), "WarmUpFailed"),
    "a loop without end": (onnx_models.endless(), "LoadTimeout"),
    "a graph in circles": (cyclic(), "LoadFailed"),
    "a tree in circles": (trees(nodes_truenodeids=[0, 0, 0]), "LoadFailed"),
    "a branch to nowhere": (trees(nodes_truenodeids=[99, 0, 0]), "LoadFailed"),
    "a tree of a feature that is not there": (
        trees(nodes_featureids=[1 << 30, 0, 0]),
        "WarmUpFailed",
    ),
    "a class that is not there": (trees(class_ids=[0, 1, 0, 1 << 30]), "LoadFailed"),
    "a class below zero": (trees(class_ids=[0, 1, 0, -5]), "LoadFailed"),
    "sparse weights of terabytes": (sparse(HUGE, 2), "LoadFailed"),
    "sparse weights beyond their end": (sparse(3, 2, at=HUGE), "LoadFailed"),
    "sparse weights before their start": (sparse(3, 2, at=-9), "LoadFailed"),
    "an opset of the future": (opset(99), "LoadFailed"),
    "an opset of the future of classifiers": (opset(99, "ai.onnx.ml"), "LoadFailed"),
    "an opset below all": (opset(-1), "LoadFailed"),
    "an IR version of the future": (ir_version(99), "LoadFailed"),
    "a graph of its training": (training_information(), "TrainingGraph"),
    "a gradient": (gradient(), "UnknownDomain"),
    "normalised by its batch": (training_normalisation(), "TrainingGraph"),
    "numbers dropped by chance": (training_dropout(), "TrainingGraph"),
    "an attribute of a million numbers": (attribute(1_000_000), "LoadFailed"),
    "a node too many": (many_nodes(50_001), "TooManyNodes"),
    "names of 64 KiB": (named("n" * LONG), "SchemaMismatch"),
    "names that move the cursor": (named("\x1b]0;title\x07\n\u202e"), "SchemaMismatch"),
    "an operator that moves the cursor": (operator("\x1b[31m\n"), "LoadFailed"),
    "an operator of 64 KiB": (operator("O" * LONG), "LoadFailed"),
    "two thousand outputs": (many_outputs(2_000), "SchemaMismatch"),
    "a dimension whose name is no text": (undecodable(), "NotONNX"),
    "text for numbers": (not_text(), "SchemaMismatch"),
}
"""By what is wrong: the bytes, and the reason of the refusal."""

HARMLESS: dict[str, bytes] = {
    "thirty branches within one another": nested(30),
    "sparse weights": sparse(3, 2),
    "a tree": trees(),
    "a list of maps": zipped(),
    "megabytes of metadata that move the cursor": metadata("\x1b[2J\n\0" * 1000, 500),
    "ten thousand nodes": many_nodes(10_000),
}

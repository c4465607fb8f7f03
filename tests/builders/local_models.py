"""Models in this process as tests need them: real ones in the runtime, and ones that obey."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import onnx
from onnx import helper

from foreshore_agent.engine import effects
from foreshore_agent.inference.local import port, session
from foreshore_api.wire import serving
from foreshore_serving import contract as contracts
from foreshore_serving import evidence, models, trial
from foreshore_serving import session as sessions

OUTPUTS = port.RunOutputs({"probabilities": (0.2, 0.8)}, 1e-5)


def identity(data_type: int) -> bytes:
    """Return a model that answers its input, of any element type, one row of any length."""
    tensors = [helper.make_tensor_value_info(name, data_type, ["n"]) for name in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "identity", tensors[:1], tensors[1:]
    )
    opsets = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def one_hot() -> bytes:
    """Return a model of text that was trained with `idle` and `running`, and takes nothing else."""
    tensors = [
        helper.make_tensor_value_info("x", onnx.TensorProto.STRING, ["n"]),
        helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 2]),
    ]
    trained: dict[str, Any] = {"cats_strings": ["idle", "running"], "zeros": 0}
    node = helper.make_node("OneHotEncoder", ["x"], ["y"], domain="ai.onnx.ml", **trained)
    graph = helper.make_graph([node], "oneHot", tensors[:1], tensors[1:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def one_hot_config() -> serving.ModelConfig:
    """Declare that model."""
    output = serving.DeclaredTensor(name="y", data_type="FP32", shape=(-1, 2))
    return config(one_hot(), "BYTES").model_copy(update={"outputs": (output,)})


def config(body: bytes, data_type: str = "FP32") -> serving.ModelConfig:
    """Declare a model from `x` to `y`."""
    declared = [
        serving.DeclaredTensor(name=name, data_type=data_type, shape=(-1,)) for name in ("x", "y")
    ]
    return serving.ModelConfig(
        name="identity",
        version="identity-v1",
        digest=models.digest_of(body),
        source=serving.Source(https=serving.HttpsSource(url="https://nowhere.invalid/m.onnx")),
        inputs=(declared[0],),
        outputs=(declared[1],),
    )


def contract(body: bytes, declared: serving.ModelConfig) -> contracts.Contract:
    """Return what a child is handed of a model."""
    return contracts.Contract(
        name=declared.name,
        version=declared.version,
        digest=declared.digest,
        inputs=contracts.specs(declared.inputs),
        outputs=contracts.specs(declared.outputs),
        model_bytes=len(body),
        memory_bytes=0,
        load_seconds=0,
        stall_seconds=0,
        maximum_body_bytes=0,
        providers=declared.providers,
        is_first_required=declared.is_first_required,
    )


def tried(body: bytes, declared: serving.ModelConfig) -> evidence.TrialEvidence:
    """Return what a trial of a model shows, without the child."""
    agreed = contract(body, declared)
    loaded = sessions.load(body, agreed)
    seconds = sessions.warm_up(loaded, agreed)
    return trial.Measure(0).evidence(loaded, agreed, seconds, is_bounded=True)


def loaded(body: bytes, declared: serving.ModelConfig) -> session.AgentSession:
    """Return a model that was tried and is in this process."""
    return session.load(body, declared, tried(body, declared))


class ObedientModel:
    """A model that answers as it is told; in its thread it waits until it may, or must, end."""

    def __init__(self, result: port.RunOutputs | port.RunFailure = OUTPUTS) -> None:
        self.result = result
        self.calls = 0
        self.may_end = threading.Event()
        self.ended = threading.Event()
        """Set once a call was told to end before its time."""

    def run(self, given: Sequence[effects.Tensor]) -> port.RunOutputs | port.RunFailure:
        del given
        self.calls += 1
        return self.result

    def endable(self, given: Sequence[effects.Tensor]) -> "ObedientRun":
        return ObedientRun(lambda: self.run(given), self)


class ObedientRun:
    """One call of it in a thread."""

    def __init__(
        self, run: Callable[[], port.RunOutputs | port.RunFailure], model: ObedientModel
    ) -> None:
        self._run = run
        self._model = model

    def run(self) -> port.RunOutputs | port.RunFailure:
        result = self._run()
        self._model.may_end.wait(30)
        return result

    def end(self) -> None:
        self._model.ended.set()
        self._model.may_end.set()

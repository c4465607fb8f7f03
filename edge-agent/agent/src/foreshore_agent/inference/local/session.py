"""One model in the runtime, in the agent's process, with the checks of the inference server.

Imported by `hosting` when a model is to be loaded, never before: it brings NumPy and the runtime,
50 MB. What is checked and how an output becomes numbers is `foreshore_serving.tensors`'s, so that a
model answers the same here and over the protocol; the numbers take the way through JSON for that
too, in which a 32-bit 0.1 is 0.1 (1 µs).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson
import pydantic

from foreshore_agent.engine import effects
from foreshore_agent.inference.local import port
from foreshore_api.reasons import inference as reasons
from foreshore_api.wire import oip, serving
from foreshore_serving import advice, evidence, providers, refusal, tensors, trial
from foreshore_serving import contract as contracts
from foreshore_serving import session as sessions

_ELEMENTS: Final = pydantic.TypeAdapter(tuple[oip.Element, ...])


def load(body: bytes, config: serving.ModelConfig, shown: evidence.TrialEvidence) -> "AgentSession":
    """Load a model and run it on the inputs of its trial. For a thread: it takes a while.

    The providers of the version hold here too; it is for `foreshore_decision.assignment` to see to
    it that CPU is the first of them.

    Raises:
        port.StaleEvidenceError, port.OutputsDifferError: it has to be tried anew.
        port.NotLoadedError: the runtime refuses here what it took in the child.
    """
    contract = contracts.Contract(
        name=config.name,
        version=config.version,
        digest=config.digest,
        inputs=contracts.specs(config.inputs),
        outputs=contracts.specs(config.outputs),
        model_bytes=len(body),
        memory_bytes=0,  # the bounds are the child's
        load_seconds=0.0,
        stall_seconds=0.0,
        maximum_body_bytes=0,
        providers=config.providers,
        is_first_required=config.is_first_required,
    )
    if (shown.contract, shown.runtime) != (contract.fingerprint(), sessions.runtime().name):
        raise port.StaleEvidenceError
    try:
        loaded = sessions.load(body, contract)
        sessions.warm_up(loaded, contract)
        answers = trial.answers(loaded, contract)
    except (refusal.Refused, MemoryError) as error:
        raise port.NotLoadedError(str(error) or type(error).__name__) from error
    provider = providers.computed(loaded, contract).provider
    if (answers, provider) != (shown.answers, shown.provider):
        raise port.OutputsDifferError
    return AgentSession(loaded, contract, provider)


class AgentSession:
    """A loaded model; a `port.LoadedModel`."""

    def __init__(self, session: Any, contract: contracts.Contract, provider: str) -> None:
        """Take a session; `provider` is the execution provider that computes it."""
        self._session: Final = session
        self._provider: Final = provider
        self._inputs: Final = {spec.name: spec for spec in contract.inputs}
        self._outputs: Final = contract.outputs
        self._names: Final = [spec.name for spec in contract.outputs]

    def run(self, given: Sequence[effects.Tensor]) -> port.RunOutputs | port.RunFailure:
        """Run it here and now."""
        return self._run(given, self._session.run)

    def endable(self, given: Sequence[effects.Tensor]) -> "SessionRun":
        """Prepare a call that can be ended."""
        return SessionRun(self, given)

    def run_with(
        self, given: Sequence[effects.Tensor], options: Any
    ) -> port.RunOutputs | port.RunFailure:
        """Run it with options of the runtime's for this call."""
        return self._run(given, lambda names, feeds: self._session.run(names, feeds, options))

    def _run(
        self, given: Sequence[effects.Tensor], run: Callable[[list[str], Mapping[str, Any]], Any]
    ) -> port.RunOutputs | port.RunFailure:
        began = time.perf_counter()
        try:
            feeds = self._feeds(given)
            began = time.perf_counter()
            arrays = run(self._names, feeds)
            seconds = time.perf_counter() - began
            outputs = {
                spec.name: _elements(tensors.given(spec, array))
                for spec, array in zip(self._outputs, arrays, strict=True)
            }
        except refusal.Rejected as rejected:
            return _failure(rejected, began)
        except pydantic.ValidationError:
            return port.RunFailure(reasons.MALFORMED_ANSWER, time.perf_counter() - began)
        except Exception as error:  # noqa: BLE001 - the runtime's share no base class
            return _failure(advice.rejected(error), began)
        return port.RunOutputs(outputs, seconds, self._provider)

    def _feeds(self, given: Sequence[effects.Tensor]) -> dict[str, tensors.Array]:
        """Return the inputs as arrays. Raises Rejected, with the faults of the server."""
        if len(given) != len(self._inputs):
            names = ", ".join(tensor.name for tensor in given)
            raise refusal.Rejected(refusal.Fault.MISSING_INPUT, f"only {names} are given")
        feeds: dict[str, tensors.Array] = {}
        for tensor in given:
            spec = self._inputs.get(tensor.name)
            if spec is None:
                raise refusal.Rejected(refusal.Fault.UNKNOWN_INPUT, tensor.name)
            if tensor.data_type != spec.data_type:
                raise refusal.Rejected(refusal.Fault.WRONG_TYPE, tensor.name)
            feeds[tensor.name] = tensors.fed(tensor.data, tensor.shape, spec)
        return feeds


class SessionRun:
    """One call with options of its own, by which another thread ends it; a `port.EndableRun`."""

    def __init__(self, session: AgentSession, given: Sequence[effects.Tensor]) -> None:
        self._session: Final = session
        self._given: Final = given
        self._options: Final = sessions.runtime().library.RunOptions()

    def run(self) -> port.RunOutputs | port.RunFailure:
        """Run the model."""
        return self._session.run_with(self._given, self._options)

    def end(self) -> None:
        """Have it end at its next operator, also within a loop."""
        self._options.terminate = True


def _failure(rejected: refusal.Rejected, began: float) -> port.RunFailure:
    is_wrong = rejected.status == 400  # as `oip.answer` takes it
    seconds = time.perf_counter() - began
    return port.RunFailure(str(rejected.fault), seconds, is_request_wrong=is_wrong)


def _elements(flat: tensors.Array) -> tuple[float | int | bool | str, ...]:
    """Return elements as they would arrive over the protocol. Raises ValidationError.

    Of finite floats nothing is left to check.
    """
    written = orjson.dumps(tensors.plain(flat), option=orjson.OPT_SERIALIZE_NUMPY)
    return (
        tuple(orjson.loads(written)) if flat.dtype.kind == "f" else _ELEMENTS.validate_json(written)
    )

"""What came of asking the model, in a record: which question, and the outputs that were used.

An answer serves another policy only if that policy asks the same: the same version, as long, with
the same numbers (`question` is the fingerprint of that). The attempts and what answered stand in
the record for people, exactly, and are not repeated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from functools import lru_cache
from typing import Annotated, Any, Final

import pydantic

from foreshore_api.reasons import decision as reasons
from foreshore_api.wire import record as wire
from foreshore_decision import served
from foreshore_decision.chain.facts import Answer
from foreshore_decision.policy import compiled
from foreshore_decision.record.layout import POLICIES
from foreshore_decision.record.plain import (
    Known,
    MissingFactError,
    fingerprint,
    number,
    plain,
    typed,
)

Json = Mapping[str, Any]
Number = float | int | bool | str

WHOLE: Final = 64
"""Numbers of a tensor that are kept as a whole; of a longer one those that the policy reads."""
LENGTH: Final = Annotated[int, pydantic.Field(ge=0, le=1 << 30)]


class SparseTensor(Sequence[Number]):
    """A long tensor of which the record knows the numbers that were read."""

    def __init__(self, name: str, length: int, numbers: Mapping[int, Number]) -> None:
        self._name: Final = name
        self._length: Final = length
        self._numbers: Final = numbers

    def __len__(self) -> int:
        """Return how many numbers the model answered."""
        return self._length

    def __getitem__(self, index: Any) -> Any:
        """Return a number. Raises MissingFactError for one that was not read."""
        if index not in self._numbers:
            raise MissingFactError(f"number {index} of the output {self._name}")
        return self._numbers[index]


def question(asked: compiled.Inference, measured: Mapping[str, float | None]) -> str:
    """Return the fingerprint of what a model is asked: of whom, how long, and the numbers."""
    numbers = [measured.get(name) for tensor in asked.tensors for name in tensor.features]
    return fingerprint(_form(asked), numbers)


@lru_cache(maxsize=POLICIES)
def _form(asked: compiled.Inference) -> str:
    """Return the fingerprint of what no question of a policy changes."""
    tensors = [astuple(tensor) for tensor in asked.tensors]
    return fingerprint(*asked.asked, asked.timeout, tensors)


@lru_cache(maxsize=POLICIES)
def _used(asked: compiled.Inference) -> Mapping[str, Sequence[int]]:
    """Return which numbers of each tensor a policy reads."""
    used: dict[str, list[int]] = {}
    for output in asked.outputs:
        used.setdefault(output.tensor, []).append(output.index)
    return used


def encode(
    asked: compiled.Inference, answer: Answer, measured: Mapping[str, float | None]
) -> dict[str, Any]:
    """Return an answer; `measured` is the numbers that the model was asked with, and others."""
    line: dict[str, Any] = {"question": question(asked, measured)}
    if answer.problem is not None:
        line["problem"] = answer.problem
    if answer.detail is not None:
        line["detail"] = answer.detail
    if answer.model is not None:
        line["isNamed"] = True
    if answer.problem is None:
        line["outputs"] = {
            name: _tensor(answer.outputs.get(name), indices)
            for name, indices in _used(asked).items()
        }
    return line


def decode(line: Json, recorded: Json) -> Answer:
    """Return the answer that a line of a record's facts says."""
    outputs = {name: _numbers(name, written) for name, written in line.get("outputs", {}).items()}
    attempts, problem = recorded["inference"]["attempts"], line.get("problem")
    return Answer(
        outputs=Known("output", outputs),
        attempts=tuple(wire.Attempt.model_validate(attempt) for attempt in attempts),
        problem=None if problem is None else reasons.TABLE[typed(str, problem)],
        detail=typed(str | None, line.get("detail")),
        model=typed(served.Served, recorded["model"]) if line.get("isNamed") else None,
        provider=typed(str | None, recorded["inference"].get("provider")),
    )


def _tensor(data: Sequence[Number] | None, used: Sequence[int]) -> Any:
    """Return a tensor's numbers; of a long one those that the policy reads."""
    if data is None or len(data) <= WHOLE:
        return data if data is None else [plain(value) for value in data]
    numbers = [[index, plain(data[index])] for index in used if index < len(data)]
    return {"length": len(data), "numbers": numbers}


def _numbers(name: str, written: Any) -> Sequence[Number] | None:
    if written is None or isinstance(written, list):
        return None if written is None else tuple(map(number, written))
    numbers = {int(index): number(value) for index, value in written["numbers"]}
    return SparseTensor(name, typed(LENGTH, written["length"]), numbers)

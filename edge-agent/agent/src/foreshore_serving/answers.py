"""Rows of a recording put to a loaded model one by one, and what the answers were together.

Called by `inspector`. Each row is asked as a decision would ask: one sample, or the last `steps` of
them. What comes back is plain data in the form of `foreshore_api.wire.inspection.RowAnswers`.
"""

import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from foreshore_serving import advice, tensors, tentative
from foreshore_serving import contract as contracts
from foreshore_serving.refusal import Rejected

ELEMENTS: Final = 16
VALUES: Final = 16
"""Bounds of `wire.inspection`, which a test compares."""
DISTINCT: Final = 1024
"""Different values of one element that are counted."""
CHARACTERS: Final = 256
SENTENCE: Final = 1024

Row = Sequence[Sequence[object]]
"""Values of each input, flat."""


class AskingPlan(NamedTuple):
    """How rows are asked."""

    steps: int | None
    """Rows that make a window. None: each is asked by itself."""
    shown: int
    """Rows whose answers are kept."""
    deadline: float
    """CPU seconds of this process after which no row is begun."""


class RowQuestion:
    """Turns rows into the arrays of a model's inputs."""

    def __init__(self, inputs: Iterable[contracts.TensorSpec], steps: int | None) -> None:
        """Prepare; `steps` is how many rows make a window, None where there is none."""
        self._inputs: Final = tuple(inputs)
        self._rows: Final[deque[Row]] = deque(maxlen=steps or 1)

    def arrays(self, row: Row) -> dict[str, tensors.Array] | None:
        """Return the arrays of a row by input; None until a window is full. Raises Rejected."""
        self._rows.append(row)
        if len(self._rows) < (self._rows.maxlen or 1):
            return None
        return {
            spec.name: self._array(spec, position) for position, spec in enumerate(self._inputs)
        }

    def _array(self, spec: contracts.TensorSpec, position: int) -> tensors.Array:
        is_window = len(spec.shape) > 2 and spec.shape[1] == self._rows.maxlen
        rows = self._rows if is_window else [self._rows[-1]]
        flat = [value for row in rows for value in row[position]]
        shape = tensors.smallest(spec.shape)
        if shape and spec.shape[-1] < 0:
            shape[-1] = len(self._rows[-1][position])
        return tensors.fed(flat, shape, spec)


class ElementTally:
    """What one element of an output was over all rows."""

    def __init__(self) -> None:
        self._count = 0
        self._total = 0.0
        self._range: tuple[float, float] | None = None
        self._values: Final[Counter[str]] = Counter()

    def add(self, value: object) -> None:
        """Count an element."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            self._count += 1
            self._total += value
            low, high = self._range or (value, value)
            self._range = min(low, value), max(high, value)
        if not isinstance(value, float):
            text = str(value)[:CHARACTERS]
            if text in self._values or len(self._values) < DISTINCT:
                self._values[text] += 1

    def summary(self) -> dict[str, Any]:
        """Return the fields of an ElementSummary."""
        fields: dict[str, Any] = {
            "values": dict(self._values.most_common(VALUES)),
            "valueCount": len(self._values),
        }
        if self._range is not None:
            low, high = self._range
            mean = min(max(self._total / self._count, low), high)
            fields |= {"minimum": float(low), "mean": float(mean), "maximum": float(high)}
        return fields


class RowsTally:
    """What the answers to all rows were."""

    def __init__(self, names: Sequence[str], shown: int) -> None:
        """Prepare for outputs of these names; the answers of `shown` rows are kept."""
        self._names: Final = list(names)
        self._shown: Final = shown
        self._examples: Final[list[dict[str, Any]]] = []
        self._tallies: Final[dict[tuple[str, int], ElementTally]] = {}
        self._asked = 0
        self._failures = 0
        self._failure = ""
        self.unasked = 0
        """Rows for which there was no time."""

    def add(self, number: int, outputs: list[list[object]]) -> None:
        """Count the answer to a row."""
        self._asked += 1
        if len(self._examples) < self._shown:
            self._examples.append({"row": number, "outputs": outputs})
        for name, values in zip(self._names, outputs, strict=True):
            for index, value in enumerate(values):
                self._tallies.setdefault((name, index), ElementTally()).add(value)

    def fail(self, message: str) -> None:
        """Count a row without an answer; the first says why."""
        self._failures += 1
        self._failure = self._failure or message[:SENTENCE]

    def document(self) -> dict[str, Any]:
        """Return the RowAnswers."""
        return {
            "asked": self._asked,
            "failed": self._failures,
            "failure": self._failure,
            "unasked": self.unasked,
            "outputs": self._names,
            "examples": self._examples,
            "summaries": [
                {"output": name, "index": index, **tally.summary()}
                for (name, index), tally in self._tallies.items()
            ],
        }


def ask(model: tentative.TentativeModel, rows: Sequence[Row], plan: AskingPlan) -> dict[str, Any]:
    """Put rows to a model; return the RowAnswers. Raises MemoryError."""
    question = RowQuestion(model.contract.inputs, plan.steps)
    names = [spec.name for spec in model.contract.outputs]
    tally = RowsTally(names, plan.shown)
    for number, row in enumerate(rows):
        if time.process_time() > plan.deadline:
            tally.unasked = len(rows) - number
            break
        try:
            feeds = question.arrays(row)
            if feeds is not None:
                arrays = model.session.run(names, feeds)
                tally.add(number, _elements(model.contract, arrays))
        except MemoryError:
            raise
        except Rejected as rejected:
            tally.fail(rejected.message)
        except Exception as error:  # noqa: BLE001 - the runtime's share no base class; it is counted
            why = advice.of_error(error)
            tally.fail(f"{why.cause}; {why.remedy}" if why.remedy else why.cause)
    return tally.document()


def _elements(contract: contracts.Contract, arrays: Sequence[tensors.Array]) -> list[list[object]]:
    """Return the first elements of each output. Raises Rejected."""
    return [
        list(tensors.given(spec, array)[:ELEMENTS].tolist())
        for spec, array in zip(contract.outputs, arrays, strict=True)
    ]

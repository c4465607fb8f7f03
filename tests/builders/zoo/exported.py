"""What the zoo keeps of a model: how it was exported, its declaration, and the true answers.

The declaration is what a person would write into a Model for the file as it came out of the
exporter. The answers are those of the library that trained it, never of the ONNX Runtime.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from builders import room
from foreshore_api import declared, v1alpha1
from foreshore_api.wire import serving

Array = npt.NDArray[Any]
Json = dict[str, Any]
FEATURES = ("light", "co2", "temperature")


class Declared(NamedTuple):
    """A tensor as a Model declares it; an input also says what fills it."""

    name: str
    data_type: str
    shape: tuple[int, ...]
    features: tuple[str, ...] = ()
    window: tuple[int, str] | None = None
    """Steps, and the distance of two of them."""

    def document(self) -> Json:
        """Return it as a Model writes it."""
        document: Json = {"name": self.name, "dataType": self.data_type}
        if self.shape:
            document["shape"] = list(self.shape)
        if self.features:
            document["features"] = list(self.features)
        if self.window is not None:
            steps, every = self.window
            document["window"] = {"steps": steps, "every": every}
        return document


class Question(NamedTuple):
    """What the model is asked, and what the library that trained it answers."""

    feeds: Mapping[str, Array]
    answers: Mapping[str, Array]
    measured: Mapping[str, Array] | None = None
    """What was measured, by input; None: what the model is asked, nothing is prepared."""


class Exported(NamedTuple):
    """A file as its exporter wrote it; without questions where it cannot be asked."""

    body: bytes
    questions: tuple[Question, ...] = ()


class Refusal(NamedTuple):
    """Why a file is not served, and words of the remedy that its author reads."""

    reason: str
    remedy: str


class Entry(NamedTuple):
    """One export."""

    name: str
    what: str
    export: str
    """The call that writes the file, as its author would type it."""
    make: Callable[[], Exported]
    inputs: tuple[Declared, ...]
    outputs: tuple[Declared, ...]
    change: str = ""
    """What has to be declared or changed beside the names and shapes that the file has."""
    refused: Refusal | None = None
    preprocessing: tuple[Json, ...] = ()
    """What training did outside the model, as a Model declares it."""
    tolerance: float = 1e-5
    """How far numbers may be from the library's, for one as large as 1."""

    def __str__(self) -> str:
        return self.name

    def document(self) -> Json:
        """Return the Model that declares it, as it is written."""
        spec: Json = {
            "inputs": [tensor.document() for tensor in self.inputs],
            "outputs": [tensor.document() for tensor in self.outputs],
        }
        if self.preprocessing:
            spec["preprocessing"] = list(self.preprocessing)
        return room.resource("Model", "hq", self.name, spec)

    def model(self) -> v1alpha1.Model:
        """Return that Model."""
        return v1alpha1.Model.model_validate(self.document())

    def config(self, body: bytes) -> serving.ModelConfig:
        """Return what serving is told of the file; the file is found by its digest."""
        return serving.ModelConfig(
            name=self.name,
            version=f"{self.name}-v1",
            digest=f"sha256:{hashlib.sha256(body).hexdigest()}",
            source=serving.Source(https=serving.HttpsSource(url="https://nowhere.invalid/")),
            inputs=declared.inputs(self.model().spec),
            outputs=declared.outputs(self.model().spec),
        )


def matrix(name: str, data_type: str = "FP32", batch: int = -1) -> Declared:
    """Declare an input of one row of the three features."""
    return Declared(name, data_type, (batch, 3), FEATURES)


def asked_by_row(
    name: str, rows: Array, answer: Callable[[Array], Mapping[str, Array]]
) -> tuple[Question, ...]:
    """Return a question for each row [1, features] of a matrix; `answer` takes the matrix."""
    answers = {key: np.asarray(values) for key, values in answer(rows).items()}
    return tuple(
        Question(
            {name: rows[at : at + 1]},
            {key: values[at : at + 1] for key, values in answers.items()},
        )
        for at in range(len(rows))
    )

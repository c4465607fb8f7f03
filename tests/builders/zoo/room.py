"""A room whose policy asks a model of the zoo, and the recording of its questions.

The recording holds every question as readings, a row each or a row a step of its window; the policy
reads one element of every output.
"""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import yaml

from builders import room
from builders.zoo.exported import Array, Declared, Entry, Exported, Json, Question

START: Final = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
PAUSE: Final = timedelta(minutes=1)
"""Between two questions: longer than a window bears."""
TYPES: Final = {"BYTES": "String", "BOOL": "Boolean", "INT64": "Integer"}
"""Type of a property, by the type of the tensor that it fills; the others are numbers."""


def write(entry: Entry, made: Exported, folder: Path) -> None:
    """Write the resources and the file of a model into a folder, and its questions."""
    (folder / "room.yaml").write_text(yaml.safe_dump_all(documents(entry, made)))
    (folder / "model.onnx").write_bytes(made.body)
    (folder / "recording.csv").write_text(recording(entry, made))


def documents(entry: Entry, made: Exported) -> list[Json]:
    """Return the resources of the room, of which one is the Model."""
    version = room.changed(
        room.version(name=f"{entry.name}-v1"),
        spec__modelRef={"name": entry.name},
        spec__source={"file": {"path": "model.onnx"}},
        spec__digest=entry.config(made.body).digest,
    )
    return [
        room.site(),
        profile(entry),
        room.device(),
        entry.document(),
        version,
        policy(entry, made),
    ]


def profile(entry: Entry) -> Json:
    """Return a device class that measures what the model takes."""
    measured = [{"name": name, "type": _type(entry, name)} for name in _features(entry)]
    airflow = room.profile()["spec"]["properties"][-1]
    return room.changed(room.profile(), spec__properties=[*measured, airflow])


def policy(entry: Entry, made: Exported) -> Json:
    """Return a policy that permits whatever the model answers, and records it."""
    names = _features(entry)
    outputs = [
        {"name": f"answer{number}", "output": declared.name, "index": index}
        for number, (declared, index) in enumerate(_read(entry, made))
    ]
    inputs = [
        {"name": name, "property": name, "type": _type(entry, name), "maximumAge": "90s"}
        for name in names
    ]
    rule = {
        "name": "always",
        "effect": "Permit",
        "expression": f"{names[0]} > -1e6",
        "reason": "Asked",
    }
    return room.changed(
        room.policy(),
        spec__mode="Shadow",
        spec__modelRef={"version": f"{entry.name}-v1"},
        spec__trigger={"properties": [names[0]]},
        spec__inputs=inputs,
        spec__inference={"outputs": outputs},
        spec__rules=[rule],
        spec__action__input=[{"name": "value", "expression": "300.0"}],
        spec__record={"routineSampleRate": "1"},
    )


def _read(entry: Entry, made: Exported) -> list[tuple[Declared, int]]:
    """Return each output and the element of it that the policy reads: the last."""
    answers = made.questions[0].answers
    return [(declared, answers[declared.name].size - 1) for declared in entry.outputs]


def expected(entry: Entry, made: Exported) -> list[dict[str, Array]]:
    """Return what the records of the decisions hold of the outputs, by the policy's names."""
    return [
        {
            f"answer{number}": question.answers[declared.name].ravel()[index]
            for number, (declared, index) in enumerate(_read(entry, made))
        }
        for question in made.questions
    ]


def recording(entry: Entry, made: Exported) -> str:
    """Return the questions as a recording with a column for each feature."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["time", *_features(entry)])
    at = START
    for question in made.questions:
        for cells in _rows(entry, question):
            writer.writerow([at.isoformat(), *cells])
            at += timedelta(seconds=1)
        at += PAUSE
    return written.getvalue()


def _rows(entry: Entry, question: Question) -> Iterator[list[str]]:
    columns: list[list[str]] = []
    for declared in entry.inputs:
        measured = question.feeds if question.measured is None else question.measured
        samples = np.asarray(measured[declared.name]).reshape(-1, len(declared.features))
        columns += [[_cell(value) for value in column] for column in samples.T]
    yield from map(list, zip(*columns, strict=True))


def _cell(value: object) -> str:
    """Return a value as a logger writes it; a number with all its digits."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    return value if isinstance(value, str) else repr(float(str(value)))


def _features(entry: Entry) -> list[str]:
    return [name for declared in entry.inputs for name in declared.features]


def _type(entry: Entry, name: str) -> str:
    """Return the type of the property that fills a column."""
    if any(name == done["name"] and "categories" in done for done in entry.preprocessing):
        return "String"
    (kind,) = (declared.data_type for declared in entry.inputs if name in declared.features)
    return TYPES.get(kind, "Number")

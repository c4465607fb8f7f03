"""Ask a limited child what a model file is: `foreshore_serving.inspection`. Called by `verb`.

The file is a stranger's: nothing of it is parsed in this process, and what the child says is read
as a bounded document.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pydantic

from foreshore_agent.hosting import children
from foreshore_api.wire import inspection

MAXIMUM_BYTES: Final = 256 << 20
"""As a ModelConfig allows by default."""
MEMORY_BYTES: Final = 512 << 20
"""Address space beyond four times the file's size, as `foreshore-serving` allows by default."""
ROW_BYTES: Final = 256
VALUE_BYTES: Final = 64
"""Address space for rows of a recording, beside the model's, as the child keeps them."""
SECONDS: Final = 60.0
"""CPU time, as `foreshore-serving` allows by default for loading and warm-up."""

_FOLDERS: Final = (
    ("saved_model.pb", "a TensorFlow SavedModel: python -m tf2onnx.convert --saved-model {} …"),
    ("MLmodel", "an MLflow model: load it with mlflow and export what it holds to ONNX"),
    ("config.json", "a Hugging Face model: optimum-cli export onnx --model {} OUT"),
)
"""Files by which folders of models are known, and what exports them."""

Row = Sequence[Sequence[object]]
"""Values of each input of the model, flat."""


class ExamineError(Exception):
    """There is nothing to look into; the text says why, and what would help."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What is asked of a child beside what the file is."""

    seconds: float = SECONDS
    steps: int | None = None
    """Samples of a window, where the file leaves it free."""
    rows: Sequence[Row] = ()
    """Rows that the model is asked with."""
    shown: int = 0
    """Rows whose answers are shown."""

    def order(self) -> bytes:
        """Return what the child is told (`foreshore_serving.inspector.InspectionOrder`)."""
        inputs = self.rows[0] if self.rows else ()
        per_row = ROW_BYTES * (1 + len(inputs)) + VALUE_BYTES * sum(map(len, inputs))
        fields = {
            "maximum_bytes": MAXIMUM_BYTES,
            "memory_bytes": MEMORY_BYTES + per_row * len(self.rows),
            "seconds": self.seconds,
            "steps": self.steps,
            "shown": self.shown,
            "rows": self.rows,
        }
        return json.dumps(fields).encode()


def examine(path: Path, asked: Examination) -> inspection.ModelInspection:
    """Return what a file is and does; ends within the seconds that are given, and some for waiting.

    Raises:
        ExamineError: it cannot be read, or whoever was asked gave no answer.
    """
    _check(path)
    command = (sys.executable, "-m", "foreshore_serving.inspection", str(os.getpid()), str(path))
    done = subprocess.run(
        command, input=asked.order(), capture_output=True, env=children.environment(), check=False
    )
    try:
        if done.returncode != 0:
            raise ExamineError(_last_line(done.stderr) or f"it ended with {done.returncode}")
        return inspection.ModelInspection.decode(done.stdout)
    except pydantic.ValidationError as error:
        raise ExamineError(f"{path}: what the child says of it cannot be read: {error}") from error


def _check(path: Path) -> None:
    """Refuse what is no file. Raises ExamineError."""
    if path.is_dir():
        raise ExamineError(f"{path} is {_folder(path)}")
    if not path.exists():
        raise ExamineError(f"{path} is not there{_neighbours(path)}")


def _folder(path: Path) -> str:
    for name, meaning in _FOLDERS:
        if (path / name).exists():
            return meaning.format(path)
    return f"a folder: name the files in it, as in {path / '*.onnx'}"


def _neighbours(path: Path) -> str:
    try:
        names = sorted(file.name for file in path.parent.glob("*.onnx"))[:5]
    except OSError:
        return ""
    return f"; there are {', '.join(names)}" if names else ""


def _last_line(stderr: bytes) -> str:
    lines = stderr[-4096:].decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("foreshore-serving: ") if lines else ""

"""The zoo for people: which export is served, and what its author has to declare or change.

`python tests/builders/zoo` writes the page (`make generate`); a test holds both together.
"""

import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from builders.zoo import catalogue
from builders.zoo.catalogue import House
from builders.zoo.exported import Declared, Entry

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "examples" / "models" / "README.md"

HEAD: Final = """\
# examples/models/: what exporters write, and what of it is served

<!-- Written by `make generate` from tests/builders/zoo: change it there. -->

Every row is a file that the tests make, serve and ask over the Open Inference Protocol; what comes
back equals what the original library says of the same readings. Look at a file of your own with
`foreshore-agent model inspect FILE.onnx`; `--write FOLDER` writes its Model and ModelVersion.

Names, types and shapes are declared as they stand in the file: -1 is a free dimension, no shape a
scalar. A policy gives what it reads of the outputs names of its own
(`inference.outputs: [{name: score, output: output_probability, index: 1}]`); `index` counts from 0
through the whole tensor, probabilities in the order of the class labels, which scikit-learn keeps
in `model.classes_`. Outputs that are not declared do no harm.
"""
COLUMNS: Final = ("model", "export", "inputs", "outputs", "served", "what to declare or change")


def page() -> str:
    """Return the whole page."""
    versions = _versions()
    return "\n".join([HEAD, *(_section(house, versions) for house in catalogue.HOUSES)])


def _section(house: House, versions: Mapping[str, str]) -> str:
    tried = ", ".join(f"{package} {versions[package]}" for package in house.packages)
    made = f"{house.made} ({tried})" if tried else house.made
    lines = [f"## {house.title}", "", f"{made[0].upper()}{made[1:]}.", ""]
    return "\n".join([*lines, *_rows(house.entries), ""])


def _rows(entries: tuple[Entry, ...]) -> Iterator[str]:
    yield _row(*COLUMNS)
    yield _row(*("---" for _ in COLUMNS))
    for entry in entries:
        yield _row(
            entry.what,
            f"`{entry.export}`",
            _tensors(entry.inputs),
            _tensors(entry.outputs),
            "yes" if entry.refused is None else f"no: `{entry.refused.reason}`",
            entry.change or "—",
        )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _tensors(declared: tuple[Declared, ...]) -> str:
    """Return tensors, of many the first and the last."""
    shown = [_tensor(tensor) for tensor in declared]
    return ", ".join(shown if len(shown) <= 4 else [*shown[:2], "…", shown[-1]])


def _tensor(declared: Declared) -> str:
    shape = f" {list(declared.shape)}" if declared.shape else ""
    return f"`{declared.name}` {declared.data_type}{shape}"


def _versions() -> Mapping[str, str]:
    """Return the locked versions of each package; some are locked by the version of Python."""
    versions: dict[str, list[str]] = defaultdict(list)
    for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]:
        versions[package["name"]].append(package.get("version", ""))
    return {name: " or ".join(locked) for name, locked in versions.items()}

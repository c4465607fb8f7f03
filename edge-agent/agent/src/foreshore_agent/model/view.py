"""What `model inspect` says of files, for a person: one file on a page, several in a table.

Called by `verb`. Names and texts come from the files: all are made fit for a terminal here.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Final

from rich import box, console, table, text

from foreshore_agent.model import document, draft, recorded, suitability
from foreshore_api import printable
from foreshore_api.wire import inspection

WIDTH: Final = 160
"""Columns where the output is no terminal."""
SUSPICIOUS: Final = 20
"""Rows with one and the same answer that are said to be odd."""
_LONGEST: Final = 500
_LONGEST_CELL: Final = 40
"""Characters of a name in the table of several files."""
_LABELS: Final = 12
_UNITS: Final = ("B", "kB", "MB", "GB")


class ModelView:
    """Renders on a terminal, or as plain text."""

    def __init__(self, *, is_terminal: bool, width: int | None = None) -> None:
        """Prepare; `width` is the terminal's own by default."""
        self._file: Final = io.StringIO()
        self._console: Final = console.Console(
            file=self._file,
            force_terminal=is_terminal,
            width=width if is_terminal else WIDTH,
            highlight=False,
            emoji=False,
            markup=False,
        )

    def page(self, file: document.InspectedFile) -> str:
        """Return all that is to be said of one file."""
        inspected, verdict = file.inspected, file.verdict
        self._print(f"{_clean(file.file)}: {_verdict(verdict)}", style=_style(verdict))
        for name, value in _facts(inspected):
            self._print(f"  {name:<10} {_clean(value)}")
        if inspected.inputs or inspected.outputs:
            self._console.print(_tensors(inspected))
        self._labels(inspected.outputs)
        for note in verdict.notes:
            self._print(f"note: {_clean(note)}")
        self._hindrances(verdict.hindrances)
        if file.asked is not None:
            self._answers(file.asked, inspected)
        return self._text()

    def summary(self, files: Sequence[document.InspectedFile]) -> str:
        """Return several files as a table, and below what has to change in which."""
        shown = table.Table(box=box.SIMPLE_HEAD)
        for name in ("file", "size", "written by", "inputs", "outputs", "supported"):
            shown.add_column(name, overflow="fold", no_wrap=name == "file")
        names = short_names([file.file for file in files])
        for file, name in zip(files, names, strict=True):
            reasons = ", ".join(dict.fromkeys(str(row.reason) for row in file.verdict.hindrances))
            shown.add_row(
                _clean(name),
                size_text(file.inspected.size),
                _clean(file.inspected.producer)[:_LONGEST_CELL],
                _clean(_brief(file.inspected.inputs, file.inspected.input_count)),
                _clean(_brief(file.inspected.outputs, file.inspected.output_count)),
                "yes" if file.verdict.is_supported else f"no: {reasons}",
            )
        self._console.print(shown)
        for file in files:
            if not file.verdict.is_supported:
                self._print(_clean(file.file), style="bold")
                self._hindrances(file.verdict.hindrances)
        return self._text()

    def _print(self, line: str, style: str = "") -> None:
        self._console.print(text.Text(line, style=style), soft_wrap=True)

    def _text(self) -> str:
        lines = (line.rstrip() for line in self._file.getvalue().splitlines())
        return "".join(f"{line}\n" for line in lines)

    def _labels(self, outputs: Sequence[inspection.InspectedTensor]) -> None:
        for tensor in outputs:
            if tensor.labels:
                shown = suitability.labels_text(tensor, _LABELS)
                self._print(_clean(f"classes of {tensor.name} by index: {shown}"))

    def _hindrances(self, hindrances: Sequence[suitability.Hindrance]) -> None:
        for hindrance in hindrances:
            self._print(f"{hindrance.reason}: {_clean(hindrance.message)}", style="red")
            if hindrance.remedy:
                self._print(f"  to change: {_clean(hindrance.remedy)}")
            for line in hindrance.lines:
                self._print(f"    {_line(line)}")

    def _answers(self, asked: recorded.AskedRows, inspected: inspection.ModelInspection) -> None:
        answers = inspected.answers
        if answers is None:
            self._print(f"recording: no answer to its {len(asked.rows)} rows came back")
            return
        for line in _asked(asked, answers):
            self._print(_clean(line))
        labels = _labels_by_output(inspected)
        if answers.examples:
            self._console.print(_examples(asked, answers, labels))
        for line in _summaries(answers, labels):
            self._print(_clean(line))


def short_names(paths: Sequence[str]) -> list[str]:
    """Return the names of files, where no two of them are alike; else their paths."""
    names = [PurePath(path).name for path in paths]
    return names if len(set(names)) == len(names) else list(paths)


def size_text(size: int) -> str:
    """Return a number of bytes for a person: `1.7 kB`."""
    number, unit = float(size), 0
    while number >= 1000 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.0f} {_UNITS[unit]}" if unit == 0 else f"{number:.1f} {_UNITS[unit]}"


def _verdict(verdict: suitability.Suitability) -> str:
    if verdict.is_supported:
        return "supported"
    return "not supported as it is: " + ", ".join(
        dict.fromkeys(str(hindrance.reason) for hindrance in verdict.hindrances)
    )


def _style(verdict: suitability.Suitability) -> str:
    return "bold green" if verdict.is_supported else "bold red"


def _facts(inspected: inspection.ModelInspection) -> Iterator[tuple[str, str]]:
    yield "size", f"{inspected.size} bytes"
    if inspected.digest:
        yield "digest", inspected.digest
    if not inspected.ir_version:
        return
    yield "format", f"ONNX, IR version {inspected.ir_version}"
    yield "written by", inspected.producer or "a program that does not say its name"
    opsets = {row.domain or "ai.onnx": row.version for row in inspected.opsets}
    versions = ", ".join(f"{domain} {version}" for domain, version in opsets.items())
    loaded = f": {inspected.runtime} takes them" if inspected.runtime else ""
    yield "opsets", versions + loaded
    yield "operators", f"{inspected.nodes}, with {inspected.parameters} parameters"
    if inspected.providers:
        yield "providers", f"{', '.join(inspected.providers)} here"
    measured = inspected.measured
    if measured is not None:
        seconds = draft.duration_text(measured.usual_seconds)
        memory = size_text(measured.session_bytes)
        runtime = size_text(measured.runtime_bytes)
        yield (
            "one run",
            f"{seconds}; {memory} of memory beside the runtime's {runtime}, on this machine",
        )


def _tensors(inspected: inspection.ModelInspection) -> table.Table:
    shown = table.Table(box=box.SIMPLE_HEAD)
    for name in ("", "name", "type", "shape"):
        shown.add_column(name, overflow="fold")
    for what, tensors, count in (
        ("input", inspected.inputs, inspected.input_count),
        ("output", inspected.outputs, inspected.output_count),
    ):
        for tensor in tensors:
            kind = tensor.data_type or tensor.type
            shape = suitability.shape_text(tensor.shape)
            shown.add_row(what, _clean(tensor.name), _clean(kind), _clean(shape))
        if count > len(tensors):
            shown.add_row(what, f"and {count - len(tensors)} more", "", "")
    return shown


def _brief(tensors: Sequence[inspection.InspectedTensor], count: int) -> str:
    shown = [
        f"{tensor.name[:_LONGEST_CELL]} {tensor.data_type or tensor.type}"
        f" {suitability.shape_text(tensor.shape)}"
        for tensor in tensors[:3]
    ]
    return ", ".join(shown) + (f" and {count - len(shown)} more" if count > len(shown) else "")


def _asked(asked: recorded.AskedRows, answers: inspection.RowAnswers) -> Iterator[str]:
    for note in asked.notes:
        yield f"recording: {note}"
    cut = f"; only the first {len(asked.rows)} are looked at (--limit)" if asked.is_cut else ""
    if asked.steps is None:
        yield f"asked with {answers.asked} of {asked.total} rows{cut}"
    else:
        yield (
            f"asked with {answers.asked} windows of {asked.steps} rows that follow each other, of"
            f" {asked.total} rows{cut}; a device's samples come by --window's distance"
        )
    if asked.skipped:
        yield f"rows left out: {asked.skipped}; the first: {asked.first_skipped}"
    if answers.failed:
        yield f"rows without an answer: {answers.failed}: {answers.failure}"
    if answers.unasked:
        yield f"rows not asked, the time was over: {answers.unasked} (--load-seconds)"


def _labels_by_output(
    inspected: inspection.ModelInspection,
) -> Mapping[str, Sequence[int | str]]:
    return {tensor.name: tensor.labels for tensor in inspected.outputs}


def _examples(
    asked: recorded.AskedRows,
    answers: inspection.RowAnswers,
    labels: Mapping[str, Sequence[int | str]],
) -> table.Table:
    shown = table.Table(box=box.SIMPLE_HEAD)
    shown.add_column("line", justify="right")
    for name in (*asked.features, *answers.outputs):
        shown.add_column(_clean(name), overflow="fold")
    for answer in answers.examples:
        cells = [str(asked.lines[answer.row])]
        cells += [value_text(value) for value in asked.values[answer.row]]
        for name, elements in zip(answers.outputs, answer.outputs, strict=True):
            cells.append(", ".join(_elements(elements, labels.get(name, ()))))
        shown.add_row(*map(_clean, cells))
    return shown


def _elements(elements: Sequence[object], labels: Sequence[int | str]) -> Iterator[str]:
    """Yield elements of an output, each with its class where it has one."""
    for index, element in enumerate(elements):
        label = f"{labels[index]}: " if index < len(labels) and len(labels) > 1 else ""
        yield f"{label}{value_text(element)}"


def value_text(value: object) -> str:
    """Return a value for a person: four digits that count, of a number with decimals."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _summaries(
    answers: inspection.RowAnswers, labels: Mapping[str, Sequence[int | str]]
) -> Iterator[str]:
    for row in answers.summaries:
        classes = labels.get(row.output, ())
        label = f" ({classes[row.index]})" if row.index < len(classes) else ""
        parts = []
        if row.values:
            counts = [f"{value} {count}×" for value, count in row.values.items()]
            more = row.value_count - len(counts)
            parts.append(", ".join(counts) + (f" and {more} other values" if more > 0 else ""))
        elif row.minimum is not None and row.mean is not None and row.maximum is not None:
            parts.append(
                f"{value_text(row.minimum)} to {value_text(row.maximum)},"
                f" mean {value_text(row.mean)}"
            )
        yield f"{row.output}[{row.index}]{label}: {'; '.join(parts)}"
    if answers.asked >= SUSPICIOUS and any(row.value_count == 1 for row in answers.summaries):
        yield (
            "every row got the same answer: are the features in the order, the units and the scale"
            " of training?"
        )


def _line(value: object) -> str:
    """Fit for a terminal, with its blanks: a line to copy."""
    return printable.line(value, _LONGEST)


def _clean(value: object) -> str:
    """Fit for a terminal: files name tensors as they like."""
    return printable.clean(value, _LONGEST)

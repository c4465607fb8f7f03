"""The windows of samples in a record: how full they were, and with level Full what they held.

    samples    of the column that has the fewest; `seconds` are missing, after a `gap`
    digest     fingerprint of the rows, to the last bit, where the window was full
    rows       with level Full, as far as the record has room: the values of each step, oldest first

A model is asked with a window of the same declaration only: `judged` is the fingerprint of that, of
what is read and of what decides whether it is believed. The digest tells whether an answer is one
to the same question; rows are for people, and for who trains the next model.
"""

from collections.abc import Mapping
from typing import Any

from foreshore_decision import samples
from foreshore_decision.policy import compiled
from foreshore_decision.record import layout
from foreshore_decision.record.plain import Known, fingerprint, plain, typed

Json = Mapping[str, Any]


def encode(
    asked: compiled.Inference, seen: Mapping[str, samples.SampledWindow]
) -> dict[str, dict[str, Any]]:
    """Return how full each window of samples was, without its rows."""
    lines: dict[str, dict[str, Any]] = {}
    for tensor, window in asked.sampled:
        held = seen[tensor.name]
        line: dict[str, Any] = {
            "steps": window.steps,
            "every": window.every,
            "features": list(tensor.features),
            "judged": judged(tensor, window),
            "samples": held.samples,
        }
        if held.is_full:
            line["digest"] = samples.fingerprint(held)
        else:
            line |= {"seconds": held.seconds, "column": held.column}
            if held.gap:
                line["gap"] = held.gap
        lines[tensor.name] = line
    return lines


def rows(window: samples.SampledWindow) -> list[list[Any]]:
    """Return the rows of a full window as data."""
    return [[plain(value) for value in row] for row in window.rows]


def decode(document: Json, policy: compiled.CompiledPolicy) -> Known[samples.SampledWindow]:
    """Return the windows of samples that a record knows, of those that a policy's model takes."""
    lines = document.get("samples", {})
    recalled: dict[str, samples.SampledWindow | None] = {}
    for tensor, window in policy.sampled:
        line = lines.get(tensor.name)
        if line is not None and line["judged"] == judged(tensor, window):
            recalled[tensor.name] = _window(line, window, len(tensor.features))
    return Known("window of samples", recalled)


def judged(tensor: compiled.InputTensor, window: compiled.SampledInputs) -> str:
    """Return the fingerprint of what a window of samples is made of."""
    sources = tuple(layout.judged(source) for source in window.sources)
    return fingerprint(tensor.features, window.steps, window.every, sources)


def _window(line: Json, window: compiled.SampledInputs, width: int) -> samples.SampledWindow:
    """Return what a line says. Raises ValueError where no window is like that."""
    count, column = typed(int, line["samples"]), typed(int, line.get("column", 0))
    seconds, digest = typed(float, line.get("seconds", 0.0)), typed(str, line.get("digest", ""))
    is_full = seconds == 0.0
    if not (0 <= count <= window.steps and 0 <= column < width and is_full is bool(digest)):
        message = f"{count} samples of {window.steps}, {digest or 'no digest'}: no such window"
        raise ValueError(message)
    gap = typed(float, line.get("gap", 0.0))
    return samples.SampledWindow(count, column, seconds, digest=digest, gap=gap)

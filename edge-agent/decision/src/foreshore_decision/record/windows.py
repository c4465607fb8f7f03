"""The windows of features in a record: how they were filled, and with level Full what they hold.

A window is asked again by another feature only where it would hold the same: values that are judged
alike (`judged` is the fingerprint of that), over the same seconds or fewer. Where only the measured
number is known, it serves the same aggregate over the same seconds; anything else is missing.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic.alias_generators import to_camel

from foreshore_api.v1alpha1.actuation import RecordLevel
from foreshore_api.wire import record as wire
from foreshore_decision import features, samples
from foreshore_decision.chain.facts import Given, MeasuredFeature
from foreshore_decision.policy import compiled
from foreshore_decision.record import layout, sampled
from foreshore_decision.record.plain import Known, number, plain, typed

Json = Mapping[str, Any]

WINDOW_BYTES: Final = 48 << 10
"""Panes of one record at most: windows beyond it are left out and named under `cut`."""
ENVELOPE_BYTES: Final = 4096
"""Room for the envelope around a record's data."""
WINDOWS, SAMPLES = "windows", "samples"
VALUES: Final[Mapping[str, str]] = {WINDOWS: "panes", SAMPLES: "rows"}
"""Parts of facts that hold windows, and the key of what each window holds; room is given in this
order."""
OWN: Final = frozenset(map(to_camel, features.Window._fields)) - {"panes"}
"""What a window knows of itself beside its values."""


def encode(given: Given, windows: Iterable[layout.WindowLine]) -> dict[str, dict[str, Any]]:
    """Return the window of each feature that has one, without its panes."""
    lines: dict[str, dict[str, Any]] = {}
    for feature, fixed in windows:
        window = _window(given, feature)
        lines[feature.name] = {
            **plain(window._replace(panes=()) if window.panes else window),
            **fixed,
            "values": features.count(window, given.seconds),
        }
    return lines


def add_panes(
    document: dict[str, Any],
    given: Given,
    seen: Mapping[str, samples.SampledWindow],
    shown: Json,
) -> None:
    """Add what the windows hold, in the order of the features, as far as the record has room.

    Windows of samples, `seen`, come after them. `shown` is the rest of the record's data: it goes
    first.
    """
    if given.policy.record_level is not RecordLevel.FULL:
        return
    room = wire.MAXIMUM_BYTES - ENVELOPE_BYTES - _size(shown) - _size(document)
    room = min(room, WINDOW_BYTES)
    cut: list[str] = []
    for name, part, values in (*_panes(given), *_rows(seen)):
        size = _size(values)
        if size > room:
            cut.append(name)
            continue
        room -= size
        document[part][name][VALUES[part]] = values
    if cut:
        document["cut"] = cut


def _panes(given: Given) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield the panes of each feature's window, under its name."""
    for feature in given.policy.features:
        if feature.seconds:
            panes = _window(given, feature).panes
            yield feature.name, WINDOWS, [_pane(pane) for pane in panes]


def _rows(seen: Mapping[str, samples.SampledWindow]) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield the rows of each window of samples that is full, under its tensor's name."""
    for name, window in seen.items():
        if window.rows:
            yield name, SAMPLES, sampled.rows(window)


def without_excess(document: Json, shown: Json) -> Json:
    """Return facts without the values for which the record has no room, the last window's first."""
    excess = _size(shown) + _size(document) + ENVELOPE_BYTES - wire.MAXIMUM_BYTES
    if excess <= 0:
        return document
    kept, cut = dict(document), list(document.get("cut", ()))
    for part in (SAMPLES, WINDOWS):
        values = VALUES[part]
        lines = dict(document.get(part, {}))
        for name, line in reversed(lines.items()):
            if excess > 0 and values in line:
                excess -= _size(line[values])
                lines[name] = {key: value for key, value in line.items() if key != values}
                cut.append(name)
        if lines:
            kept[part] = lines
    return {**kept, "cut": cut}


def decode(
    document: Json, shown: Mapping[str, samples.Sample | None], policy: compiled.CompiledPolicy
) -> tuple[Known[features.Window], dict[str, MeasuredFeature]]:
    """Return the windows that a record knows, and what was measured where it knows only this.

    `shown` is the measured features as the record shows them.
    """
    sources = {source.name: source for source in policy.inputs}
    recalled: dict[str, features.Window | None] = {}
    measured: dict[str, MeasuredFeature] = {}
    for feature in policy.features:
        if not feature.seconds:
            continue
        alike = {
            name: line
            for name, line in document.get("windows", {}).items()
            if line["judged"] == layout.judged(sources[feature.input])
        }
        whole = (_covering(line, feature) for line in alike.values())
        window = next((candidate for candidate in whole if candidate is not None), None)
        if window is not None:
            recalled[feature.name] = window
            continue
        wanted = (feature.seconds, feature.aggregate.value)
        for name, line in alike.items():
            if (line["seconds"], line["aggregate"]) == wanted and name in shown:
                recalled[feature.name] = _bare(line)
                measured[feature.name] = MeasuredFeature(
                    typed(float | None, shown[name]), typed(int, line["values"])
                )
    return Known("window of", recalled), measured


def _window(given: Given, feature: compiled.Feature) -> features.Window:
    return given.windows.get(feature.name) or features.Window(feature.seconds)


def _pane(pane: features.Pane) -> list[Any]:
    """Return a pane: of a single value its moment and the value, else every field in order."""
    is_single = pane == features.single(pane.start, pane.value)
    return [pane.start, pane.value] if is_single else [plain(field) for field in pane]


def _bare(line: Json) -> features.Window:
    """Return a window without its panes."""
    own = {key: value for key, value in line.items() if key in OWN}
    window: features.Window = typed(features.Window, own)
    return window


def _covering(line: Json, feature: compiled.Feature) -> features.Window | None:
    """Return a feature's window, where one that was recorded holds what it would hold.

    A longer one does while its values stand alone: values that were summed up cannot be told apart.
    """
    if "panes" not in line or line["seconds"] < feature.seconds:
        return None
    panes = tuple(map(_pane_of, line["panes"]))
    is_longer = line["seconds"] > feature.seconds
    if is_longer and any(pane.start != pane.end for pane in panes):
        return None
    return _bare(line)._replace(seconds=feature.seconds, panes=panes)


def _pane_of(written: Any) -> features.Pane:
    """Return the pane that was written. Raises ValueError for one that no values make."""
    numbers = [number(value) for value in written]
    if len(numbers) == 2:
        return features.single(*numbers)
    start, end, size, *moments = numbers
    pane = features.Pane(start, end, int(size), *moments)
    if pane.size < 1 or pane.time2 < 0 or pane.value2 < 0:
        raise ValueError(f"{written} is no pane")
    return pane


def _size(document: Any) -> int:
    """Return the bytes that a document takes as JSON."""
    return len(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())

"""Telemetry in: what is new, what came twice or too late, and what it adds to windows.

Devices' clocks cannot be compared with ours, so their timestamps only tell order, and how far two
samples lie apart: a value with the stamp of the newest is a duplicate, one with an older stamp is
late. What a device says only when it changes is no duplicate where it is another value: a clock of
whole seconds stamps both alike. And where such a word comes late and contradicts, nobody knows
whether it was under way for long or the clock was set back, and the device will not say it again:
then neither counts, nor does a word that cannot be read leave the one before it. A device whose
clock was set back would be late for ever; so once nothing was accepted for `RESET_SECONDS`, its
stamps start anew. A single stamp from the future is accepted and does not become the newest. Ages
count from receipt, on a clock that never steps.

What the broker had kept is taken for properties whose last word that is, and only where no live
word stands: after a start, a gap in the connection, a new subscription. It is news then, and
triggers what a live value would trigger: what was known before was void. Its age is that of the
device's own time, against our wall clock: it is good enough to refuse what is a day old, and there
is nothing better. It enters no window, proves no command, and says nothing of whether the device is
there. A broker answers a subscription with what it has kept before it delivers what is published
afterwards, so that a kept word never follows a newer live one but after a subscription without a
gap, where the live one stands.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeVar

from foreshore_agent.engine import events, presence
from foreshore_agent.engine.events import Key
from foreshore_agent.engine.state import Binding, DeviceState, Stamp
from foreshore_api.reasons import decision
from foreshore_api.reasons import telemetry as reasons
from foreshore_decision import expr, features, samples
from foreshore_decision.chain import facts, readings
from foreshore_decision.policy import compiled

T = TypeVar("T")

RESET_SECONDS: Final = 60.0
LEAP: Final = timedelta(seconds=5)
"""How far a stamp may run ahead of the one before and the time since."""
SMOOTHING: Final = 0.2
"""Weight of the newest distance in a device's usual period."""


class TakenSample(NamedTuple):
    """What became of a sample: the device with it, the properties that are new, and the result."""

    device: DeviceState
    properties: frozenset[str]
    result: str


def take(device: DeviceState, sample: events.Sample, seconds: float) -> TakenSample:
    """Take a sample in, at an engine time; the result is the best of any of its properties."""
    seconds -= sample.waited
    results = _places(device, sample, seconds)
    fresh = frozenset(name for name, result in results.items() if result == reasons.ACCEPTED)
    refused = _refused(device, sample, seconds) if sample.refused else sample.refused
    if refused and _is_old(sample, results):
        refused = {name: refused[name] for name in refused.keys() & device.kept}
    doubted = _doubted(device, sample, results, seconds)
    refused = {**doubted, **refused} if doubted else refused
    changed = fresh.union(refused) if refused else fresh
    if not changed:
        return TakenSample(device, frozenset(), _without_news(sample, results))
    device = _read(device, sample, fresh, refused, seconds)
    if not sample.retained:
        device = _heard(device, fresh, seconds)
    is_news = fresh or len(refused) > len(doubted)
    return TakenSample(device, changed, reasons.ACCEPTED if is_news else reasons.LATE)


def _read(
    device: DeviceState,
    sample: events.Sample,
    fresh: frozenset[str],
    refused: Mapping[str, str],
    seconds: float,
) -> DeviceState:
    """Return a device with the new readings of a sample, and the times by which others are old.

    Where a word that is said once was dropped, or cannot be read, nobody knows what was said last:
    nothing stands in for it.
    """
    read, stamps = dict(device.readings), dict(device.stamps)
    for name in fresh:
        value, stamp = sample.values[name], sample.sampled_at.get(name)
        if sample.retained:
            received = _received(sample, stamp, seconds)
            read[name] = facts.Reading(value, received, is_live=False)
            if stamp is not None and received is not None:
                stamps[name] = Stamp(stamp, received)
            continue
        before = read.get(name)
        apart = _apart(before, stamps.get(name), stamp, seconds)
        rate = readings.rate_of(value, apart, before)
        read[name] = facts.Reading(value, seconds, None, rate)
        if stamp is not None:
            stamps[name] = _stamp(stamps.get(name), stamp, seconds)
    for name, problem in refused.items():
        read[name] = facts.Reading(None, seconds, problem, is_live=not sample.retained)
    lost = device.kept.intersection(refused)
    if lost:
        device = presence.unbelieved(device, lost)
    return device._replace(readings=read, stamps=stamps)


def _apart(
    before: facts.Reading | None, last: Stamp | None, stamp: datetime | None, seconds: float
) -> float:
    """Return the seconds between a value and the one before it; 0 where nothing tells.

    By the device's own times, which know of no queue and no batch, if they go forward; but no clock
    runs away from ours unless it is at fault.
    """
    if before is None or before.received is None:
        return 0.0
    received = seconds - before.received
    if last is None or stamp is None:
        return received
    sampled = (stamp - (last.ahead or last.sampled)).total_seconds()
    is_plausible = received <= 0 or sampled <= received + LEAP.total_seconds()
    return sampled if sampled > 0 and is_plausible else received


def _heard(device: DeviceState, fresh: frozenset[str], seconds: float) -> DeviceState:
    """Note that a device spoke just now, and what it adds to windows."""
    return device._replace(
        heard=seconds,
        period=_period(device, seconds),
        bindings=_widened(device.bindings, device.readings, fresh, seconds),
    )


def _refused(device: DeviceState, sample: events.Sample, seconds: float) -> Mapping[str, str]:
    """Return the properties of which a sample says nothing good, and why.

    Not where a live word stands against a kept one, not where the device is gone whose word the
    broker had kept, and not of what was said before a gap.
    """
    if not (sample.retained or device.voids):
        return sample.refused
    return {
        name: problem
        for name, problem in sample.refused.items()
        if not presence.is_before_gap(device, name, seconds)
        and not (sample.retained and (_is_live(device, name) or _is_outlived(device, name)))
    }


def _doubted(
    device: DeviceState, sample: events.Sample, results: Mapping[str, str], seconds: float
) -> Mapping[str, str]:
    """Return the properties whose last word a late one contradicts, which is said only once.

    Not where both came in one moment, as a batch that is written newest first.
    """
    if sample.retained or reasons.LATE not in results.values():
        return {}
    return {
        name: reasons.LATE
        for name, result in results.items()
        if result == reasons.LATE
        and name in device.kept
        and not presence.is_before_gap(device, name, seconds)
        and _contradicts(device, name, sample.values[name], seconds)
    }


def _contradicts(device: DeviceState, name: str, value: expr.Value, seconds: float) -> bool:
    reading = device.readings.get(name)
    if reading is None or reading.problem is not None:
        return False
    return reading.value != value and reading.received is not None and seconds > reading.received


def _received(sample: events.Sample, stamp: datetime | None, seconds: float) -> float | None:
    """Return the engine seconds at which a kept word was said, by the device's own time.

    None where it has none, or one of the future.
    """
    if stamp is None or stamp - sample.at.now > LEAP:
        return None
    return seconds - max(0.0, (sample.at.now - stamp).total_seconds())


def elsewhere(sample: events.Sample) -> events.Sample:
    """Return a sample as devices take it whose policies read its device: by the names there."""
    device = sample.device.name
    return sample._replace(
        values=_renamed(device, sample.values),
        refused=_renamed(device, sample.refused),
        sampled_at=_renamed(device, sample.sampled_at),
    )


def _renamed(device: str, named: Mapping[str, T]) -> dict[str, T]:
    return {compiled.name_elsewhere(device, name): value for name, value in named.items()}


def read_elsewhere(
    reader: DeviceState,
    source: DeviceState,
    sample: events.Sample,
    properties: frozenset[str],
    seconds: float,
) -> DeviceState:
    """Take what is new of another device in for a device whose policies read it.

    Its values enter their windows as they enter its own; what is said once and could not be read
    leaves no last good value.
    """
    bad = {name for name in properties if source.readings[name].problem is not None}
    lost = compiled.names_elsewhere(source.key.name, source.kept & bad)
    if lost:
        reader = presence.unbelieved(reader, lost)
    fresh = compiled.names_elsewhere(source.key.name, properties - bad)
    if sample.retained or not fresh:
        return reader
    read = _renamed(source.key.name, {name: source.readings[name] for name in properties})
    bindings = _widened(reader.bindings, read, fresh, seconds - sample.waited)
    return reader if bindings is reader.bindings else reader._replace(bindings=bindings)


def interrupted(device: DeviceState, seconds: float) -> DeviceState:
    """Begin a gap of the device's windows at an engine time: nothing of it was heard from there."""
    if not any(binding.windows for binding in device.bindings.values()):
        return device
    bindings = {
        key: binding._replace(
            windows={
                name: features.interrupt(window, seconds)
                for name, window in binding.windows.items()
            }
        )
        for key, binding in device.bindings.items()
    }
    return device._replace(bindings=bindings)


def newest_stamp(sample: events.Sample, properties: frozenset[str]) -> datetime | None:
    """Return the device's newest time of these properties."""
    return max(
        (sample.sampled_at[name] for name in properties if name in sample.sampled_at), default=None
    )


def _places(device: DeviceState, sample: events.Sample, seconds: float) -> Mapping[str, str]:
    """Say of each value whether it is new.

    All are, where nothing says otherwise: no time of the device's, no copy, no gap. That is how
    most devices speak.
    """
    if not (sample.sampled_at or sample.redelivered or sample.retained or device.voids):
        return dict.fromkeys(sample.values, reasons.ACCEPTED)
    return {
        name: _place(device, sample, name, value, seconds) for name, value in sample.values.items()
    }


def _place(
    device: DeviceState, sample: events.Sample, name: str, value: expr.Value, seconds: float
) -> str:
    """Say whether one value is new.

    Where the last word is void, the device's word is news also if it is the same as before.
    """
    if presence.is_before_gap(device, name, seconds):
        return reasons.LATE
    if sample.retained:
        return _place_kept(device, sample, name, value)
    before = device.stamps.get(name)
    stamp = sample.sampled_at.get(name)
    if stamp is None or before is None:
        reading = device.readings.get(name)
        is_same = reading is not None and reading.value == value
        return reasons.DUPLICATE if sample.redelivered and is_same else reasons.ACCEPTED
    if stamp in (before.ahead, before.sampled) and _is_another_word(device, name, value):
        return reasons.ACCEPTED
    if stamp == before.ahead:
        return reasons.DUPLICATE
    if seconds - before.received > RESET_SECONDS or stamp > before.sampled:
        return reasons.ACCEPTED
    return reasons.DUPLICATE if stamp == before.sampled else reasons.LATE


def _place_kept(device: DeviceState, sample: events.Sample, name: str, value: expr.Value) -> str:
    """Say whether one value that the broker had kept is new: never where a live word stands.

    Nor where the device is gone, or went while this agent listened: what it has said since would
    have come live. One that is older by the device's own time than what was said last is late for
    ever.
    """
    if name not in device.kept or _is_live(device, name) or _is_outlived(device, name):
        return reasons.RETAINED
    before, stamp = device.stamps.get(name), sample.sampled_at.get(name)
    if before is not None and stamp is not None and stamp < before.sampled:
        return reasons.LATE
    reading = device.readings.get(name)
    is_timed = stamp is not None and (before is None or stamp != before.sampled)
    is_same = reading is not None and reading.problem is None and reading.value == value
    return reasons.DUPLICATE if is_same and not is_timed else reasons.ACCEPTED


def _is_live(device: DeviceState, name: str) -> bool:
    """Whether the newest word of a property came live and still counts."""
    reading = device.readings.get(name)
    return reading is not None and reading.is_live and reading.problem not in readings.VOID


def _is_outlived(device: DeviceState, name: str) -> bool:
    """Whether what the broker had kept of a property is from before the device went."""
    if device.presence is not None and not device.presence.is_online:
        return True
    reading = device.readings.get(name)
    return reading is not None and reading.problem == decision.DEVICE_OFFLINE


def _is_another_word(device: DeviceState, name: str, value: expr.Value) -> bool:
    """Whether a device says something else now of what it says only when it changes.

    What is void is something else than every word.
    """
    reading = device.readings.get(name)
    return name in device.kept and reading is not None and reading.value != value


def _stamp(before: Stamp | None, stamp: datetime, seconds: float) -> Stamp:
    """Return what later stamps are held against: one that leapt ahead blinds nobody to the next.

    Between two messages a device's clock moves as ours does. A stamp far ahead of that is a fault;
    where the device really set its clock forward, the next stamp is further ahead, and counts.
    """
    if before is None or seconds - before.received > RESET_SECONDS:
        return Stamp(stamp, seconds)
    expected = before.sampled + timedelta(seconds=seconds - before.received)
    if stamp <= expected + LEAP or (before.ahead is not None and stamp > before.ahead):
        return Stamp(stamp, seconds)
    return before._replace(ahead=stamp)


def _without_news(sample: events.Sample, results: Mapping[str, str]) -> str:
    """Say what a message is of which nothing is new."""
    if not (results or sample.refused):
        return reasons.NO_PROPERTY
    if sample.retained and (reasons.RETAINED in results.values() or not results):
        return reasons.RETAINED
    return reasons.LATE if reasons.LATE in results.values() else reasons.DUPLICATE


def _is_old(sample: events.Sample, results: Mapping[str, str]) -> bool:
    """Whether a message came late or twice: what it could not say properly is old news too."""
    if results:
        return reasons.ACCEPTED not in results.values()
    return sample.redelivered


def _period(device: DeviceState, seconds: float) -> float | None:
    if device.heard is None:
        return None
    distance = max(0.0, seconds - device.heard)
    if device.period is None:
        return distance
    return device.period + SMOOTHING * (distance - device.period)


def _widened(
    bindings: Mapping[Key, Binding],
    read: Mapping[str, facts.Reading],
    fresh: frozenset[str],
    seconds: float,
) -> Mapping[Key, Binding]:
    """Add new values to the windows of every policy."""
    widened = {
        key: _widen(binding, read, fresh, seconds)
        for key, binding in bindings.items()
        if binding.compiled.windowed or binding.compiled.sampled
    }
    return {**bindings, **widened} if widened else bindings


def _widen(
    binding: Binding,
    read: Mapping[str, facts.Reading],
    fresh: frozenset[str],
    seconds: float,
) -> Binding:
    """Add new values to the windows of a policy's features and model, if they can be believed."""
    windows = dict(binding.windows)
    for feature, source in binding.compiled.windowed:
        if feature.property not in fresh:
            continue
        number = _believed(source, read[feature.property])
        if number is not None and not isinstance(number, str):
            window = windows.get(feature.name, features.Window(feature.seconds))
            windows[feature.name] = features.add(window, seconds, number)
    grids = _filled(binding, read, fresh, seconds)
    return binding._replace(windows=windows, grids=grids)


def _filled(
    binding: Binding,
    read: Mapping[str, facts.Reading],
    fresh: frozenset[str],
    seconds: float,
) -> Mapping[str, samples.SampleGrid]:
    """Add new values to the windows of samples that a policy's model takes."""
    grids = dict(binding.grids)
    for tensor, window in binding.compiled.sampled:
        values: dict[int, samples.Sample] = {}
        for column, source in enumerate(window.sources):
            if source.property in fresh:
                value = _believed(source, read[source.property])
                if value is not None:
                    values[column] = value
        if values:
            grid = grids.get(tensor.name) or window.grid()
            grids[tensor.name] = samples.add(grid, seconds, values)
    return grids


def _believed(source: compiled.CompiledInput, reading: facts.Reading) -> samples.Sample | None:
    if readings.judge(source, reading) is not None:
        return None
    return readings.measured(reading.value)

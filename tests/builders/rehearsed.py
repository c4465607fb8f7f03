"""A rehearsal in memory: the driver on rows of a test, with a journal and a model that obey."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import orjson

from builders import engine_rig, room
from foreshore_agent.devices.codecs.leaf import Value
from foreshore_agent.engine import effects
from foreshore_agent.inference import port as inference
from foreshore_agent.play import device as played_device
from foreshore_agent.play import recording, stage
from foreshore_agent.rehearse import clock, driver, ports, score
from foreshore_api import v1alpha1
from foreshore_decision import assignment as compiling
from foreshore_decision import narrowing, served

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
ROOM: Mapping[str, Value] = {"light": 400.0, "co2": 900.0, "temperature": 21.0}
Json = dict[str, Any]


class Book:
    """A journal that keeps everything in memory, and counts who waits."""

    journal_id = "journal-1"
    standing = SimpleNamespace(reason=None)

    def __init__(self) -> None:
        self.records: list[Json] = []
        self.bodies: list[bytes] = []
        self.failing: str | None = None

    def append(
        self, entries: Any, values: Any = (), *, is_patient: bool, then: Callable[[Any], None]
    ) -> None:
        assert is_patient, "nobody waits for a sync a row"
        bodies = [entry.body for entry in entries if not entry.is_promise]
        self.bodies += bodies
        self.records += [orjson.loads(body) for body in bodies]
        asyncio.get_running_loop().call_soon(then, self.failing)


def likely(values: Mapping[str, float]) -> float:
    """The score of a model that believes in CO2."""
    return min(1.0, values["co2"] / 1000)


@dataclass
class Model:
    """A pool with one model, which answers at once."""

    score: Callable[[Mapping[str, float]], float] = likely
    unanswered: inference.Unanswered | None = None
    seconds: float = 0.004

    def ask(self, asked: effects.Infer, then: inference.Then) -> None:
        if self.unanswered is not None:
            then(self.unanswered)
            return
        light, co2, temperature = map(float, asked.tensors[0].data)
        score = self.score({"light": light, "co2": co2, "temperature": temperature})
        outputs = {"probabilities": (1 - score, score)}
        model = served.Served("occupancy", "occupancy-v1", room.DIGEST)
        then(inference.ModelAnswer(model, outputs, (), "rehearsal", self.seconds, self.seconds))


@dataclass
class Rehearsed:
    """What a rehearsal came to."""

    score: score.Score
    book: Book
    device: played_device.PlayedDevice
    model: Model = field(default_factory=Model)

    def of(self, kind: str) -> list[Json]:
        """Time and data of every record of a kind, such as `decision`."""
        return [
            {"time": each["time"], **each["data"]}
            for each in self.book.records
            if each["type"].endswith(f"{kind}.v1")
        ]

    @property
    def verdicts(self) -> list[tuple[float, str]]:
        """Seconds since the start and verdict of every recorded decision."""
        return [(at(each), each["verdict"]["result"]) for each in self.of("decision")]


def at(record: Json) -> float:
    """Seconds since the start at which a record was made."""
    return (datetime.fromisoformat(record["time"]) - START).total_seconds()


def rows(
    *values: tuple[float, Mapping[str, Value]], truth: str | None = None
) -> list[recording.RecordedRow]:
    """Rows at seconds since the start."""
    return [
        recording.RecordedRow(number, given, START + timedelta(seconds=seconds), truth)
        for number, (seconds, given) in enumerate(values, start=1)
    ]


def staged(*documents: room.Json) -> stage.PlayedStage:
    """The room as a device to play."""
    found = compiling.Resources.of(engine_rig.resources(documents))
    (site,) = found.sites
    (device,) = (each for each in found.devices if each.name == engine_rig.DEVICE.name)
    wanted = device.spec.profile_ref.name
    (profile,) = (each for each in found.profiles if each.name == wanted)
    assert isinstance(profile, v1alpha1.DeviceProfile)
    return stage.PlayedStage(site, device, narrowing.narrow(profile.spec, device.spec))


async def rehearse(
    given: Iterable[recording.RecordedRow],
    *documents: room.Json,
    model: Model | None = None,
    book: Book | None = None,
    seed: bytes = b"seed",
    truth: bool = False,
) -> Rehearsed:
    """Play rows to the room, with these documents in place of those of the same kind and name."""
    frozen = clock.FrozenClock(START, seed)
    seen = score.Score(has_truth=truth)
    book, model = book or Book(), model or Model()
    made = driver.Driver(
        staged(*documents),
        frozen,
        played_device.DeviceLog(None),
        ports.JournalQueue(cast("Any", book)),
        ports.Questions(cast("Any", model), seen),
        seen,
    )
    assigned = engine_rig.assign(*documents, node=driver.NODE, holder=driver.NODE)
    assert made.begin(assigned) == ()
    for row in given:
        await made.row(row)
    await made.finish()
    return Rehearsed(seen, book, made.device, model)

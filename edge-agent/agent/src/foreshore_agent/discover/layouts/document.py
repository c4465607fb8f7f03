"""Any other topic with a JSON object, or an array of them: one device a topic."""

from collections.abc import Iterator
from typing import Any, Final

from foreshore_agent.discover import drafts
from foreshore_agent.discover.layouts.scene import Recognised, Scene, properties_of
from foreshore_agent.discover.observations import Heard

_TIMES: Final = ("timestamp", "time", "ts", "Time", "datetime")
_MILLISECONDS: Final = 100_000_000_000
"""Times above are milliseconds: seconds would be far in the future."""


def recognise(scene: Scene) -> Recognised:
    """Return a draft for every topic whose message is an object with values in it."""
    return Recognised(tuple(device for heard in scene for device in _device(heard)))


def _device(heard: Heard) -> Iterator[drafts.DraftDevice]:
    document = heard.document
    notes: tuple[str, ...] = ()
    if isinstance(document, list) and document and isinstance(document[0], dict):
        document = document[0]
        notes = ("its messages are arrays: every sample of one counts, in order",)
    if not isinstance(document, dict):
        return
    time, key = _time(document)
    without = () if key is None else (key,)
    properties = tuple(properties_of(document, without=without, is_retained=heard.was_retained))
    if not properties:
        return
    is_short = len(heard.topic) <= drafts.MAXIMUM_VALUE
    yield drafts.DraftDevice(
        layout="JSON",
        label=heard.topic,
        model=f"json {'-'.join(prop.name for prop in properties[:3])}",
        parameters={"topic": heard.topic} if is_short else {},
        properties=properties,
        mqtt={"telemetryTopic": "{parameters.topic}" if is_short else heard.topic, **time},
        notes=(*notes, "nothing announced it: names, types and units are guessed from a message"),
        topics=frozenset({heard.topic}),
    )


def _time(document: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    for key in _TIMES:
        value = document.get(key)
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, int | float):
            written = "UnixMilliseconds" if value > _MILLISECONDS else "Unix"
            return {"time": {"path": f"/{key}", "format": written}}, key
        if isinstance(value, str):
            return {"time": {"path": f"/{key}"}}, key
    return {}, None

"""How the bytes of a message become what properties are read from; one row a format.

A further format is a module with a function and a row here. A message is decoded once in each
format that its readers ask for, however many properties and devices these are.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from foreshore_agent.devices.codecs import document, leaf, places, text
from foreshore_agent.devices.codecs.leaf import PayloadError
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.v1alpha1 import deviceprofile, telemetry


class Format(NamedTuple):
    """How a message is decoded."""

    name: str
    fits: Callable[[deviceprofile.Property], bool]
    """Whether a property is read from messages of this format."""
    read: Callable[[bytes], Any]
    """Decodes a message: to objects, arrays and single values as of JSON. Raises PayloadError."""


def _is_bare(declared: deviceprofile.Property) -> bool:
    """Whether the message is the value; a text at a path or in a pick is part of a document."""
    is_placed = declared.path or declared.pick or declared.batch
    return declared.payload is telemetry.Payload.TEXT and not is_placed


FORMATS: tuple[Format, ...] = (
    Format("Text", fits=_is_bare, read=text.read),
    Format("JSON", fits=lambda _: True, read=document.read),
)
"""The first that fits a property is its own; the last fits every property."""


def choose(declared: deviceprofile.Property) -> Format:
    """Return the format of the messages that a property is read from."""
    return next(row for row in FORMATS if row.fits(declared))


MAXIMUM_SAMPLES: Final = 256
"""Of one device in one message; one with more is refused, because a part would be a choice."""
MAXIMUM_SAMPLES_OF_ALL: Final = 8192
"""Of all devices that read one message: they are taken in one turn, which others wait for."""


class Contents:
    """One message, decoded when a reader asks, and once however many ask."""

    __slots__ = ("_form", "_indices", "_others", "_readers", "_tree", "body")

    def __init__(self, body: bytes, readers: int = 1) -> None:
        """Keep a message for its readers, as many as devices use its topic."""
        self.body: Final = body
        self._readers: Final = readers
        self._form: Format | None = None  # nearly all messages are read in one format
        self._tree: Any = None
        self._others: dict[str, Any] | None = None
        self._indices: dict[tuple[int, places.Path], Mapping[str, list[Any]]] | None = None

    def tree(self, form: Format) -> Any:
        """Return the message decoded in a format. Raises PayloadError."""
        if self._form is None:
            self._form = form
            try:
                tree = self._tree = form.read(self.body)
            except PayloadError as error:
                self._tree = _Refusal(error.reason)
                raise
            return tree
        tree = self._tree if self._form is form else self._other(form)
        if type(tree) is _Refusal:
            raise PayloadError(tree.reason)
        return tree

    def _other(self, form: Format) -> Any:
        """Return the message in a format that is not its first."""
        if self._others is None:
            self._others = {}
        if form.name not in self._others:
            self._others[form.name] = _decoded(form, self.body)
        return self._others[form.name]

    def bound(self, samples: int) -> None:
        """Raise PayloadError where a reader makes more samples of this message than one may."""
        if samples > max(1, min(MAXIMUM_SAMPLES, MAXIMUM_SAMPLES_OF_ALL // self._readers)):
            raise PayloadError(reasons.TOO_MANY)

    def elements(self, array: list[Any], key: places.Path, name: str) -> list[Any]:
        """Return the elements of an array of this message whose key says a name, in order.

        Readers share an index of the array: a gateway's message has thousands of tags, of which
        each of a thousand devices picks its own.
        """
        if self._indices is None:
            self._indices = {}
        index = self._indices.get((id(array), key))
        if index is None:
            index = self._indices[id(array), key] = _index(array, key)
        return index.get(name, _NOTHING)


class _Refusal(NamedTuple):
    reason: str


def _decoded(form: Format, body: bytes) -> Any:
    """Return a message in a format, or why it is none."""
    try:
        return form.read(body)
    except PayloadError as error:
        return _Refusal(error.reason)


_NOTHING: Final[list[Any]] = []


def _index(array: list[Any], key: places.Path) -> Mapping[str, list[Any]]:
    index: dict[str, list[Any]] = {}
    for element in array:
        if isinstance(element, dict):
            name = leaf.spelled(places.find(element, key))
            if name is not None:
                index.setdefault(name, []).append(element)
    return index

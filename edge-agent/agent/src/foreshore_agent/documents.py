"""Wire documents that strangers sent, read within bounds: a document, or the reason why it is none.

Codecs of devices read acknowledgements this way, `site` what other agents say.
"""

from typing import Final, TypeVar

from pydantic import ValidationError

from foreshore_api.reasons import telemetry as reasons
from foreshore_api.wire import document

MAXIMUM_BYTES: Final = 65536
"""Of one message of a device or of another agent; a longer one is not looked at."""
_Document = TypeVar("_Document", bound=document.WireDocument)


def read(body: bytes, kind: type[_Document]) -> _Document | str:
    """Return the document, or `TooLarge` or `InvalidDocument`."""
    if len(body) > MAXIMUM_BYTES:
        return reasons.TOO_LARGE
    try:
        return kind.decode(body)
    except ValidationError:
        return reasons.INVALID_DOCUMENT

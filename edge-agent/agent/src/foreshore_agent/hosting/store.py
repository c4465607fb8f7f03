"""The bytes of models that run in this process, and what their trials showed, by digest.

    models/<digest>.onnx    as `foreshore-serving try` left them; verified at every load
    models/<digest>.json    the evidence of the trial

Kept so that a restart needs neither network nor another trial. No more is kept than what is wanted:
a model that has no room keeps its evidence alone. Every call reads or writes files: for a thread.
"""

import hashlib
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from foreshore_serving import evidence

MAXIMUM_EVIDENCE_BYTES: Final = 4096
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_LOG: Final = logging.getLogger(__name__)


class ModelStore:
    """One folder of models."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder

    def body_path(self, digest: str) -> Path:
        """Return where the bytes of a digest are, if they are there."""
        return self.folder / f"{_hexadecimal(digest)}.onnx"

    def body(self, digest: str, maximum_bytes: int) -> bytes | None:
        """Return the bytes of a digest, or None; what was changed is thrown away."""
        path = self.body_path(digest)
        try:
            with path.open("rb") as file:
                body = file.read(maximum_bytes + 1)
        except OSError:
            return None
        is_whole = len(body) <= maximum_bytes
        if is_whole and f"sha256:{hashlib.sha256(body).hexdigest()}" == digest:
            return body
        _LOG.warning("%s is not what its name says, and is thrown away", path)
        path.unlink(missing_ok=True)
        return None

    def evidence(self, digest: str) -> evidence.TrialEvidence | None:
        """Return what the trial of a digest showed, or None."""
        path = self._evidence_path(digest)
        try:
            with path.open("rb") as file:
                return evidence.decode(file.read(MAXIMUM_EVIDENCE_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _LOG.warning("%s cannot be used: %s", path, error)
            return None

    def drop_body(self, digest: str) -> None:
        """Throw the bytes away and keep what is known of them."""
        self.body_path(digest).unlink(missing_ok=True)

    def keep_only(self, digests: Iterable[str]) -> None:
        """Throw away what is of other digests; what is named otherwise is not ours."""
        names = set(map(_hexadecimal, digests))
        try:
            files = list(self.folder.iterdir())
        except OSError:
            return
        for path in files:
            name = path.name.partition(".")[0]
            if _DIGEST.fullmatch(name) and name not in names:
                path.unlink(missing_ok=True)

    def _evidence_path(self, digest: str) -> Path:
        return self.folder / f"{_hexadecimal(digest)}.json"


def _hexadecimal(digest: str) -> str:
    return digest.removeprefix("sha256:")

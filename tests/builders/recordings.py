"""Recordings in text as files, read for a device's properties or refused."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from foreshore_agent.play import recording
from foreshore_api.v1alpha1 import deviceprofile

Properties = Sequence[deviceprofile.Property]


def read(
    properties: Properties,
    folder: Path,
    text: str | bytes,
    *,
    now: datetime | None = None,
    **wanted: Any,
) -> recording.Recording:
    """The recording of a text, as whoever names `wanted` has it."""
    path = folder / "recording.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return recording.read(path, properties, recording.Wanted(**wanted), now=now)


def refusal(properties: Properties, folder: Path, text: str | bytes, **wanted: Any) -> str:
    """Why a text is no recording, after the file's name."""
    with pytest.raises(recording.RecordingError) as refused:
        read(properties, folder, text, **wanted)
    assert str(refused.value).startswith(str(folder / "recording.csv"))
    return str(refused.value)

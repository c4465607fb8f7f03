"""The part of a status that every kind shares.

`observedGeneration` starts at -1 (the default of the whole status), so that an object nobody has
seen yet counts as in progress, not as healthy.
"""

from __future__ import annotations

from typing import Annotated

import pydantic

from foreshore_api import scalars
from foreshore_api.conditions import Condition
from foreshore_api.contract import Document, ListMap


class Observed(Document):
    """What the operator last saw and said."""

    observed_generation: Annotated[int, pydantic.Field(ge=-1, le=scalars.LARGEST)] = -1
    """Generation of the spec that this status describes; -1: not seen yet. Example: `3`."""

    conditions: Annotated[
        tuple[Condition, ...], pydantic.Field(max_length=16), ListMap(("type",))
    ] = ()
    """State of the object, one entry a type. Absent: nothing said yet."""

    writer_epoch: scalars.Count | None = None
    """Epoch of the operator's leader that wrote this status last; a write with a lower one is
    refused. Absent: written by no leader yet. Example: `1798000000`."""

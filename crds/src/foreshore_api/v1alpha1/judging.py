"""What is known of nodes that are not healthy, as a Site's and a Cluster's status list them."""

from __future__ import annotations

from typing import Annotated

import pydantic
from pydantic import StringConstraints

from foreshore_api import scalars
from foreshore_api.contract import Document, ListMap
from foreshore_api.v1alpha1.statuses import Observed

LISTED = 64
"""Nodes that a status has room for; the worst come first, the others are counted."""
EVIDENCE = 256
"""Characters of what a verdict rests on."""


class JudgedNode(Document):
    """One node that is not healthy, or that falls silent again and again."""

    node: scalars.SubdomainName
    """Name of the node. Example: `edge-2`."""

    verdict: scalars.Reason
    """Healthy, Suspect, LinkCut, SiteCut, Unknown or NodeDead. Example: `NodeDead`."""

    evidence: Annotated[str, StringConstraints(max_length=EVIDENCE)] = ""
    """What the verdict rests on. Absent: nothing is to be said.
    Example: `the node is not Ready, and its beats have stopped`."""

    since: scalars.Timestamp
    """When it was judged so first. Example: `2026-03-01T10:00:00Z`."""

    flaps: scalars.Count | None = None
    """How often it fell silent within the hour. Absent: never. Example: `2`."""

    quarantined_until: scalars.Timestamp | None = None
    """Until when nothing new goes there, if it falls silent no more. Absent: it is in no
    quarantine. Example: `2026-03-01T10:51:00Z`."""


class Judged(Observed):
    """What the operator last saw and said, with the verdicts on nodes."""

    verdicts: Annotated[
        tuple[JudgedNode, ...], pydantic.Field(max_length=LISTED), ListMap(("node",))
    ] = ()
    """Nodes that are not Healthy or in quarantine, the worst first. Absent: there is none."""

    more_verdicts: scalars.Count | None = None
    """Such nodes beyond those that are listed. Absent: none. Example: `12`."""

"""In whose process a model runs: asked for by a ModelVersion, allowed by a Site."""

from __future__ import annotations

from enum import StrEnum


class Isolation(StrEnum):
    """In whose process a model runs.

    A model is somebody else's program. In a child process it reaches nothing of the agent's; in the
    agent's own it is answered without a copy and a switch of processes, and what it breaks is the
    agent. So two people have to want it: who made the version and who runs the site.
    """

    CHILD = "Child"
    AGENT = "Agent"

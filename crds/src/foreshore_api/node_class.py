"""Which nodes compute alike: measured times of a model on one say what to expect on another.

The hub tells agents the class of the nodes they call, agents put it on what they measure, and the
planner predicts by it. A person names classes by the label `foreshore.dev/class`; without it the
architecture and the type of the instance tell nodes apart, which is all that every distribution
sets (K3s calls each of its nodes `k3s`).
"""

from collections.abc import Mapping
from typing import Final

from foreshore_api import meta

ARCHITECTURE: Final = "kubernetes.io/arch"
INSTANCE: Final = "node.kubernetes.io/instance-type"
UNKNOWN: Final = "unknown"
"""Of a node of which nobody has said anything."""
LONGEST: Final = 63


def of(labels: Mapping[str, str]) -> str:
    """Return the class of a node with these labels, at most 63 characters."""
    named = labels.get(meta.LABEL_CLASS)
    if named:
        return named[:LONGEST]
    parts = [labels[key] for key in (ARCHITECTURE, INSTANCE) if labels.get(key)]
    return "-".join(parts)[:LONGEST] or UNKNOWN

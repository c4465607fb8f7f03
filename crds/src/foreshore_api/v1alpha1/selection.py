"""How objects choose nodes and devices: label selectors and tolerations, as Kubernetes has them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import pydantic
from pydantic import StringConstraints

from foreshore_api.contract import Document, ListMap, ListSet, Rule

LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$",
        max_length=317,
    ),
]
LabelValue = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?)?$", max_length=63)
]
Labels = Annotated[Mapping[LabelKey, LabelValue], pydantic.Field(max_length=32)]


class SelectorOperator(StrEnum):
    """How a label is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class SelectorRequirement(Document):
    """One comparison of a label."""

    key: LabelKey
    """Label that is compared. Example: `zone`."""

    operator: SelectorOperator
    """Comparison: In or NotIn a list of values, Exists, DoesNotExist. Example: `In`."""

    values: Annotated[tuple[LabelValue, ...], pydantic.Field(max_length=64), ListSet()] = ()
    """Values for In and NotIn. Absent: none, as Exists and DoesNotExist want. Example: `[west,
    east]`."""

    validations = (
        Rule(
            rule="(self.operator in ['In', 'NotIn'])"
            " == (has(self.values) && size(self.values) > 0)",
            message="In and NotIn need values; Exists and DoesNotExist take none",
            message_expression="self.key"
            " + ': In and NotIn need values; Exists and DoesNotExist take none'",
            field_path=".values",
        ),
    )


class LabelSelector(Document):
    """Objects by their labels; every term must match. An empty selector is refused."""

    match_labels: Labels = pydantic.Field(default_factory=dict)
    """Labels that must have exactly these values. Absent: none asked. Example: `{zone: west}`."""

    match_expressions: Annotated[
        tuple[SelectorRequirement, ...],
        pydantic.Field(max_length=16),
        ListMap(("key", "operator")),
    ] = ()
    """Comparisons beyond equality. Absent: none asked."""

    validations = (
        Rule(
            rule="(has(self.matchLabels) && size(self.matchLabels) > 0)"
            " || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
            message="an empty selector is refused: name at least one label",
        ),
    )


class TolerationOperator(StrEnum):
    """How a taint's value is compared."""

    EQUAL = "Equal"
    EXISTS = "Exists"


class TaintEffect(StrEnum):
    """What a taint does to a Pod that does not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(Document):
    """A taint that the inference Pods accept, as core/v1 Toleration."""

    key: LabelKey | None = None
    """Taint key. Absent: every key, with operator Exists. Example: `nvidia.com/gpu`."""

    operator: TolerationOperator = TolerationOperator.EQUAL
    """Equal compares the value, Exists does not. Example: `Exists`."""

    value: LabelValue | None = None
    """Taint value for Equal. Absent: the taint has none. Example: `present`."""

    effect: TaintEffect | None = None
    """Effect that is tolerated: NoSchedule, PreferNoSchedule or NoExecute. Absent: each of them.
    Example: `NoSchedule`."""

    toleration_seconds: Annotated[int, pydantic.Field(ge=0, le=86400)] | None = None
    """How long NoExecute is tolerated, in seconds. Absent: without limit. Example: `300`."""

    validations = (
        Rule(
            rule="has(self.key) || self.operator == 'Exists'",
            message="a toleration without key needs operator Exists",
            field_path=".operator",
        ),
        Rule(
            rule="!has(self.value) || self.operator == 'Equal'",
            message="operator Exists takes no value",
            field_path=".value",
        ),
    )


class ImagePullSecret(Document):
    """A Secret that the kubelet pulls the serving image with."""

    name: Annotated[
        str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=253)
    ]
    """Name of the Secret in the policy's namespace. Example: `registry-credentials`."""

"""Names of the API group, well-known labels, and the metadata that every object carries.

Everybody who builds or reads an object of the group imports these; no other module spells a label.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

import pydantic

from foreshore_api import given_fields
from foreshore_api.contract import Document
from foreshore_api.scalars import LABEL_PATTERN, Count, ObjectName, SubdomainName

GROUP = "foreshore.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "foreshore"

LABEL_SITE = "foreshore.dev/site"
"""On nodes: the site the node stands in. On generated objects: the site they serve."""
LABEL_TIER = "foreshore.dev/tier"
"""On nodes: `Edge` or `Cloud`; absent means the tier of the cluster."""
LABEL_CLASS = "foreshore.dev/class"
"""On nodes: which nodes compute alike; absent means what `node_class` makes of other labels."""
LABEL_POLICY = "foreshore.dev/policy"
"""On generated objects: the DecisionPolicy they serve."""
LABEL_SLOT = "foreshore.dev/slot"
"""On inference Pods: the slot of the placement, `a0`, `s0`."""
LABEL_ROLE = "foreshore.dev/role"
"""On inference Pods: `Active` or `Standby`."""
ANNOTATION_EPOCH = "foreshore.dev/leader-epoch"
"""On everything the operator writes: the epoch of the leader that wrote it."""
ANNOTATION_CONFIRMED = "foreshore.dev/confirmed-move"
"""On InferencePlacements, by a person: the id of the proposed move that they confirm."""
ANNOTATION_HOLD_ENDED = "foreshore.dev/hold-ended"
"""On a Site: the `status.heldSince` of the hold that a person has ended; no other hold is."""


Text = Annotated[str, pydantic.Field(max_length=512)]
"""Anything of the metadata that Kubernetes keeps short: names, keys and values of labels, times."""
AnnotationText = Annotated[str, pydantic.Field(max_length=262_144)]
"""The value of an annotation: Kubernetes allows this much to all of one object together."""
LABELS = 1024
"""Labels of one object that agents are told of at most, and that a file may give one."""
LONGEST_UID = 128
"""Characters of a uid; those of Kubernetes have 36."""
ENTRIES = 4096
"""Labels, annotations or owners of one object at most."""


class OwnerReference(Document):
    """The object that this one goes away with."""

    api_version: Text
    kind: Text
    name: Text
    uid: Text
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(Document):
    """Kubernetes metadata, as far as Foreshore reads it."""

    name: Text
    namespace: Text | None = None
    uid: Text | None = None
    generation: Count | None = None
    resource_version: Text | None = None
    labels: Mapping[Text, Text] = pydantic.Field(default_factory=dict, max_length=ENTRIES)
    annotations: Mapping[Text, AnnotationText] = pydantic.Field(
        default_factory=dict, max_length=ENTRIES
    )
    creation_timestamp: Text | None = None
    deletion_timestamp: Text | None = None
    owner_references: tuple[OwnerReference, ...] = pydantic.Field(default=(), max_length=ENTRIES)


class ObjectReference(Document):
    """An object of the same namespace, by name."""

    name: ObjectName
    """Name of the object in the same namespace. Example: `room-climate`."""


class SecretReference(Document):
    """A Secret of the same namespace, by name."""

    name: SubdomainName
    """Name of the Secret. Example: `models-ca`."""


class Resource(Document):
    """A kind of the group; subclasses add `spec` and `status`."""

    kind: ClassVar[str]
    plural: ClassVar[str]
    short_name: ClassVar[str]
    scope: ClassVar[str] = "Namespaced"
    longest_name: ClassVar[int] = 52
    """Characters of a name; the API server checks it, and a strict reading of a file."""
    name_pattern: ClassVar[str] = LABEL_PATTERN

    metadata: Annotated[ObjectMeta, pydantic.Field()]
    """Standard object metadata."""

    @property
    def name(self) -> str:
        """The object's name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """The object's namespace; empty for a cluster-scoped kind."""
        return self.metadata.namespace or ""

    def document(self) -> dict[str, Any]:
        """The object as Kubernetes writes it, with apiVersion and kind."""
        return {"apiVersion": API_VERSION, "kind": self.kind, **super().document()}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """The object of a document from the API server; unknown fields are ignored."""
        return cls.model_validate(document)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """The object of JSON from the API server, in less memory: for who keeps ten thousand.

        Short texts that are alike are one, and so are the sets of the fields that were given.
        """
        parsed = cls.model_validate_json(body)
        given_fields.share(parsed)
        return parsed

    def succeeding(self, before: Self) -> Self:
        """This state with the very spec of an earlier state of the object, if it is the same.

        What is remembered of a spec by identity then outlives a new status. Specs are compared, a
        microsecond each: a generation that is the same proves nothing after a restored etcd, or a
        definition with another default.
        """
        spec = getattr(before, "spec", None)
        if spec is None or spec != getattr(self, "spec", None):
            return self
        kept = self.model_copy(update={"spec": spec})
        given_fields.share_own(kept)
        return kept

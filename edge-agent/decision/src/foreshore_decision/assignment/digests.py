"""Digests of what is assigned: of canonical JSON, so that equal content has equal digests."""

import hashlib
import json
from typing import Any

from foreshore_api import v1alpha1
from foreshore_api.wire import assignment


def digest(document: Any) -> str:
    """Return `sha256:…` of the canonical JSON of plain data: sorted keys, no spaces, UTF-8."""
    body = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(body.encode()).hexdigest()


def digest_of(document: assignment.Assignment) -> str:
    """Return the digest of an assignment's content, whoever counted it."""
    counted = {"lineage", "generation", "digest"}
    return digest(
        document.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=counted)
    )


def policy_digest(policy: v1alpha1.DecisionPolicy) -> str:
    """Return the digest of a policy's spec, which records and `status.policyDigest` name."""
    return spec_digest(policy.spec)


def spec_digest(spec: v1alpha1.DecisionPolicySpec) -> str:
    """Return the digest of what a policy says, also of one that was narrowed."""
    return digest(spec.document())


def device_digest(spec: v1alpha1.DeviceSpec, profile: v1alpha1.DeviceProfileSpec) -> str:
    """Return the digest of a device with the profile that holds for it."""
    return digest({"spec": spec.document(), "profile": profile.document()})

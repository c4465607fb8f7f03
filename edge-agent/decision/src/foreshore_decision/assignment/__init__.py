"""What one agent has to do, compiled from the resources: one pure function for hub and folder mode.

The hub calls `compile` for each node whose resources changed and carries the result down; folder
mode calls it for its only node, with its own endpoints and grants (`LocalStatuses`) in place of
what an operator writes into statuses. The order of everything is that of names, so that equal
resources give equal bytes and an equal digest.

What cannot be resolved becomes a `Problem`, never a guess. A reference that dangles (its object is
gone) stays what it was resolved to last (`references`): a device keeps its profile, a policy its
model. A device that never had its profile is left out; a policy without its model stays in, because
the agent decides by the last version that compiled only while the policy is assigned to it.

    snapshot ──► devices ──► policies ──► compilation
                    └── references ──┘
"""

from foreshore_decision.assignment.compilation import (
    BeyondBoundsError,
    Compilation,
    compile,  # noqa: A004
)
from foreshore_decision.assignment.devices import is_reachable
from foreshore_decision.assignment.digests import digest, digest_of, policy_digest, spec_digest
from foreshore_decision.assignment.isolation import denial, denials
from foreshore_decision.assignment.references import LastGood
from foreshore_decision.assignment.snapshot import LocalStatuses, Name, Peer, Resources, find_site

__all__ = [
    "BeyondBoundsError",
    "Compilation",
    "LastGood",
    "LocalStatuses",
    "Name",
    "Peer",
    "Resources",
    "compile",
    "denial",
    "denials",
    "digest",
    "digest_of",
    "find_site",
    "is_reachable",
    "policy_digest",
    "spec_digest",
]

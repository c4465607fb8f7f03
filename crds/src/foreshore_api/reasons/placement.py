"""Why a node may not serve, why a replica moved, and why the right to a device moved.

In `candidates.rejected`, `candidates.passed` and `moves[].cause` of an InferencePlacement, in the
operator's events and in the label `cause` of `foreshore_operator_moves_total`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from foreshore_api.reasons import Reason, table

# A node may not serve. What a person asked for comes first.
OTHER_SITE: Final = Reason("OtherSite", "An edge node of another site.")
TIER: Final = Reason(
    "Tier", "The policy asks for the other tier.", remedy="another placement.tier in the policy"
)
NODE_SELECTOR: Final = Reason(
    "NodeSelector",
    "The node lacks a label of placement.nodeSelector.",
    remedy="label the node, or a wider selector",
)
TAINT: Final = Reason(
    "Taint",
    "A taint of the node is not tolerated.",
    remedy="a toleration in the policy, or take the taint off",
)
CORDONED: Final = Reason("Cordoned", "The node is cordoned.", remedy="kubectl uncordon")
BY_PERSON: Final = frozenset({OTHER_SITE, TIER, NODE_SELECTOR, TAINT, CORDONED})
"""Asked for by a person: neither `failover: Never` nor the move limit holds such a move."""

INSUFFICIENT_CPU: Final = Reason(
    "InsufficientCPU",
    "The node has less CPU left than the replica asks for.",
    remedy="free CPU on the node, or ask for less",
)
INSUFFICIENT_MEMORY: Final = Reason(
    "InsufficientMemory",
    "The node has less memory left than the replica asks for.",
    remedy="free memory on the node, or ask for less",
)
NO_ACCELERATOR: Final = Reason(
    "NoAccelerator",
    "The node offers nothing of the extended resource that the replica asks for.",
    remedy="a node with the device, its driver and its device plug-in, or a version without"
    " resources.accelerator",
)
INSUFFICIENT_ACCELERATOR: Final = Reason(
    "InsufficientAccelerator",
    "Other pods have the node's accelerators.",
    remedy="free one on the node, or a node with more of them",
)
FULL: Final = frozenset({INSUFFICIENT_CPU, INSUFFICIENT_MEMORY, INSUFFICIENT_ACCELERATOR})
"""The node would do if somebody left it."""
NOT_EXAMINED: Final = Reason(
    "NotExamined",
    "A cloud node beyond the 64 that a placement chooses among; it could serve too.",
    remedy="none needed while replicas find room; to choose among certain nodes, name them by"
    " placement.nodeSelector",
)
LATENCY_BUDGET: Final = Reason(
    "LatencyBudget",
    "The latency predicted for the node is above the policy's budget.",
    remedy="a larger budget, a nearer node or a faster model",
)
UNTRIED: Final = Reason(
    "Untried",
    "Nobody measured the model on nodes of that class, or the way there, and the budget is less"
    " than three times what the version declares; another node is known to be within it.",
    remedy="none needed while the other has room; it is known once some policy runs the version on"
    " a node of the class",
)
SATURATED: Final = Reason(
    "Saturated",
    "The replicas of the node would be at work for more than 65 % of what nobody else reserves of"
    " its CPU: calls would queue.",
    remedy="another node, fewer decisions a second, or a faster model; it is taken where nothing"
    " else is left",
)

# A node could serve, and another was taken.
UNMEASURED: Final = Reason(
    "Unmeasured",
    "Nothing is known of the way to the node: no agent of the site has an answer from its agent.",
    remedy="an agent on the node that those of the site reach",
)
SHARES_DOMAIN: Final = Reason(
    "SharesDomain",
    "The node shares the failure domain of a replica, and another has room.",
    remedy="a narrower placement.spread",
)
WOULD_BE_TAKEN: Final = Reason(
    "WouldBeTaken",
    "It would be taken for a new replica: what runs well is not moved for that.",
    remedy="none needed; delete the pod to have it placed anew",
)
OTHER_TIER_FIRST: Final = Reason(
    "OtherTierFirst",
    "The policy prefers the other tier (EdgeFirst).",
    remedy="placement.tier: Cheapest",
)
DEARER: Final = Reason("Dearer", "A replica costs more there.", remedy="a lower price of its tier")
SLOWER: Final = Reason(
    "Slower", "It costs the same, and the bound on the latency is larger.", remedy="a nearer node"
)
LATER_BY_NAME: Final = Reason(
    "LaterByName", "It is as good as the node taken, whose name comes first."
)

# A node's own state: a cause of rejections and of moves.
SUSPECT: Final = Reason("Suspect", "The node is Ready, but its agent does not report.")
NODE_DEAD: Final = Reason(
    "NodeDead",
    "The node is gone, or silent to the cluster and to its peers.",
    remedy="the node or its network",
)
LINK_CUT: Final = Reason(
    "LinkCut",
    "The node is silent to the cluster, and a peer of its site hears it: it goes on by itself.",
    remedy="the link between the node and the cluster",
)
SITE_CUT: Final = Reason(
    "SiteCut",
    "The node is silent together with its site, or with many sites: nothing moves.",
    remedy="the link between the site and the cluster",
)
UNKNOWN: Final = Reason("Unknown", "The node is silent, and nobody can say more about it.")
QUARANTINED: Final = Reason(
    "Quarantined",
    "The node fell silent twice or more within the hour, whatever the cause: nothing new goes there"
    " until fewer of these times count; what is there stays.",
    remedy="the node's power, network or kubelet, whichever comes and goes; it is used again by"
    " itself",
)

# A replica moved.
PLACED: Final = Reason("Placed", "A pod was made for a replica, on the node chosen for it.")
FIRST_PLACEMENT: Final = Reason("FirstPlacement", "The slot was empty.")
POD_FAILED: Final = Reason(
    "PodFailed", "The pod failed, and another node may do better.", remedy="what the evidence says"
)
POD_NOT_READY: Final = Reason(
    "PodNotReady",
    "The pod did not become ready in time, and another node may do better.",
    remedy="what the evidence says",
)
ENDPOINT_BAD: Final = Reason(
    "EndpointBad",
    "Every agent that calls the replica says that its calls fail, though its pod is ready.",
    remedy="look at the replica's log and at the network between it and the agents",
)
TOO_SLOW: Final = Reason(
    "TooSlow",
    "Every agent that calls the replica says that its answers are late.",
    remedy="more CPU for the replica, a nearer node or a longer timeout",
)
MADE_ROOM: Final = Reason(
    "MadeRoom",
    "It moved so that a replica that fits nowhere else has a node.",
    remedy="more room at the site, or less asked for, if it moves often",
)
OVER_BUDGET: Final = Reason(
    "OverBudget",
    "Measured over the latency budget, while another node is predicted well within it.",
)
REDUNDANCY_RESTORED: Final = Reason(
    "RedundancyRestored",
    "It shared a failure domain with another replica, and another domain has room again.",
)
ROOM_AT_EDGE: Final = Reason(
    "RoomAtEdge", "It had overflowed into the cloud, and the edge has room again."
)
FAILED_BACK: Final = Reason(
    "FailedBack",
    "It had to leave a node that its policy likes better, which has been well for an hour"
    " (failback WhenStable).",
)
RETURNS: Final = frozenset({REDUNDANCY_RESTORED, ROOM_AT_EDGE, FAILED_BACK})
"""Moves of a replica to where its policy would have it in the first place."""
UNFORCED: Final = RETURNS | {MADE_ROOM}
"""Moves that nothing about the replica or its node forced: of one placement they are apart."""
CREEPING: Final = Reason(
    "Creeping",
    "Measured at 90 % of the latency budget or more, while another node is known to be well within"
    " it: it moved before the budget broke. Once an hour at most.",
)
TROUBLES: Final = frozenset(
    {POD_FAILED, POD_NOT_READY, ENDPOINT_BAD, TOO_SLOW, OVER_BUDGET, CREEPING}
)
"""Causes that lie with the replica on its node: it would likely meet them there again."""

# A replica or a placement was taken away.
FAILED: Final = Reason("Failed", "The pod failed: it is made again.")
SUPERSEDED: Final = Reason("Superseded", "Another one has taken over.")
RETIRED: Final = Reason("Retired", "The policy does not ask for a replica at the site any more.")

# Something else that the operator had made was taken away.
RESTORED: Final = Reason(
    "Restored",
    "Somebody deleted what the operator had made for it: it was made again.",
    remedy="leave it: it goes by itself with what it was made for",
)

# The right to a device was granted.
FIRST_GRANT: Final = Reason("FirstGrant", "No agent held the device.")
GIVEN_BACK: Final = Reason("GivenBack", "The holder gave the device back.")
HOLDER_LOST: Final = Reason(
    "HolderLost",
    "The holder's node or agent is lost, by two independent signs.",
    remedy="the node, or its agent",
)
HOLDER_DISPLACED: Final = Reason(
    "HolderDisplaced", "The holder's node is none any more that may hold the device."
)

TABLE: Final[Mapping[str, Reason]] = table(Reason, globals())
"""Every cause of a rejection, a move and a removal by its code."""

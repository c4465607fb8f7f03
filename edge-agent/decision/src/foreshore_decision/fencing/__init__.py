"""The holder's side of authority: whether this agent may command one device, now.

The agent's engine keeps one `AuthorityState` per device, feeds it what happens and asks `standing`
before every command. It is not the fence: the fence is at the device, which refuses lower epochs
and repeated commands. This keeps two agents from disagreeing for long.

    None ──grant──► Lapsed ──renewal answered──► Renewed ──lease runs out──► Offline | Lapsed
                      ▲                             ▲                           │
                      │                             └──── renewal answered ─────┤
                      └── a peer claims the hub, grant too old, broker lost ────┘
    Renewed, Offline ──the device refuses us──► Lapsed ──a later request is renewed──► Renewed
    any ──the hub names a higher epoch──► Superseded ──grant with a higher epoch──► Lapsed
    any ──a peer claims a higher epoch──► Superseded ──a later request is renewed──► Renewed
                                              └── a lease without such a claim ──► as before
    Renewed ──broker lost for a lease──► given back (Lapsed until a higher epoch is granted)
    any ──released while a peer claims the hub──► given back

- A grant alone permits nothing: a renewal answered in this boot does, and it counts from when its
  request was *sent*.
- Every instant is seconds on the boot clock, which counts suspended time and knows no wall clock:
  no jump of a wall clock can change a standing.
- Unrenewed, the holder goes on (Offline) only while it listens on the broker and no peer there
  claims to have the hub, and at most `offline_seconds` after the last renewal. After a gap in the
  connection or a pause of its own it listens for three beats first; while it knows that the broker
  gives it no beats (refused, or its own do not come back) it does not go on at all.
- Only the hub's own word is kept: its assignment, and its answer to a numbered request of ours that
  came straight from it. What anybody says on the site's broker (a beat, an answer passed on) makes
  the holder stand down at once, but is a hint that expires with the lease: one stray message must
  not take a right away for ever.
- An answer that nobody asked for, of another boot or to an older request, changes nothing.
- A holder that the hub still renews but that has lost the broker for a whole lease gives its right
  back: it cannot command, and the operator may move the right at once. Without the hub it gives
  nothing back: nobody could hear it.
- One that is to stop, or cannot write its intents, gives its right back only while a peer claims
  the hub: without a peer nobody could take the device, and a short stop is no reason to lose it.
  A stop gives no device back that has `reachableFrom`: which peers reach it is not known here.
- In folder mode the one agent grants itself (`self_granted`), and nothing renews it.
"""

from foreshore_decision.fencing.events import (
    Answered,
    ConnectionChanged,
    EpochSeen,
    Event,
    Fenced,
    Granted,
    PeerHeard,
    Released,
    Requested,
    Ticked,
    Withdrawn,
)
from foreshore_decision.fencing.rules import next_due, standing
from foreshore_decision.fencing.state import (
    CLAIM_SHARE,
    LISTEN_SECONDS,
    MAXIMUM_PEERS,
    MAXIMUM_PENDING,
    RENEWALS_PER_LEASE,
    AuthorityState,
    Standing,
    has_hub,
    keepable,
    next_epoch,
    recall,
    start,
)
from foreshore_decision.fencing.transitions import step

__all__ = [
    "CLAIM_SHARE",
    "LISTEN_SECONDS",
    "MAXIMUM_PEERS",
    "MAXIMUM_PENDING",
    "RENEWALS_PER_LEASE",
    "Answered",
    "AuthorityState",
    "ConnectionChanged",
    "EpochSeen",
    "Event",
    "Fenced",
    "Granted",
    "PeerHeard",
    "Released",
    "Requested",
    "Standing",
    "Ticked",
    "Withdrawn",
    "has_hub",
    "keepable",
    "next_due",
    "next_epoch",
    "recall",
    "standing",
    "start",
    "step",
]

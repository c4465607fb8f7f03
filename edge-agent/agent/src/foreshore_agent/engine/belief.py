"""Which messages of others are believed at all; asked before anything of them is looked at.

Pure. `step` asks for every beat, renewal and grant.
"""

from typing import Final

from foreshore_agent.engine import events
from foreshore_agent.engine.events import Instant
from foreshore_agent.engine.state import State
from foreshore_api.reasons import agent as reasons
from foreshore_api.wire import beat

RELEASED: Final = ("0.1.0", 1_795_824_000.0)
"""Version and Unix seconds (28 November 2026) of this release: no clock of ours can rightly show an
earlier time. A test holds the version to the package's, so that both are set together."""


def latest(state: State, at: Instant) -> float:
    """Return the latest Unix seconds that may be now.

    A board without a clock starts in 1970, so that its own clock is not enough: what the hub last
    answered and when this release was made are heard too.
    """
    return max(at.now.timestamp(), at.boot + state.hub_ahead, RELEASED[1])


def is_believable(state: State, epoch: int, at: Instant) -> bool:
    """Whether an operator can have issued this epoch by now."""
    return beat.is_believable(epoch, latest(state, at))


def refusal(state: State, event: events.PeerBeat | events.Renewed) -> str | None:
    """Return why a message is not looked at; None if it is.

    A renewal's boot and number come first: who was not asked has nothing to say.
    """
    if isinstance(event, events.PeerBeat):
        epochs = [holding.epoch for holding in event.beat.held]
    else:
        renewal = event.renewal
        is_ours = (renewal.node, renewal.boot_id) == (state.identity.node, state.identity.boot_id)
        if not is_ours or renewal.number not in state.asked:
            return reasons.UNSOLICITED
        epochs = [answer.epoch for answer in renewal.devices]
    if epochs and not is_believable(state, max(epochs), event.at):
        return reasons.EPOCH_BEYOND_BELIEF
    return None

"""A device's ledger: tokens taken, commands open, actuators held. Written by `commanding` only.

Each function that changes it returns the device with one entry changed; none has effects. The
ledger is what `durable` keeps.
"""

from collections import Counter
from functools import reduce
from operator import or_
from typing import Final

from foreshore_agent.engine.events import Key
from foreshore_agent.engine.state import Device, Intent, Phase
from foreshore_decision.chain import limiter
from foreshore_decision.policy import compiled

WAITING: Final = frozenset({Phase.INTENT, Phase.SENDING, Phase.ANSWER})


def spent(device: Device, action: compiled.Action) -> limiter.Log:
    """Return the commands of every policy to any of the actuators that the action moves.

    One command that moved several of them counts once.
    """
    logs = [device.actuators[each] for each in action.actuators if each in device.actuators]
    if len(logs) < 2:
        return logs[0] if logs else ()
    return tuple(sorted(reduce(or_, map(Counter, logs)).elements()))


def outstanding(device: Device, action: compiled.Action) -> int:
    """Return how many commands to any of these actuators wait for an answer."""
    return sum(
        1
        for intent in device.open.values()
        if intent.phase in WAITING and not action.actuators.isdisjoint(intent.actuators)
    )


def charged(device: Device, policy: Key, seconds: float) -> Device:
    """Take a token of the policy's and of the actuator's rate limit."""
    made = device.bindings[policy].compiled
    own = limiter.taken((made.policy_rate,), device.policy_logs.get(policy, ()), seconds)
    shared = {
        each: limiter.taken((made.actuator_rate,), device.actuators.get(each, ()), seconds)
        for each in made.action.actuators
    }
    return device._replace(
        policy_logs={**device.policy_logs, policy: own},
        actuators={**device.actuators, **shared},
    )


def refunded(device: Device, intent: Intent) -> Device:
    """Give the tokens back of a command that was never issued."""
    own = _without(device.policy_logs.get(intent.policy, ()), intent.issued)
    shared = {
        each: _without(device.actuators.get(each, ()), intent.issued) for each in intent.actuators
    }
    return device._replace(
        policy_logs={**device.policy_logs, intent.policy: own},
        actuators={**device.actuators, **shared},
    )


def opened(device: Device, intent: Intent) -> Device:
    """Enter a command, or its next phase."""
    return device._replace(open={**device.open, intent.command_id: intent})


def closed(device: Device, intent: Intent) -> Device:
    """Strike a command out."""
    kept = {key: each for key, each in device.open.items() if key != intent.command_id}
    return device._replace(open=kept)


def held(device: Device, policy: Key, until: float) -> Device:
    """Hold the actuators for a policy, at least until an engine time."""
    until = max(until, device.held.get(policy, until))
    return device._replace(held={**device.held, policy: until})


def let_go(device: Device, policy: Key) -> Device:
    """End a policy's hold, unless another command of it is unknown too."""
    others = (each for each in device.open.values() if each.policy == policy)
    if any(each.phase is Phase.UNKNOWN for each in others):
        return device
    kept = {key: until for key, until in device.held.items() if key != policy}
    return device._replace(held=kept)


def _without(log: limiter.Log, moment: float) -> limiter.Log:
    if moment not in log:
        return log
    position = log.index(moment)
    return (*log[:position], *log[position + 1 :])

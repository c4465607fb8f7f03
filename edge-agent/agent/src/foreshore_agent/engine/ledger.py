"""A device's ledger: tokens taken, commands open, actuators held. Called by `commanding` only.

Each function returns the device with one entry changed; none of them has effects. The ledger is
what `durable` keeps.
"""

from foreshore_agent.engine.events import Key
from foreshore_agent.engine.state import Device, Intent, Phase
from foreshore_decision.chain import limiter


def charged(device: Device, policy: Key, seconds: float) -> Device:
    """Take a token of the policy's and of the actuator's rate limit."""
    made = device.bindings[policy].compiled
    action = made.action.name
    own = limiter.taken((made.policy_rate,), device.policy_logs.get(policy, ()), seconds)
    shared = limiter.taken((made.actuator_rate,), device.actuators.get(action, ()), seconds)
    return device._replace(
        policy_logs={**device.policy_logs, policy: own},
        actuators={**device.actuators, action: shared},
    )


def refunded(device: Device, intent: Intent) -> Device:
    """Give the tokens back of a command that was never issued."""
    own = _without(device.policy_logs.get(intent.policy, ()), intent.issued)
    shared = _without(device.actuators.get(intent.action, ()), intent.issued)
    return device._replace(
        policy_logs={**device.policy_logs, intent.policy: own},
        actuators={**device.actuators, intent.action: shared},
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

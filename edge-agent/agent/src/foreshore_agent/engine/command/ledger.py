"""A device's ledger: tokens taken, commands open, actuators held. Written by `life` and `table`.

Each function that changes it returns the device with one entry changed; none has effects. The
ledger is what `durable` keeps; what it has written of it counts no more once an entry changed.
"""

from collections import Counter
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Final

from foreshore_agent.engine.events import Key
from foreshore_agent.engine.state import EMPTY, CommandState, DeviceState, Intent
from foreshore_decision.chain import limiter
from foreshore_decision.policy import compiled

WAITING: Final = frozenset(
    {CommandState.INTENT, CommandState.SENDING, CommandState.ANSWER, CommandState.ECHO}
)
HOLDING: Final = frozenset({CommandState.UNKNOWN, CommandState.MUTE})
"""States in which a command holds what it moves."""


def spent(device: DeviceState, action: compiled.CompiledAction) -> limiter.Log:
    """Return the commands of every policy to any of the actuators that the action moves.

    One command that moved several of them counts once.
    """
    logs = [device.actuators[name] for name in action.actuators if name in device.actuators]
    if len(logs) < 2:
        return logs[0] if logs else ()
    return tuple(sorted(reduce(or_, map(Counter, logs)).elements()))


def outstanding(device: DeviceState, action: compiled.CompiledAction) -> int:
    """Return how many commands to any of these actuators wait for an answer."""
    if not device.open:  # nearly always, and asked twice in a decision
        return 0
    return sum(
        1
        for intent in device.open.values()
        if intent.state in WAITING and not action.actuators.isdisjoint(intent.actuators)
    )


def is_moving(device: DeviceState, action: compiled.CompiledAction) -> bool:
    """Whether the fate of a command to any of these actuators is open."""
    return any(not action.actuators.isdisjoint(intent.actuators) for intent in device.open.values())


def issued(device: DeviceState, intent: Intent) -> DeviceState:
    """Enter a new command, and take its tokens."""
    return charged(device, intent.policy, intent.issued, {intent.command_id: intent})


def charged(
    device: DeviceState, policy: Key, seconds: float, entries: Mapping[str, Intent] = EMPTY
) -> DeviceState:
    """Take a token of the policy's and of the actuator's rate limit."""
    made = device.bindings[policy].compiled
    own = limiter.taken((made.policy_rate,), device.policy_logs.get(policy, ()), seconds)
    shared = {
        name: limiter.taken((made.actuator_rate,), device.actuators.get(name, ()), seconds)
        for name in made.action.actuators
    }
    return device._replace(
        policy_logs={**device.policy_logs, policy: own},
        actuators={**device.actuators, **shared},
        logged=b"",
        open={**device.open, **entries},
    )


def refunded(device: DeviceState, intent: Intent) -> DeviceState:
    """Give the tokens back of a command that was never issued."""
    own = _without(device.policy_logs.get(intent.policy, ()), intent.issued)
    shared = {
        name: _without(device.actuators.get(name, ()), intent.issued) for name in intent.actuators
    }
    return device._replace(
        policy_logs={**device.policy_logs, intent.policy: own},
        actuators={**device.actuators, **shared},
        logged=b"",
    )


def spent_wholly(device: DeviceState, seconds: float) -> DeviceState:
    """Begin as if everything had just been commanded: nobody knows any more what was."""
    for name, binding in device.bindings.items():
        made = binding.compiled
        rates = [rate for rate in (made.policy_rate, made.actuator_rate) if rate is not None]
        for _ in range(max([1, *(rate.burst for rate in rates)])):
            device = charged(device, name, seconds)
        wait = made.action.time_to_live + made.action.settling_time
        device = held(device, name, seconds + wait)
    return device


def opened(device: DeviceState, intent: Intent) -> DeviceState:
    """Enter a command."""
    return device._replace(open={**device.open, intent.command_id: intent})


def entered(device: DeviceState, intent: Intent) -> DeviceState:
    """Enter a command's next state; one that is over is struck out."""
    book = dict(device.open)
    if intent.state is CommandState.OVER:
        book.pop(intent.command_id, None)
    else:
        book[intent.command_id] = intent
    return device._replace(open=book)


def held(device: DeviceState, policy: Key, until: float) -> DeviceState:
    """Hold the actuators for a policy, at least until an engine time."""
    until = max(until, device.held.get(policy, until))
    return device._replace(held={**device.held, policy: until}, logged=b"")


def let_go(device: DeviceState, intent: Intent) -> DeviceState:
    """End the hold of a command's policy, unless another command of it needs it too."""
    policy, key = intent.policy, intent.command_id
    is_needed = any(
        other.policy == policy and other.state in HOLDING
        for other in device.open.values()
        if other.command_id != key
    )
    if is_needed:
        return device
    kept = {name: until for name, until in device.held.items() if name != policy}
    return device._replace(held=kept, logged=b"")


def _without(log: limiter.Log, moment: float) -> limiter.Log:
    if moment not in log:
        return log
    position = log.index(moment)
    return (*log[:position], *log[position + 1 :])

"""Which policies of a new assignment take too long on this node, before any is worked by.

The operator times what people write, on its own machine and after the hub may have handed it out;
nothing but this keeps a policy that it refuses from being in force. What decides already is not
timed again: it proved itself, and a busy moment at a restart must not end it. Called by `life`.
"""

from collections.abc import Callable, Iterable, Mapping

from foreshore_agent.engine import versions
from foreshore_agent.engine.events import Key
from foreshore_api.wire import assignment
from foreshore_decision import policy


def too_slow(
    taken: assignment.Assignment,
    in_force: Iterable[assignment.AssignedPolicy],
    clock: Callable[[], float],
) -> Mapping[Key, str]:
    """Return what is wrong with each policy that breaks the budget; `clock` is processor time."""
    deciding: dict[Key, list[assignment.AssignedPolicy]] = {}
    for version in in_force:
        deciding.setdefault(Key(version.namespace, version.name), []).append(version)
    devices = {device.name: device for device in taken.devices}
    slow: dict[Key, str] = {}
    for wanted in taken.policies:
        key = Key(wanted.namespace, wanted.name)
        if any(versions.is_same(version, wanted) for version in deciding.get(key, ())):
            continue
        why = _why(wanted, devices, clock)
        if why is not None:
            slow[key] = why
    return slow


def _why(
    wanted: assignment.AssignedPolicy,
    devices: Mapping[str, assignment.AssignedDevice],
    clock: Callable[[], float],
) -> str | None:
    """Return why a policy is too slow for one device of each profile; types are the profile's."""
    bound = (devices.get(name) for name in wanted.devices)
    subjects = {device.spec.profile_ref.name: device for device in bound if device is not None}
    problems = (
        problem
        for device in subjects.values()
        for problem in _problems(wanted, device, devices, clock)
    )
    first = next(problems, None)
    return None if first is None else f"{first.path}: {first.message}"


def _problems(
    wanted: assignment.AssignedPolicy,
    device: assignment.AssignedDevice,
    others: Mapping[str, assignment.AssignedDevice],
    clock: Callable[[], float],
) -> tuple[policy.PolicyProblem, ...]:
    """Return what takes too long; nothing of a policy that does not compile.

    The engine compiles it too, from what is already there, and says what is wrong with it.
    """
    try:
        return policy.too_slow(policy.compile(wanted, device, others), clock)
    except Exception:  # noqa: BLE001 - said by the engine, for this policy alone
        return ()

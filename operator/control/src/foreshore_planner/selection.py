"""What a policy's selector selects nothing of, in words: the selector, and the labels there are.

`status` calls it where a policy is bound to no device: such a policy decides nothing, and nobody
would notice.
"""

from collections import Counter

from foreshore_api.v1alpha1 import selection
from foreshore_decision import selectors
from foreshore_planner import binding, phrases, snapshot


def nothing(
    policy: binding.BoundPolicy, seen: snapshot.Snapshot, bound: binding.BoundSnapshot
) -> str:
    """Say why a policy has no device."""
    namespace = policy.key[0]
    near = [
        bound.devices[binding.key(device)] for device in seen.named.devices_in.get(namespace, ())
    ]
    selector = policy.policy.spec.device_selector
    wanted = f"the selector {written(selector)} selects no accepted device"
    if not near:
        return phrases.fitted(f"{wanted}: there is no Device in namespace {namespace}")
    refused = [
        f"{device.key[1]} is not accepted: {device.problem.message}"
        for device in near
        if device.problem is not None
        and selectors.selects(selector, device.device.metadata.labels or {})
    ]
    if refused:
        return phrases.fitted(f"{wanted}: {phrases.listed(refused, 'devices', '; ')}")
    return phrases.fitted(f"{wanted}; {_carried(near)}")


def written(selector: selection.LabelSelector) -> str:
    """Return a selector as `kubectl -l` takes it."""
    terms = [f"{key}={value}" for key, value in sorted(selector.match_labels.items())]
    return ",".join([*terms, *(_term(requirement) for requirement in selector.match_expressions)])


def _term(requirement: selection.SelectorRequirement) -> str:
    match requirement.operator:
        case selection.SelectorOperator.EXISTS:
            return requirement.key
        case selection.SelectorOperator.DOES_NOT_EXIST:
            return f"!{requirement.key}"
        case selection.SelectorOperator.IN:
            return f"{requirement.key} in ({','.join(requirement.values)})"
        case selection.SelectorOperator.NOT_IN:
            return f"{requirement.key} notin ({','.join(requirement.values)})"


def _carried(near: list[binding.BoundDevice]) -> str:
    """Name the labels that devices carry, most frequent first, each with one that carries it."""
    counts: Counter[str] = Counter()
    carriers: dict[str, str] = {}
    for device in near:
        for key, value in sorted((device.device.metadata.labels or {}).items()):
            counts[f"{key}={value}"] += 1
            carriers.setdefault(f"{key}={value}", device.key[1])
    if not counts:
        return "no device there carries a label"
    ranked = sorted(counts, key=lambda label: (-counts[label], label))
    return "devices there carry " + phrases.listed(
        (f"{label} ({carriers[label]})" for label in ranked), "labels"
    )

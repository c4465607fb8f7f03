"""One decision: gather the facts, run the gates, ask the model between, act on the verdict.

    trigger ──begin──► BEFORE_INFERENCE ──Infer──► (waits) ──resume──► AFTER_INFERENCE ──conclude──►
    NotTriggered … Denied: recorded · Shadowed, Advised: would have · Commanded: `commanding.issue`

Facts are gathered anew after the model has answered: limits, rates, caps and authority count as
they are then. Below Supervised everything is "would have": the real logs are read and never
written.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from foreshore_agent.engine import asking, commanding, effects, events, ledger, lowering, recording
from foreshore_agent.engine.events import Instant, Key
from foreshore_agent.engine.state import Binding, Device, Flight, State
from foreshore_api.v1alpha1 import Mode
from foreshore_api.v1alpha1.device import Lock
from foreshore_api.v1alpha1.evaluation import OnInvalid
from foreshore_api.wire import histogram
from foreshore_api.wire import record as wire
from foreshore_decision import fencing, record
from foreshore_decision.chain import evaluate, facts, limiter, modes, order, reasons

FLIGHT_GRACE: Final = 5.0
"""Seconds beyond its timeout after which a question that nobody answered counts as late."""

Effects = tuple[effects.Effect, ...]


class Outcome(NamedTuple):
    """The device after one step of a decision, and what is to be done."""

    device: Device
    effects: Effects = ()


def is_evaluating(standing: fencing.Standing) -> bool:
    """Whether this agent decides for the device: it holds a grant, renewed or not."""
    return standing not in (fencing.Standing.NONE, fencing.Standing.SUPERSEDED)


def begin(
    state: State,
    device: Device,
    policy: Key,
    trigger: facts.Trigger,
    received: float,
    at: Instant,
    decision_id: str,
) -> Outcome:
    """Start a decision; a policy without a model ends in the same step."""
    binding = device.bindings[policy]
    seconds = state.identity.seconds(at)
    binding = binding._replace(pending=None, evaluated=seconds)
    standing = device.standing  # as last noticed: it is asked again once the model has answered
    if binding.compiled.inference is None:
        standing = fencing.standing(device.authority, at.boot)
    given = gather(state, device, policy, binding, trigger, at, decision_id, standing)
    evaluation = evaluate.evaluate(order.BEFORE_INFERENCE, facts.Facts(given))
    asked = binding.compiled.inference
    if evaluation.decided_by is None and asked is not None:
        tensors, problem = asking.question(asked, evaluation.facts)
        if problem is None:
            flight = Flight(evaluation.facts, evaluation.entries, received, at.monotonic)
            device = _bound(device, policy, binding._replace(flight=flight))
            infer = effects.Infer(
                decision_id, policy, device.key, asked.model, asked.digest, tensors, asked.timeout
            )
            return Outcome(device, (infer,))
        answer = facts.Answer({}, problem=reasons.INFERENCE_FAILED, detail=problem)
        evaluation = evaluation._replace(facts=evaluation.facts._replace(answer=answer))
    if evaluation.decided_by is None:
        evaluation = evaluate.evaluate(order.AFTER_INFERENCE, evaluation.facts, evaluation.entries)
    return conclude(state, device, policy, binding, evaluation, received, at, {})


def resume(
    state: State,
    device: Device,
    policy: Key,
    answer: facts.Answer,
    at: Instant,
    latency: Mapping[str, float],
    node: str,
) -> Outcome:
    """Go on with a decision whose model has answered, or will not."""
    binding = device.bindings[policy]
    flight = binding.flight
    if flight is None:
        return Outcome(device)
    before = flight.found.given
    standing = fencing.standing(device.authority, at.boot)
    given = gather(state, device, policy, binding, before.trigger, at, before.decision_id, standing)
    found = flight.found._replace(given=given, answer=answer)
    if given.is_locked or given.mode is Mode.DISABLED:
        reason = reasons.DEVICE_LOCKED if given.is_locked else reasons.DISABLED
        evaluation = evaluate.abandon(found, reason)
    else:
        evaluation = evaluate.evaluate(order.AFTER_INFERENCE, found, flight.entries)
    binding = binding._replace(flight=None)
    device, done = conclude(
        state, device, policy, binding, evaluation, flight.received, at, latency
    )
    stages = tuple(
        effects.Observe(policy, stage, seconds, node) for stage, seconds in latency.items()
    )
    return Outcome(device, (*done, *stages))


def abandon(state: State, device: Device, policy: Key, binding: Binding, at: Instant) -> Outcome:
    """Drop a decision whose policy or device was replaced while the model was being asked."""
    if binding.flight is None:
        return Outcome(device)
    evaluation = evaluate.abandon(binding.flight.found, reasons.POLICY_CHANGED)
    received = binding.flight.received
    binding = binding._replace(flight=None)
    return conclude(state, device, policy, binding, evaluation, received, at, {})


def gather(
    state: State,
    device: Device,
    policy: Key,
    binding: Binding,
    trigger: facts.Trigger,
    at: Instant,
    decision_id: str,
    standing: fencing.Standing,
) -> facts.Given:
    """Collect everything that the gates may look at, as it is now."""
    made = binding.compiled
    mode, caps = lowering.effective(state, made)
    actuator = ledger.spent(device, made.action)
    policy_log = device.policy_logs.get(policy, ())
    if not modes.is_acting(mode):
        policy_log = limiter.merged(policy_log, binding.would_policy_log)
        actuator = limiter.merged(actuator, binding.would_actuator_log)
    return facts.Given(
        decision_id=decision_id,
        at=at,
        seconds=state.identity.seconds(at),
        policy=made,
        mode=mode,
        caps=caps,
        is_locked=device.assigned.spec.lock is Lock.LOCKED,
        trigger=trigger,
        readings=device.readings,
        windows=binding.windows,
        last_good=binding.last_good,
        policy_log=policy_log,
        actuator_log=actuator,
        outstanding=ledger.outstanding(device, made.action),
        held_until=device.held.get(policy),
        holder=facts.Holder(state.identity.node, device.authority.epoch, standing),
    )


def conclude(
    state: State,
    device: Device,
    policy: Key,
    binding: Binding,
    evaluation: evaluate.Evaluation,
    received: float,
    at: Instant,
    latency: Mapping[str, float],
) -> Outcome:
    """Act on a verdict: issue, advise or only remember, and record."""
    verdict = evaluate.verdict(evaluation)
    entry, given = evaluation.decided_by, evaluation.facts.given
    reason = evaluation.facts.reason if entry is None else entry.reason
    label = (verdict.value, reason, None if entry is None else entry.name)
    is_new = label != binding.last
    binding = binding._replace(last=label, last_good=_remember_good(binding, evaluation.facts))
    decided = effects.Decided(
        policy, device.key, verdict, reason, evaluate.rules(evaluation), given.trigger.received
    )
    waited = sum(latency.values())
    stages = {**latency, "Decide": max(0.0, at.monotonic - received - waited)}
    if verdict is wire.Verdict.COMMANDED:
        device = _bound(device, policy, binding)
        device, done = commanding.issue(state, device, policy, evaluation, received, at, stages)
        return Outcome(device, (*done, decided))
    written: tuple[effects.Effect, ...] = ()
    if evaluate.would_command(evaluation):
        binding = _would_take(binding, given)
        written = (effects.Observe(policy, histogram.Stage.DECIDE, stages["Decide"]),)
        if verdict is wire.Verdict.ADVISED:
            written += (_advice(device.key, policy, evaluation, at),)
    rate = _sample_rate(evaluation, verdict, is_new=is_new)
    if record.is_sampled(given.decision_id, rate):
        line = recording.decision(
            state,
            evaluation,
            verdict,
            at,
            command=None,
            latency=stages,
            sampled_rate=round(1 / rate) if rate < 1 else None,
            is_routine=not is_new and _is_routine(evaluation, verdict),
        )
        written += (effects.Journal((line,)),)
    device = _bound(device, policy, binding)
    return Outcome(device, (*written, decided))


def _sample_rate(evaluation: evaluate.Evaluation, verdict: wire.Verdict, *, is_new: bool) -> float:
    """Return the share of such decisions that is kept: all, but of dull ones that repeat."""
    if is_new or not _is_routine(evaluation, verdict):
        return 1.0
    return evaluation.facts.given.policy.sample_rate


def _is_routine(evaluation: evaluate.Evaluation, verdict: wire.Verdict) -> bool:
    """Whether a decision says nothing new when it repeats.

    A holder without its right is denied on every sample until somebody else takes over; written
    out, that would fill the room of the records that nobody may lose.
    """
    entry = evaluation.decided_by
    is_denied = verdict is wire.Verdict.DENIED and entry is not None and entry.gate == "Authority"
    return is_denied or verdict in evaluate.ROUTINE


def answered(event: events.Inferred) -> tuple[facts.Answer, dict[str, float]]:
    """Read an answer, and where its time went."""
    latency = {histogram.Stage.NETWORK.value: event.network}
    if event.inference is not None:
        latency[histogram.Stage.INFERENCE.value] = event.inference
    return facts.Answer(event.outputs, event.attempts, model=event.model), latency


def _bound(device: Device, policy: Key, binding: Binding) -> Device:
    return device._replace(bindings={**device.bindings, policy: binding})


def _would_take(binding: Binding, given: facts.Given) -> Binding:
    """Note a command that only the mode kept from being issued."""
    policy = binding.compiled
    return binding._replace(
        would_policy_log=limiter.taken(
            (policy.policy_rate,), binding.would_policy_log, given.seconds
        ),
        would_actuator_log=limiter.taken(
            (policy.actuator_rate,), binding.would_actuator_log, given.seconds
        ),
    )


def _remember_good(binding: Binding, found: facts.Facts) -> Mapping[str, facts.Good]:
    kept = {each.name for each in binding.compiled.inputs if each.on_invalid is OnInvalid.LAST_GOOD}
    if not kept:
        return binding.last_good
    good = {
        each.name: facts.Good(each.value, each.received)
        for each in found.inputs
        if each.name in kept
        and each.problem is None
        and each.value is not None
        and each.received is not None
    }
    return {**binding.last_good, **good}


def _advice(
    device: Key, policy: Key, evaluation: evaluate.Evaluation, at: Instant
) -> effects.Advise:
    found = evaluation.facts
    return effects.Advise(
        policy=policy,
        device=device,
        action=found.given.policy.action.name,
        values=dict(found.limited or {}),
        reason=found.reason,
        decision_id=found.given.decision_id,
        time=at.now,
    )

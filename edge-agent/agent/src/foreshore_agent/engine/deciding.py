"""One decision: gather the facts, run the gates, ask the model between, act on the verdict.

    trigger ──begin──► BEFORE_INFERENCE ──Infer──► (waits) ──resume──► AFTER_INFERENCE ──conclude──►
    NotTriggered … Denied: recorded · Shadowed, Advised: would have · Commanded: `life.issue`
    Commanded, and the device reports it already: Confirmed at once, nothing is sent

Facts are gathered anew after the model has answered: limits, rates, caps and authority count as
they are then. Below Supervised everything is "would have": the real logs are read and never
written.

What a device reports already would be found anew in every evaluation for as long as the rules want
it, a thousand times a second where that is how fast it measures. So it is recorded like what
repeats: in full when it is new, then as often as `record.routineSampleRate` says, and never among
the records that nobody may lose; counters count each.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, assert_never

from foreshore_agent.engine import effects, events, presence, recording, tensors
from foreshore_agent.engine.command import ledger, life
from foreshore_agent.engine.events import Key
from foreshore_agent.engine.state import EMPTY, Binding, DeviceState, Flight
from foreshore_agent.engine.turn import Change, Turn
from foreshore_api.reasons import command as outcomes
from foreshore_api.reasons import decision as reasons
from foreshore_api.v1alpha1.device import Lock
from foreshore_api.v1alpha1.evaluation import OnInvalid
from foreshore_api.wire import histogram
from foreshore_api.wire import record as wire
from foreshore_decision import fencing, record
from foreshore_decision.chain import evaluate, facts, limiter, modes, order
from foreshore_decision.policy import CompiledPolicy

FLIGHT_GRACE: Final = 5.0
"""Seconds beyond its timeout after which a question that nobody answered counts as late."""
ALREADY_EQUAL: Final = str(outcomes.ALREADY_EQUAL)
DECIDE: Final = histogram.Stage.DECIDE.value
NETWORK: Final = histogram.Stage.NETWORK.value
INFERENCE: Final = histogram.Stage.INFERENCE.value
COMMANDED, ADVISED = wire.Verdict.COMMANDED, wire.Verdict.ADVISED
LOCKED: Final = Lock.LOCKED
LAST_GOOD: Final = OnInvalid.LAST_GOOD
_WITHOUT_GRANT: Final = frozenset({fencing.Standing.NONE, fencing.Standing.SUPERSEDED})


class Reply(NamedTuple):
    """What came of asking the model, and where the time went."""

    answer: facts.Answer
    latency: Mapping[str, float] = EMPTY
    """Seconds by stage."""
    node: str = ""
    """The replica's node, where one answered."""
    queued: float | None = None
    """Seconds of Inference in which the model did not run."""


def is_evaluating(standing: fencing.Standing) -> bool:
    """Whether this agent decides for the device: it holds a grant, renewed or not."""
    return standing not in _WITHOUT_GRANT


def begin(
    turn: Turn, device: DeviceState, policy: Key, trigger: facts.Trigger, received: float
) -> Change[DeviceState]:
    """Start a decision; a policy without a model ends in the same step.

    `received` is monotonic, of the sample that triggered it.
    """
    turn.stopwatch.start()
    change = _begin(turn, device, policy, trigger, received)
    turn.stopwatch.stop(device.key, policy)
    return change


def _begin(
    turn: Turn, device: DeviceState, policy: Key, trigger: facts.Trigger, received: float
) -> Change[DeviceState]:
    binding = device.bindings[policy]
    standing = device.standing  # as last noticed: it is asked again once the model has answered
    if binding.compiled.inference is None:
        standing = fencing.standing(device.authority, turn.at.boot)
    decision_id = turn.identifiers.take()
    given = gather(turn, device, policy, trigger, decision_id, standing)
    evaluation = evaluate.evaluate(order.BEFORE_INFERENCE, facts.Facts(given))
    inference = binding.compiled.inference
    if evaluation.decided_by is None and inference is not None:
        asked, problem = tensors.lay_out(inference, evaluation.facts)
        if problem is None:
            flight = Flight(evaluation.facts, evaluation.entries, received, turn.at.monotonic)
            binding = binding._replace(pending=None, evaluated=turn.seconds, flight=flight)
            infer = effects.Infer(
                decision_id,
                policy,
                device.key,
                inference.model,
                inference.digest,
                asked,
                inference.timeout,
            )
            return Change(bound(device, policy, binding), (infer,))
        answer = facts.Answer({}, problem=reasons.INFERENCE_FAILED, detail=problem)
        evaluation = evaluate.proceed(evaluation, answer)
    elif evaluation.decided_by is None:
        evaluation = evaluate.proceed(evaluation)
    binding = binding._replace(pending=None, evaluated=turn.seconds)
    return conclude(turn, device, binding, evaluation, received, {})


def resume(turn: Turn, device: DeviceState, policy: Key, reply: Reply) -> Change[DeviceState]:
    """Go on with a decision whose model has answered, or will not."""
    flight = device.bindings[policy].flight
    if flight is None:
        return Change(device)
    turn.stopwatch.start()
    change = _resume(turn, device, policy, flight, reply)
    turn.stopwatch.stop(device.key, policy)
    return change


def _resume(
    turn: Turn, device: DeviceState, policy: Key, flight: Flight, reply: Reply
) -> Change[DeviceState]:
    before = flight.before.given
    standing = fencing.standing(device.authority, turn.at.boot)
    given = gather(turn, device, policy, before.trigger, before.decision_id, standing)
    earlier = evaluate.Evaluation(flight.before, flight.entries, None)
    evaluation = evaluate.proceed(earlier, reply.answer, given)
    stages = tuple(
        effects.Observe(
            policy, stage, seconds, reply.node, reply.queued if stage == INFERENCE else None
        )
        for stage, seconds in reply.latency.items()
    )
    binding = device.bindings[policy]
    change = conclude(turn, device, binding, evaluation, flight.received, reply.latency)
    return change.also(*stages)


def disarm(turn: Turn, device: DeviceState, policy: Key, seconds: float) -> Change[DeviceState]:
    """Decide no more by a policy that holds all others up, and say so.

    A decision that waits for its model ends, disarmed, when the answer comes.
    """
    binding = device.bindings[policy]
    if binding.too_slow is not None:
        return Change(device)
    why = reasons.EXPRESSION_TOO_SLOW.message
    message = f"{why}: the newest took {seconds * 1e3:.0f} ms of a processor on {device.key.name}"
    binding = binding._replace(too_slow=message)
    done = recording.notice(
        turn, reasons.EXPRESSION_TOO_SLOW, message, device=device.key, policy=policy
    )
    return Change(bound(device, policy, binding), done)


def abandon(
    turn: Turn,
    device: DeviceState,
    policy: Key,
    reason: reasons.GateReason = reasons.POLICY_CHANGED,
) -> Change[DeviceState]:
    """Drop a decision whose grounds were replaced, or went, while the model was being asked."""
    binding = device.bindings[policy]
    flight = binding.flight
    if flight is None:
        return Change(device)
    given = flight.before.given._replace(replaced=tuple(binding.replaced.items()))
    evaluation = evaluate.abandon(flight.before._replace(given=given), reason)
    return conclude(turn, device, binding, evaluation, flight.received, {})


def void(
    turn: Turn, device: DeviceState, names: frozenset[str], problem: reasons.GateReason
) -> Change[DeviceState]:
    """Make readings void, and drop the decisions whose model was asked about them."""
    change = unground(turn, device, names)
    return Change(presence.voided(change.value, names, problem, turn.seconds), change.effects)


def unground(turn: Turn, device: DeviceState, names: frozenset[str]) -> Change[DeviceState]:
    """Drop the decisions whose model was asked about what is void now, and its last good values.

    By the names under which the device's policies have it: it may be void of another device.
    """
    change = Change(device)
    for policy, binding in device.bindings.items():
        if binding.flight is not None and presence.reads(binding, names):
            change = change.then(abandon, turn, policy, reasons.READINGS_VOID)
    return Change(presence.unbelieved(change.value, names), change.effects)


def gather(
    turn: Turn,
    device: DeviceState,
    policy: Key,
    trigger: facts.Trigger,
    decision_id: str,
    standing: fencing.Standing,
) -> facts.Given:
    """Collect everything that the gates may look at, as it is now."""
    binding = device.bindings[policy]
    made = binding.compiled
    mode, caps = turn.mode(made, is_too_slow=binding.too_slow is not None)
    actuator = ledger.spent(device, made.action)
    policy_log = device.policy_logs.get(policy, ())
    if not modes.is_acting(mode):
        policy_log = limiter.merged(policy_log, binding.would_policy_log)
        actuator = limiter.merged(actuator, binding.would_actuator_log)
    # by position, in the order of the fields: by name it takes five times as long
    return facts.Given(
        decision_id,
        turn.seconds,
        made,
        mode,
        caps,
        device.assigned.spec.lock is LOCKED,
        trigger,
        _readings(turn, device, made) if made.others else presence.aged(device),
        binding.windows,
        binding.last_good,
        limiter.spent(made.policy_rate, policy_log, turn.seconds),
        limiter.spent(made.actuator_rate, actuator, turn.seconds),
        ledger.outstanding(device, made.action),
        device.held.get(policy),
        facts.Holder(turn.identity.node, device.authority.epoch, standing),
        turn.recorder.full,
        binding.too_slow is not None,
        tuple(binding.replaced.items()),
        binding.grids,
    )


def _readings(turn: Turn, device: DeviceState, made: CompiledPolicy) -> Mapping[str, facts.Reading]:
    """Return what the device measures, and what a policy reads of others, as it is there now."""
    readings = dict(presence.aged(device))
    for other in made.others:
        elsewhere = turn.devices.get(Key(other.namespace, other.device))
        reading = None if elsewhere is None else presence.aged(elsewhere).get(other.property)
        if reading is not None:
            readings[other.name] = reading
    return readings


def conclude(
    turn: Turn,
    device: DeviceState,
    binding: Binding,
    evaluation: evaluate.Evaluation,
    received: float,
    latency: Mapping[str, float],
) -> Change[DeviceState]:
    """Act on a verdict: issue, advise or only remember, and record.

    The decision is in flight no more. `binding` is what it is of, `latency` seconds by stage, of
    asking the model.
    """
    policy = Key(binding.compiled.namespace, binding.compiled.name)
    verdict = evaluate.verdict(evaluation)
    entry, given = evaluation.decided_by, evaluation.facts.given
    reason = evaluation.facts.reason if entry is None else entry.reason
    is_already = verdict is COMMANDED and life.is_already(turn, device, evaluation)
    name = None if entry is None else entry.name
    label = (verdict, reason, ALREADY_EQUAL if is_already else name)
    is_new = label != binding.last
    binding = binding._replace(flight=None, last=label, last_good=_good(binding, evaluation.facts))
    decided = effects.Decided(
        policy, device.key, verdict, reason, evaluate.rules(evaluation), given.trigger.received
    )
    decide = max(0.0, turn.at.monotonic - received - sum(latency.values()))
    stages = {**latency, DECIDE: decide}
    if verdict is COMMANDED and not is_already:
        device = bound(device, policy, binding._replace(replaced=facts.NONE))
        return life.issue(turn, device, evaluation, received, stages).also(decided)
    done: tuple[effects.Effect, ...] = ()
    if evaluate.would_command(evaluation):
        binding = _would_take(binding, given)
        done = (effects.Observe(policy, DECIDE, decide),)
        if verdict is ADVISED:
            done += (_advice(turn, device.key, policy, evaluation.facts),)
    later: tuple[effects.Record, ...] = ()
    if is_already:
        outcome, count = life.spare(turn, device, evaluation, received)
        later, done = (outcome,), (count,)
    is_routine = is_already or _is_routine(evaluation, verdict)
    rate = 1.0 if is_new or not is_routine else given.policy.sample_rate
    if record.is_sampled(given.decision_id, rate):
        line = recording.decision(
            turn,
            evaluation,
            verdict,
            latency=stages,
            sampled_rate=round(1 / rate) if rate < 1 else None,
            is_routine=is_already or (not is_new and is_routine),
        )
        done += (effects.AppendRecords((line, *later)),)
        binding = binding._replace(replaced=facts.NONE)
    return Change(bound(device, policy, binding), (*done, decided))


def _is_routine(evaluation: evaluate.Evaluation, verdict: wire.Verdict) -> bool:
    """Whether a decision says nothing new when it repeats.

    A holder without its right is denied on every sample until somebody else takes over; written
    out, that would fill the room of the records that nobody may lose.
    """
    entry = evaluation.decided_by
    is_denied = (
        verdict is wire.Verdict.DENIED and entry is not None and entry.gate == reasons.AUTHORITY
    )
    return is_denied or verdict in evaluate.ROUTINE


def reply(event: events.Inferred | events.InferenceLate | events.InferenceFailed) -> Reply:
    """Read what came of asking the model."""
    match event:
        case events.Inferred():
            latency = {NETWORK: event.network} if event.network else {}
            if event.inference is not None:
                latency[INFERENCE] = event.inference
            answer = facts.Answer(
                event.outputs, event.attempts, model=event.model, provider=event.provider
            )
            return Reply(answer, latency, event.node, event.queued)
        case events.InferenceLate():
            problem = reasons.INFERENCE_LATE
        case events.InferenceFailed():
            is_other = event.reason == reasons.OTHER_VERSION
            problem = reasons.OTHER_VERSION if is_other else reasons.INFERENCE_FAILED
        case _:
            assert_never(event)
    return Reply(facts.Answer({}, event.attempts, problem, event.reason))


def bound(device: DeviceState, policy: Key, binding: Binding) -> DeviceState:
    """Return the device with what one of its policies has come to."""
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


def _good(binding: Binding, decided: facts.Facts) -> Mapping[str, facts.Good]:
    """Return the last good values, for inputs that may fall back to them."""
    names = {source.name for source in binding.compiled.inputs if source.on_invalid is LAST_GOOD}
    if not names:
        return binding.last_good
    good = {
        read.name: facts.Good(read.value, read.received)
        for read in decided.inputs
        if read.name in names
        and read.problem is None
        and read.value is not None
        and read.received is not None
    }
    return {**binding.last_good, **good}


def _advice(turn: Turn, device: Key, policy: Key, decided: facts.Facts) -> effects.Advise:
    return effects.Advise(
        policy=policy,
        device=device,
        action=decided.given.policy.action.name,
        values=dict(decided.limited or {}),
        reason=decided.reason,
        decision_id=decided.given.decision_id,
        time=turn.at.now,
    )

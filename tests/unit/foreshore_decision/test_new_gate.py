"""What a new gate costs: its function, its name and reasons, one row of the order. No more.

The gate of this file stands for the next one. Where it needed a change anywhere else, that place
would know gates by name, and the tests here would fail.
"""

from typing import Any, Final

import pytest

from builders import chain as builder
from builders import engine_rig, room
from foreshore_api import reasons
from foreshore_api.reasons import decision
from foreshore_api.wire import record as wire
from foreshore_decision import explain, record
from foreshore_decision.chain import evaluate, facts, order
from foreshore_decision.chain.gate import Chain, Gate
from foreshore_decision.record import replay

# The table: a name and two reasons.
DAYLIGHT: Final = decision.GateName("Daylight", wire.Verdict.SUPPRESSED, "Is it light enough?")
BRIGHT: Final = decision.passes(DAYLIGHT, "Bright", "There is enough light.")
DARK: Final = decision.decides(
    DAYLIGHT,
    "Dark",
    "There is too little light to act by.",
    "{light} lx is too dark for {action}",
    "{needed} lx of light",
)
TABLE: Final = {**decision.TABLE, **reasons.table(decision.GateReason, globals())}


# The gate: a function of its own file.
def daylight(gate: decision.GateName, facts_: facts.Facts) -> facts.Step:
    """Pass while there is enough light."""
    light = facts_.values["light"]
    assert isinstance(light, float)
    is_bright = light >= 100.0
    entry = facts.Entry(
        gate,
        wire.Phase.PASS if is_bright else wire.Phase.FAIL,
        BRIGHT if is_bright else DARK,
        operands={"light": light, "needed": 100.0},
        margin=light - 100.0,
    )
    return facts.Step(facts_, entry)


# The order: one row.
CHAIN: Final = Chain((*order.BEFORE_INFERENCE, Gate(DAYLIGHT, daylight)), order.AFTER_INFERENCE)


def recorded(light: float) -> tuple[evaluate.Evaluation, dict[str, Any]]:
    given = builder.given(builder.made(), {**builder.GOOD, "light": light})
    evaluation = builder.run(given, chain=CHAIN)
    data = record.decision(
        evaluation,
        evaluate.verdict(evaluation),
        command=None,
        latency={},
        engine={
            "site": "hq",
            "node": "edge-1",
            "clock": {"bootId": "b", "monotonicSeconds": 1.0, "synchronised": True},
            "engine": {"agent": "0", "expressions": "cel"},
        },
        names=CHAIN.names,
    )
    return evaluation, data


@pytest.mark.parametrize(
    ("light", "expected"), [(40.0, wire.Verdict.SUPPRESSED), (400.0, wire.Verdict.COMMANDED)]
)
def test_a_new_gate_decides_with_the_verdict_of_its_row(
    light: float, expected: wire.Verdict
) -> None:
    assert evaluate.verdict(recorded(light)[0]) is expected


def test_a_new_gate_is_recorded_with_its_sentence_and_the_gates_that_it_spared() -> None:
    _, data = recorded(40.0)
    parsed = wire.Decision.model_validate(data)
    assert [line.gate for line in parsed.gates] == list(CHAIN.names)
    assert [line.phase for line in parsed.gates[4:]] == [wire.Phase.SKIPPED] * 6
    assert (parsed.verdict.decided_by, parsed.verdict.reason) == ("Daylight", "Dark")
    assert parsed.verdict.message == "40 lx is too dark for setAirflow"


def test_a_new_gate_is_explained_with_what_would_change_it() -> None:
    parsed = wire.Decision.model_validate(recorded(40.0)[1])
    told = explain.lines(explain.explain(parsed, "2026-03-01T10:00:00Z", table=TABLE))
    assert "it would have gone on with 100 lx of light" in "\n".join(told)


@pytest.mark.parametrize("light", [40.0, 400.0])
def test_a_new_gate_is_replayed(light: float) -> None:
    assigned = engine_rig.assign(room.policy())
    again = replay.replay(recorded(light)[1], assigned.policies[0], assigned.devices[0], CHAIN)
    assert isinstance(again, replay.Replayed)
    assert again.is_same

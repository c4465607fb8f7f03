"""Records of a model of words and windows: shipped, stored, served, told by `kubectl foreshore`."""

import json
from pathlib import Path

import pytest

from builders import engine_rig, room
from foreshore_api.wire import assignment, record
from foreshore_cli import terminal, why
from foreshore_decision import record as record_chain
from foreshore_hub import ingest, packed, store, views

pytestmark = pytest.mark.component

NODE = "edge-1"


def documents() -> tuple[room.Json, ...]:
    """A device that says its state in a word, and a model that takes it and answers with one."""
    profile, policy = room.profile(), room.policy()
    profile["spec"]["properties"].append({"name": "state", "type": "String"})
    policy["spec"]["inputs"].append(
        {"name": "state", "property": "state", "type": "String", "maximumAge": "90s"}
    )
    said = {"name": "isThere", "effect": "Permit", "expression": "label == 'présent'"}
    policy = room.changed(
        policy,
        spec__record={"routineSampleRate": "1"},
        spec__inference={"outputs": [{"name": "label", "output": "label"}]},
        spec__rules=[{**said, "reason": "SomebodyIsThere"}],
    )
    window = {"steps": 2, "every": "1s"}
    inputs = [
        {"name": "words", "dataType": "BYTES", "shape": [1, 1], "features": ["state"]},
        {
            "name": "window",
            "dataType": "FP32",
            "shape": [1, 2, 1],
            "features": ["co2"],
            "window": window,
        },
    ]
    outputs = [{"name": "label", "dataType": "BYTES", "shape": [1]}]
    return profile, policy, room.changed(room.model(), spec__inputs=inputs, spec__outputs=outputs)


def shipped(bodies: list[str]) -> record.Batch:
    rows, previous = [], ingest.GENESIS
    for number, body in enumerate(bodies, start=1):
        chained = record_chain.link(previous, body.encode())
        rows.append(
            record.ShippedRecord(sequence=number, previous=previous, hash=chained, body=body)
        )
        previous = chained
    return record.Batch(journal="j", records=tuple(rows))


async def test_words_and_windows_are_told_from_the_hub_as_they_were_decided(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = engine_rig.Rig(documents(), outputs={"label": ("présent",)})
    rig.sample(**engine_rig.OCCUPIED, state="marche à vide")
    rig.wait(1.0)
    rig.sample(**engine_rig.OCCUPIED, state="marche à vide")
    batch = shipped([json.dumps(event) for event in rig.records])
    async with store.RecordStore(f"sqlite:///{tmp_path / 'hub.db'}") as kept:
        desired = assignment.Assignment.model_validate(
            {
                "node": NODE,
                "lineage": "l",
                "generation": 1,
                "digest": "d",
                "site": {
                    "namespace": "hq",
                    "name": "hq",
                    "spec": {"broker": {"host": "10.0.0.9", "port": 1883, "transport": "Plain"}},
                },
            }
        )
        await kept.assign(packed.PackedAssignment.of(desired))
        await kept.append(NODE, batch)
        found = await kept.find(store.Selection())
    told = []
    for stored in found:
        document = views.decision(stored)
        terminal.show(*why.worded(why.explained(document), document))
        told.append(capsys.readouterr().out)
    commanded, waiting = told
    for part in (
        "Commanded: SomebodyIsThere",
        "state = marche à vide",
        "label = présent",
        "window: 2 × 1 samples every 1 s, full",
    ):
        assert part in commanded
    assert "co2 is not ready: 1 of 2 samples every 1 s are there; full in 1 s" in " ".join(
        waiting.split()
    )

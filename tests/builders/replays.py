"""Every record that an engine has written decides the same again."""

import json

from builders import engine_rig
from foreshore_api.wire import record as wire
from foreshore_decision.record import replay


def assert_replays(rig: engine_rig.Rig, fewest: int = 1) -> None:
    """Each record, travelled, is what the wire has, and is evaluated again to what it says."""
    assigned = engine_rig.assign(*rig.documents)
    others = {device.name: device for device in assigned.devices}
    decided = others[engine_rig.DEVICE.name]
    assert len(rig.decisions) >= fewest
    for recorded in rig.decisions:
        wire.Decision.model_validate(recorded)
        travelled = json.loads(json.dumps(recorded))
        again = replay.replay(travelled, assigned.policies[0], decided, others=others)
        assert isinstance(again, replay.Replayed), again
        assert replay.projection(again.data) == replay.projection(recorded)
        assert again.is_same

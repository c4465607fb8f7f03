"""Which device is played, and what is said where it cannot be."""

from pathlib import Path

import pytest
import yaml

from builders import room
from foreshore_agent.play import stage


def test_a_device_whose_topic_cannot_be_is_said_before_it_is_played(tmp_path: Path) -> None:
    topic = "zigbee2mqtt/{parameters.friendlyName}"
    documents = [
        room.changed(item, spec__mqtt__telemetryTopic=topic)
        if item["kind"] == "DeviceProfile"
        else item
        for item in room.all_of()
    ]
    (tmp_path / "room.yaml").write_text(yaml.safe_dump_all(documents))
    with pytest.raises(stage.StageError, match=r"Device room-301: .* parameter friendlyName"):
        stage.find(tmp_path, "room-301")

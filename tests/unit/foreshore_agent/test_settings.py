from pathlib import Path

import pytest

from foreshore_agent import settings

NO_HUB = settings.HubFlags(None, None, None, None)
NO_FOLDER = settings.FolderFlags(None, None, None)
FOLDER = settings.FolderFlags(Path("/resources"), None, None)
TOKEN = Path("/token")


def test_a_folder_needs_nothing_else() -> None:
    assert settings.source(NO_HUB, FOLDER) == settings.FolderSettings(
        Path("/resources"), None, None
    )


def test_a_hub_needs_a_node_and_a_token() -> None:
    flags = settings.HubFlags("edge-1", "https://10.0.0.1:8443", TOKEN, None)
    assert settings.source(flags, NO_FOLDER) == settings.HubSettings(
        "https://10.0.0.1:8443", TOKEN, None
    )


@pytest.mark.parametrize(
    ("hub", "folder", "complaint"),
    [
        pytest.param(NO_HUB, NO_FOLDER, "--resources", id="neither"),
        pytest.param(
            settings.HubFlags("n", "https://h", TOKEN, None), FOLDER, "exclude", id="both"
        ),
        pytest.param(
            settings.HubFlags(None, "https://h", TOKEN, None), NO_FOLDER, "--node", id="no node"
        ),
        pytest.param(
            settings.HubFlags("n", "https://h", None, None), NO_FOLDER, "--token", id="no token"
        ),
        pytest.param(
            settings.HubFlags("n", "http://10.0.0.1", TOKEN, None),
            NO_FOLDER,
            "https://",
            id="a token over plain HTTP",
        ),
    ],
)
def test_what_does_not_go_together_says_what_would(
    hub: settings.HubFlags, folder: settings.FolderFlags, complaint: str
) -> None:
    with pytest.raises(settings.SettingsError, match=complaint):
        settings.source(hub, folder)

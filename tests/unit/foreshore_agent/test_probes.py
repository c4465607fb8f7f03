"""What an agent asks for an echo: the port of another agent, and nothing else."""

import pytest

from foreshore_agent import probes


@pytest.mark.parametrize(
    "url",
    [
        "http://10.42.0.7:8081",
        "http://10.42.0.7:8081/",
        "http://[fd00::7]:8081",
        "http://127.0.0.1:1",
    ],
)
def test_an_agents_own_port_is_asked(url: str) -> None:
    assert probes.is_askable(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254:80/",
        "http://10.42.0.7:8081/latest/meta-data",
        "http://10.42.0.7:8081/?x=1",
        "http://10.42.0.7:8081/#x",
        "http://me@10.42.0.7:8081/",
        "http://10.42.0.7/",
        "http://10.42.0.7:99999/",
        "http://database.bank:8081/",
        "https://10.42.0.7:8081/",
        "file:///etc/passwd",
        "http://0.0.0.0:8081/",
        "http://224.0.0.1:8081/",
        "http://[::1",
        "",
    ],
)
def test_whatever_else_an_assignment_names_is_not_asked(url: str) -> None:
    assert not probes.is_askable(url)

"""What a running agent holds in memory: nothing of the verbs, the hub's client or the servers.

An import costs every agent its memory and every start its time, and nobody sees it in a review. So
an agent runs here, from a folder with a model, and its modules are looked at once it has an
assignment. `typer` stays: the same process parsed the command line (1 MB).
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness import process

EXAMPLE = Path(__file__).parents[2] / "examples/01-ventilate-a-room"
FORBIDDEN = {
    "aiohttp": "11 MB and 0.2 s; for the hub and for peers only",
    "foreshore_agent.hub": "an agent by itself has no hub",
    "foreshore_agent.capture.verb": "a verb of its own",
    "foreshore_agent.play.show": "a verb of its own",
    "foreshore_agent.play.player": "a verb of its own",
    "foreshore_agent.rehearse.run": "a verb of its own",
    "foreshore_agent.access.mosquitto": "a verb of its own",
    "foreshore_serving.server": "what serves has a process of its own",
    "foreshore_serving.main": "what serves has a process of its own",
    "numpy": "15 MB; only with a model in the agent itself",
    "onnxruntime": "19 MB; only with a model in the agent itself",
    "rich": "tables are for people",
}
DRIVER = """
import json, os, signal, sys, threading, time, urllib.error, urllib.request

def look():
    url = f"http://127.0.0.1:{sys.argv[1]}/readyz"
    for _ in range(600):
        time.sleep(0.1)
        try:
            urllib.request.urlopen(url, timeout=1)
        except urllib.error.HTTPError as refusal:
            if "assignment" not in refusal.read().decode():
                break
        except OSError:
            continue
    print(json.dumps(sorted(sys.modules)), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=look, daemon=True).start()
from foreshore_agent import main
sys.argv[1:] = ["run", "--resources", sys.argv[2], "--state", sys.argv[3], "--port", sys.argv[1]]
main.main()
"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """Names of all modules of an agent that has taken its assignment."""
    port = process.free_port()
    state = tmp_path_factory.mktemp("state")
    command = [sys.executable, "-c", DRIVER, str(port), str(EXAMPLE), str(state)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout, done.stderr
    return frozenset(json.loads(done.stdout.splitlines()[0]))


def test_what_was_looked_at_is_an_agent_that_runs(modules: frozenset[str]) -> None:
    assert {"foreshore_agent.runtime.life", "foreshore_agent.folder.folder"} <= modules


@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_a_running_agent_does_not_hold(name: str, modules: frozenset[str]) -> None:
    assert name not in modules, FORBIDDEN[name]

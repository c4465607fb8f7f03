"""Keys, configurations and archives of the harness, without a cluster."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from harness import (
    bare,
    cache,
    cluster,
    engine,
    fresh,
    kind,
    loading,
    process,
    programs,
    sampling,
    settings,
    tools,
)


def test_a_key_follows_names_modes_and_bytes(tmp_path: Path) -> None:
    file = tmp_path / "recipe"
    file.write_text("a")
    first = cache.key([tmp_path])
    file.write_text("b")
    second = cache.key([tmp_path])
    file.chmod(0o755)
    assert len({first, second, cache.key([tmp_path])}) == 3


def test_a_pin_that_changes_makes_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = tools.key("etcd")
    changed = tools.Program("go/etcd", "go.etcd.io/etcd/server/v3", "-X a=b")
    monkeypatch.setattr(tools, "PROGRAMS", {**tools.PROGRAMS, "etcd": changed})
    assert tools.key("etcd") != before


def test_every_pinned_module_builds_the_program_it_is_for() -> None:
    for name, program in tools.PROGRAMS.items():
        assert (tools.HERE / program.folder / "go.mod").exists(), name


def test_fast_failure_detection_is_asked_of_kind() -> None:
    configured = kind.configuration(4, own_image=True)
    patches = [yaml.safe_load(patch) for patch in configured["kubeadmConfigPatches"]]
    assert [node["role"] for node in configured["nodes"]].count("worker") == 4
    assert {"name": "node-monitor-grace-period", "value": f"{kind.GRACE}s"} in patches[0][
        "controllerManager"
    ]["extraArgs"]
    assert patches[1]["failCgroupV1"] is False
    stock = yaml.safe_load(kind.configuration(1, own_image=False)["kubeadmConfigPatches"][1])
    assert "cgroupDriver" not in stock  # a stock image has its own


def test_a_context_that_is_not_on_the_list_is_refused(tmp_path: Path) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "production",
        "contexts": [{"name": "production", "context": {"cluster": "c", "user": "u"}}],
    }
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    for chosen in (
        settings.Settings(),
        settings.Settings(provider=settings.Provider.EXISTING, contexts=("staging",)),
        settings.Settings(contexts=("production",)),
    ):
        with pytest.raises(process.HarnessError, match="left alone"):
            cluster.existing(chosen, path)
    allowed = settings.read({"PROVIDER": "existing", "FORESHORE_CONTEXTS": "staging, production"})
    found = cluster.existing(allowed, path)
    with pytest.raises(process.HarnessError, match="no node of a cluster of the harness"):
        found.kill("worker")


def test_an_image_is_packed_without_the_layers_a_node_has(tmp_path: Path) -> None:
    archive = saved(tmp_path, layers={"a/layer.tar": b"base", "b/layer.tar": b"ours"})
    image = loading.read("thing:1", archive)
    base, ours = image.layers
    loading.pack(image, tmp_path / "partial.tar", without={base.digest})
    with tarfile.open(tmp_path / "partial.tar") as tar:
        names = tar.getnames()
        index = json.loads(loading.content(tar, "index.json"))
        manifest = json.loads(
            loading.content(tar, loading.path_of(index["manifests"][0]["digest"]))
        )
        assert loading.content(tar, loading.path_of(ours.digest)) == b"ours"
    assert loading.path_of(base.digest) not in names
    assert [layer["digest"] for layer in manifest["layers"]] == [base.digest, ours.digest]


def test_a_missing_program_is_one_line_that_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(process.MissingRequirementError, match="debootstrap is missing"):
        raise process.MissingRequirementError("debootstrap", programs.how_to_get("debootstrap"))
    with pytest.raises(process.MissingRequirementError, match="apt-get install mosquitto-clients"):
        process.run(["mosquitto_pub"], env={"PATH": str(tmp_path)})


def test_an_engine_that_gives_up_is_told_at_once_with_its_reason(tmp_path: Path) -> None:
    log = tmp_path / "dockerd.log"
    log.write_text("failed to start daemon: of an earlier start\n")
    since = log.stat().st_size
    engine.refuse_failure(log, since)
    with log.open("a") as file:
        file.write("level=info\nfailed to start daemon: Devices cgroup isn't mounted\n")
    with pytest.raises(engine.EngineError, match=f"{engine.ABSENT}: Devices cgroup") as told:
        engine.refuse_failure(log, since)
    assert "DOCKER_HOST" in str(told.value)


def test_a_bare_debian_gets_no_setting_but_how_to_reach_registries() -> None:
    here = {"PATH": "/opt/x", "FORESHORE_CACHE": "/c", "HOME": "/h", "VIRTUAL_ENV": "/v"}
    told = bare.settings({**here, "HTTPS_PROXY": "http://proxy:1", "PIP_CERT": "/own/ca.pem"})
    assert told == {
        "HOME": "/root",
        "PATH": bare.PATH,
        "TERM": "dumb",
        "HTTPS_PROXY": "http://proxy:1",
        "PIP_CERT": bare.BUNDLE,
    }


def test_a_fresh_check_without_root_fails_and_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with (
        pytest.raises(process.MissingRequirementError, match="Run this as root"),
        bare.Debian.made(tmp_path / "root", ()),
    ):
        pass


@pytest.mark.parametrize(
    ("stops", "outcome", "passes"),
    [
        pytest.param("", fresh.Outcome(0, "9 passed"), True, id="ends well"),
        pytest.param("", fresh.Outcome(2, "1 failed"), False, id="a command fails"),
        pytest.param("no engine", fresh.Outcome(2, "error: no\nengine"), True, id="stops there"),
        pytest.param("no engine", fresh.Outcome(2, "error: no go"), False, id="stops elsewhere"),
        pytest.param("no engine", fresh.Outcome(0, "no engine"), False, id="hides that it stopped"),
    ],
)
def test_a_command_on_a_bare_debian_is_judged(
    stops: str, outcome: fresh.Outcome, passes: bool, tmp_path: Path
) -> None:
    stage = fresh.Stage(("make", "it"), timeout=1, stops=stops)
    with contextlib.nullcontext() if passes else pytest.raises(process.HarnessError):
        fresh.judge(stage, outcome, tmp_path / "log")


def test_a_go_that_is_too_old_is_told_with_its_version_and_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "go").write_text("#!/bin/sh\necho go1.19.8\n")
    (tmp_path / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(process.MissingRequirementError, match=r"Go 1.26 .go1.19.8 .*go.dev/dl"):
        tools.go.__wrapped__()


def test_a_command_that_takes_too_long_says_so() -> None:
    with pytest.raises(process.CommandError, match="not done in 0 s"):
        process.run([sys.executable, "-c", "import time; time.sleep(9)"], timeout=0.2)


def test_a_child_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from pathlib import Path; from harness import process;"
        "child = process.start(['sleep', '60'], log=Path(sys.argv[2])).pid;"
        "print(child, flush=True);"
        "name = Path(f'/proc/{child}/comm');"
        "process.eventually(lambda: name.read_text() == 'sleep\\n', what='runs', timeout=9);"
        "import os; os.kill(os.getpid(), 9)"
    )
    folder = Path(process.__file__).parents[1]
    command = [sys.executable, "-c", script, str(folder), str(tmp_path / "log")]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    child = int(told.stdout)
    process.eventually(lambda: not is_alive(child), what="the child ended", timeout=5)


def test_no_two_processes_are_given_one_port() -> None:
    """Free alone is not enough: what is free for both is taken by one before the other listens."""
    folder = Path(process.__file__).parents[1]
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from harness import process;"
        "print(*(process.free_port() for _ in range(process.BLOCK - 1)), flush=True); input()"
    )
    with contextlib.ExitStack() as alive:
        children = [
            alive.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", script, str(folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(4)
        ]
        lines = [child.stdout.readline() for child in children if child.stdout is not None]
        for child in children:
            child.kill()
    given = [number for line in lines for number in line.split()]
    assert len(given) > 4 * process.BLOCK * 0.9, "some ports of a block may be a stranger's"
    assert len(set(given)) == len(given)


def test_a_port_that_is_listened_on_is_given_to_nobody() -> None:
    with socket.socket() as listening:
        taken = process.free_port()
        listening.bind((process.LOOPBACK, taken))
        assert taken not in {process.free_port() for _ in range(process.BLOCK)}


@dataclass(frozen=True)
class Collected:
    """A collected test, as far as sampling looks at it."""

    module: str
    fixturenames: tuple[str, ...] = ()
    callspec: SimpleNamespace | None = None

    @property
    def path(self) -> Path:
        return Path(self.module)


def test_of_every_module_one_test_runs_and_every_fixture_starts() -> None:
    chosen = [
        Collected("a"),
        Collected("a", ("broker", "case"), SimpleNamespace(params={"case": 1})),
        Collected("b", ("broker",)),
    ]
    others = [
        Collected("a", ("case",), SimpleNamespace(params={"case": 2})),
        Collected("a", ("broker",)),
        Collected("b"),
    ]
    order = [chosen[0], others[0], chosen[1], others[1], chosen[2], others[2]]
    assert sampling.sampled(cast(list[pytest.Item], order)) == cast(Any, (chosen, others))


def test_an_owner_that_is_gone_is_told_from_a_later_process_of_its_id() -> None:
    assert kind.started_at(os.getpid()) > 0
    assert kind.started_at(2**22 + 1) == 0


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead but not yet collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def saved(folder: Path, layers: dict[str, bytes]) -> Path:
    """An archive as `docker save` writes it."""
    archive = folder / "image.tar"
    entry = {"Config": "config.json", "RepoTags": ["thing:1"], "Layers": list(layers)}
    with tarfile.open(archive, "w") as tar:
        loading.add(tar, "manifest.json", json.dumps([entry]).encode())
        loading.add(tar, "config.json", b"{}")
        for name, data in layers.items():
            loading.add(tar, name, data)
    return archive

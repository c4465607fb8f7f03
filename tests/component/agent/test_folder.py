"""Folder mode with real inference servers: what takes effect, what a mistake leaves in force."""

import asyncio
import contextlib
import json
import os
import signal
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from builders import hosting, onnx_models, patience, room
from foreshore_agent import inspection
from foreshore_agent.engine import events, state, step, view
from foreshore_agent.folder import folder
from foreshore_agent.hosting import hosts
from foreshore_api.wire import assignment, report, serving
from foreshore_decision import instant, resources
from foreshore_serving import models

BODY = onnx_models.model()


class Values:
    """Durable values, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def keep(self, key: str, value: bytes) -> None:
        self.kept[key] = value

    async def get(self, key: str) -> bytes | None:
        return self.kept.get(key)


class Bench:
    """A folder of resources and the agent's side of it; `begin` is a start of the agent."""

    def __init__(self, place: Path) -> None:
        self.resources = place / "resources"
        self.resources.mkdir()
        self.state = place / "state"
        self.values = Values()
        self.taken: list[assignment.Assignment] = []
        identity = state.Identity("edge-1", "boot-1", "journal-1", "0.1.0")
        self.engine = state.start(identity)
        (self.resources / "occupancy-v1.onnx").write_bytes(BODY)
        for document in room.all_of():
            self.write(document)

    def write(self, document: dict[str, Any], **changed: Any) -> None:
        if document["kind"] == "ModelVersion":
            source = {"file": {"path": "occupancy-v1.onnx"}}
            document = room.changed(
                document, spec__source=source, spec__digest=models.digest_of(BODY)
            )
        path = self.resources / f"{document['kind']}-{document['metadata']['name']}.yaml"
        path.write_text(json.dumps(room.changed(document, **changed)))

    async def take(self, fresh: assignment.Assignment) -> None:
        """Let an assignment take effect in an engine, which says what is in force."""
        self.taken.append(fresh)
        at = instant.Instant(datetime.now(UTC), 1000.0, 1000.0)
        assigned = events.Assigned(at, str(uuid.UUID(int=len(self.taken))), fresh)
        self.engine, _ = step.step(self.engine, assigned)

    @property
    def policy(self) -> assignment.AssignedPolicy:
        (policy,) = self.taken[-1].policies
        return policy

    @property
    def in_force(self) -> assignment.AssignedPolicy:
        (policy,) = view.in_force(self.engine)
        return policy

    @property
    def version(self) -> str | None:
        """The model's version that is in force."""
        model = self.in_force.model
        return None if model is None else model.version


Begin = Callable[[], Awaitable[folder.Folder]]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
async def begin(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Begin]:
    monkeypatch.setattr(folder, "LOOK_SECONDS", 0.05)
    async with asyncio.TaskGroup() as tasks:
        running: list[asyncio.Task[None]] = []
        servers = hosting.hosts_at(bench.state, tasks)

        async def start() -> folder.Folder:
            last = bench.taken[-1] if bench.taken else None
            places = folder.Places(bench.resources, None, "edge-1")
            calls = folder.FolderCalls(bench.take, lambda: view.last_in_force(bench.engine))
            found = folder.Folder(places, bench.values, servers, calls, last, "journal-1")
            await found.start()
            running.append(tasks.create_task(found.follow()))
            return found

        yield start
        for task in running:
            task.cancel()
        servers.stop()


def servers_of_ours() -> list[int]:
    """Process IDs of the inference servers that this process has started."""
    return hosting.servers_of(os.getpid())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(patience.SECONDS):
        while not condition():  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.02)


async def test_a_folder_becomes_an_assignment_with_a_served_model_and_a_grant(
    bench: Bench, begin: Begin
) -> None:
    found = await begin()
    assert found.problems() == ()
    (endpoint,) = bench.policy.endpoints
    assert endpoint.url.startswith("unix:")
    grant = bench.taken[0].devices[0].grant
    assert grant is not None
    assert grant.holder == "edge-1"
    assert int(bench.values.kept["folder/epoch"]) == grant.epoch


async def test_a_model_that_may_not_run_in_the_agent_is_served_by_a_child_and_the_log_says_so(
    bench: Bench, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    bench.write(room.version(), spec__runtime={"isolation": "Agent"})
    running = await begin()
    assert [endpoint.url.partition(":")[0] for endpoint in bench.policy.endpoints] == ["unix"]
    assert running.problems() == ()
    (line,) = [record.message for record in caplog.records if "isolation" in record.message]
    assert "set isolation: Agent in Site hq" in line


async def test_each_start_takes_a_higher_number(bench: Bench, begin: Begin) -> None:
    bench.values.kept["folder/epoch"] = b"99999999999"
    await begin()
    grant = bench.taken[0].devices[0].grant
    assert grant is not None
    assert grant.epoch == 100000000000


async def test_an_edit_takes_effect_and_counts_a_generation(bench: Bench, begin: Begin) -> None:
    await begin()
    bench.write(room.policy(), spec__latencyBudget="300ms")
    await until(lambda: len(bench.taken) == 2)
    assert bench.policy.spec.latency_budget == "300ms"
    assert [one.generation for one in bench.taken] == [1, 2]


async def test_a_mistake_leaves_the_last_version_in_force_also_over_a_restart(
    bench: Bench, begin: Begin
) -> None:
    found = await begin()
    bench.write(room.policy(), spec__latencyBudget="soon")
    await until(lambda: bool(found.problems()))
    assert len(bench.taken) == 1
    again = await begin()
    assert again.problems()[0].reason == "Invalid"
    assert bench.policy.spec.latency_budget == "200ms"


def swap_in_a_model_with_the_wrong_digest(bench: Bench) -> None:
    (bench.resources / "other.onnx").write_bytes(BODY + b"x")
    version = room.changed(
        room.version(name="occupancy-v2"), spec__source={"file": {"path": "other.onnx"}}
    )
    (bench.resources / "v2.yaml").write_text(json.dumps(version))
    bench.write(room.policy(), spec__modelRef={"version": "occupancy-v2"})


async def test_a_model_with_the_wrong_digest_leaves_the_last_version_in_force(
    bench: Bench, begin: Begin
) -> None:
    found = await begin()
    served = bench.policy.endpoints
    swap_in_a_model_with_the_wrong_digest(bench)
    await until(lambda: any(one.reason == "ModelRejected" for one in found.problems()))
    assert "DigestMismatch" in found.problems()[-1].message
    [refused] = [one for one in found.problems() if one.kind == "DecisionPolicy"]
    assert refused.message.endswith("; occupancy-v1 stays in force")
    await asyncio.sleep(0.2)
    assert bench.version == "occupancy-v1"
    assert bench.in_force.endpoints == served
    [waits] = view.problems(bench.engine)
    assert waits.reason == "AwaitingReplica"


def swap_in(bench: Bench, **version: Any) -> None:
    """Let the policy ask for a second version, of the same bytes."""
    bench.write(room.version(name="occupancy-v2"), **version)
    bench.write(room.policy(), spec__modelRef={"version": "occupancy-v2"})


async def test_a_new_model_takes_effect_when_its_server_serves_and_the_old_one_serves_until_then(
    bench: Bench, begin: Begin
) -> None:
    await begin()
    (server,) = await asyncio.to_thread(servers_of_ours)
    swap_in(bench)
    await until(lambda: len(bench.taken) == 2)
    assert bench.policy.model is not None
    assert bench.policy.model.version == "occupancy-v2"
    assert bench.version == "occupancy-v1", "nothing serves the new one yet"
    assert server in await asyncio.to_thread(servers_of_ours)
    await until(lambda: bench.version == "occupancy-v2")
    assert [one.version for one in bench.in_force.endpoints] == ["occupancy-v2"]
    await until(lambda: server not in servers_of_ours())
    assert [one.version for one in bench.policy.endpoints] == ["occupancy-v2"]
    assert len(await asyncio.to_thread(servers_of_ours)) == 1


async def test_a_lock_waits_for_no_other_policys_model(
    bench: Bench, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begin()
    monkeypatch.setattr(folder, "PATIENCE_SECONDS", 3600.0)
    nowhere = {"https": {"url": "https://127.0.0.1:9/x.onnx", "caSecretRef": None}}
    version = room.changed(room.version(name="nowhere-v1"), spec__source=nowhere)
    (bench.resources / "nowhere.yaml").write_text(json.dumps(version))
    other = {"spec__modelRef": {"version": "nowhere-v1"}, "spec__mode": "Shadow"}
    bench.write(room.policy(name="another"), **other)
    await until(lambda: len(bench.taken) == 2)
    bench.write(room.device(), spec__lock="Locked")
    await until(lambda: bench.taken[-1].devices[0].spec.lock == "Locked")
    bench.write(room.policy(), spec__mode="Shadow")
    await until(lambda: {one.spec.mode for one in bench.taken[-1].policies} == {"Shadow"})
    (bench.resources / "DecisionPolicy-another.yaml").unlink()
    await until(lambda: len(bench.taken[-1].policies) == 1)
    assert bench.version == "occupancy-v1"


async def test_an_agent_that_decides_is_not_held_up_by_the_inspection(
    bench: Bench, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    where: list[threading.Thread] = []
    inspect = inspection.inspect

    def noting(reading: resources.FolderReading) -> tuple[report.Problem, ...]:
        where.append(threading.current_thread())
        return inspect(reading)

    monkeypatch.setattr(inspection, "inspect", noting)
    await begin()
    assert where
    assert threading.main_thread() not in where


async def test_each_endpoint_says_what_it_serves(bench: Bench, begin: Begin) -> None:
    await begin()
    (endpoint,) = bench.policy.endpoints
    assert (endpoint.version, endpoint.digest) == ("occupancy-v1", models.digest_of(BODY))


async def test_a_new_model_that_never_serves_leaves_the_last_version_in_force_over_a_restart(
    bench: Bench, begin: Begin
) -> None:
    await begin()
    swap_in_a_model_with_the_wrong_digest(bench)
    await until(lambda: bool(view.problems(bench.engine)))
    again = await begin()
    assert bench.version == "occupancy-v1"
    assert [one.version for one in bench.in_force.endpoints] == ["occupancy-v1"]
    await until(lambda: any(one.reason == "ModelRejected" for one in again.problems()))


def remove(name: str) -> Callable[[Bench], None]:
    """Delete the file of an object that others refer to."""

    def gone(bench: Bench) -> None:
        (bench.resources / f"{name}.yaml").unlink()

    return gone


def name_a_version_that_does_not_exist(bench: Bench) -> None:
    bench.write(room.policy(), spec__modelRef={"version": "occupancy-v9"})


@pytest.mark.parametrize("restarts", [False, True], ids=["in one life", "over a restart"])
@pytest.mark.parametrize(
    "break_it",
    [
        remove("ModelVersion-occupancy-v1"),
        remove("Model-occupancy"),
        remove("DeviceProfile-room-climate"),
        name_a_version_that_does_not_exist,
    ],
    ids=["no version", "no model", "no profile", "another version"],
)
async def test_a_reference_to_what_is_not_there_keeps_what_worked_and_its_server(
    bench: Bench, begin: Begin, break_it: Callable[[Bench], None], restarts: bool
) -> None:
    found = await begin()
    (server,) = await asyncio.to_thread(servers_of_ours)
    break_it(bench)
    await until(lambda: bool(found.problems()))
    if restarts:
        found = await begin()
    assert {one.reason for one in found.problems()} == {"ReferenceNotFound"}
    assert any("stays in force" in one.message for one in found.problems())
    assert bench.version == "occupancy-v1"
    assert [one.version for one in bench.in_force.endpoints] == ["occupancy-v1"]
    assert [one.name for one in bench.taken[-1].devices] == ["room-301"]
    await asyncio.sleep(0.3)
    assert await asyncio.to_thread(servers_of_ours) == [server]


async def test_a_device_whose_own_file_is_deleted_is_withdrawn(bench: Bench, begin: Begin) -> None:
    await begin()
    remove("Device-room-301")(bench)
    await until(lambda: bench.taken[-1].devices == ())
    assert bench.taken[-1].policies == ()


async def test_a_policy_that_is_written_anew_with_a_mistake_gets_nothing_of_the_deleted_one(
    bench: Bench, begin: Begin
) -> None:
    """Objects of a folder had no uid, so the version of the deleted policy decided again."""
    found = await begin()
    before = bench.policy.uid
    remove("DecisionPolicy-ventilate-when-occupied")(bench)
    await until(lambda: bench.taken[-1].policies == ())
    bench.write(room.policy(), spec__matchConditions=[{"name": "unknown", "expression": "nothing"}])
    await until(lambda: bool(bench.taken[-1].policies))
    assert bench.policy.uid not in ("", before)
    assert view.in_force(bench.engine) == ()
    assert "stays in force" not in str(found.problems())
    remade = bench.policy.uid
    await begin()
    assert bench.policy.uid == remade


async def test_more_than_an_assignment_holds_is_said_and_ends_nothing(
    bench: Bench, begin: Begin
) -> None:
    """Putting the assignment together failed, and the agent ended with it."""
    found = await begin()
    spec = room.policy()["spec"] | {"mode": "Disabled"}
    many = [
        room.resource("DecisionPolicy", "hq", f"another-{number}", spec)
        for number in range(assignment.POLICIES)
    ]
    (bench.resources / "many.yaml").write_text("\n---\n".join(map(json.dumps, many)))
    await until(lambda: bool(found.problems()))
    assert "Assignment.policies: " in found.problems()[0].message
    remove("many")(bench)
    await until(lambda: found.problems() == ())
    assert len(bench.taken) == 1


async def test_a_file_that_is_just_being_written_anew_withdraws_nothing(
    bench: Bench, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many an editor empties a file first, or takes it away: its device was let go for a second."""
    await begin()
    monkeypatch.setattr(folder, "SETTLE_SECONDS", 0.3)
    file = bench.resources / "Device-room-301.yaml"
    text = file.read_text()
    file.write_text("")
    await asyncio.sleep(0.2)  # the folder looks more often
    file.unlink()
    await asyncio.sleep(0.2)
    file.write_text(text)
    bench.write(room.policy(), spec__latencyBudget="190ms")
    await until(lambda: len(bench.taken) > 1)
    assert [len(one.devices) for one in bench.taken] == [1, 1]


async def test_what_was_kept_and_cannot_be_read_any_more_does_not_end_the_agent(
    bench: Bench, begin: Begin
) -> None:
    bench.values.kept["folder/resources"] = b'[["Site", "hq"]]'
    found = await begin()
    assert found.problems() == ()
    assert bench.version == "occupancy-v1"


async def test_two_sites_need_a_word_which(bench: Bench, begin: Begin) -> None:
    bench.write(room.site(name="annex"))
    with pytest.raises(folder.FolderError, match="annex, hq"):
        await begin()


async def test_an_empty_folder_says_so(bench: Bench, begin: Begin) -> None:
    for path in bench.resources.glob("*.yaml"):
        path.unlink()
    with pytest.raises(folder.FolderError, match="found: none"):
        await begin()


async def answers(server: hosts.HostedModel) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(server.url.removeprefix("unix:"))
    except OSError:
        return False
    writer.close()
    return True


async def test_a_server_that_is_wanted_again_while_it_ends_is_reached(tmp_path: Path) -> None:
    """Both had one socket path: the one that ended took the new one's away, for good."""
    (tmp_path / "m.onnx").write_bytes(BODY)
    model = room.model()["spec"]
    config = serving.ModelConfig(
        name="occupancy",
        version="occupancy-v1",
        digest=models.digest_of(BODY),
        source=serving.Source(file=serving.FileSource(path=str(tmp_path / "m.onnx"))),
        inputs=tuple(map(serving.DeclaredTensor.model_validate, model["inputs"])),
        outputs=tuple(map(serving.DeclaredTensor.model_validate, model["outputs"])),
    )
    async with asyncio.TaskGroup() as tasks:
        servers = hosting.hosts_at(tmp_path / "state", tasks)
        wanted = hosts.WantedModel(config)
        servers.start([wanted])
        await servers.settle([wanted], 20.0)
        (slow,) = await asyncio.to_thread(servers_of_ours)
        os.kill(slow, signal.SIGSTOP)  # it ends slowly, as with requests under way
        servers.keep_only(())
        server = servers.start([wanted])[wanted]
        await servers.settle([wanted], 20.0)
        with contextlib.suppress(ProcessLookupError):  # a busy machine may have let it be killed
            os.kill(slow, signal.SIGCONT)
        async with asyncio.timeout(patience.SECONDS):
            while slow in await asyncio.to_thread(servers_of_ours):  # noqa: ASYNC110 - as `until`
                await asyncio.sleep(0.1)
        is_reached = await answers(server)
        servers.stop()
    assert is_reached
    assert not list(Path(server.url.removeprefix("unix:")).parent.glob("*"))


async def test_a_server_that_is_killed_comes_back(bench: Bench, begin: Begin) -> None:
    await begin()
    socket = Path(bench.policy.endpoints[0].url.removeprefix("unix:"))
    (server,) = await asyncio.to_thread(servers_of_ours)
    os.kill(server, signal.SIGKILL)
    await asyncio.sleep(0.1)
    reader = None
    async with asyncio.timeout(patience.SECONDS):
        while reader is None:
            try:
                reader, writer = await asyncio.open_unix_connection(str(socket))
                writer.close()
            except OSError:
                await asyncio.sleep(0.1)


async def test_a_folder_that_cannot_be_worked_from_any_more_is_a_problem_until_it_can(
    bench: Bench, begin: Begin
) -> None:
    found = await begin()
    site = bench.resources / "Site-hq.yaml"
    kept = site.read_text()
    site.unlink()
    await until(lambda: bool(found.problems()))
    assert "must hold one Site" in found.problems()[0].message
    assert "what was assigned stays in force" in found.problems()[0].message
    assert len(bench.taken) == 1
    site.write_text(kept)
    await until(lambda: found.problems() == ())

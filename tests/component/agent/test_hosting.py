"""Models that come, go and come again in one agent, with real trials."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from builders import hosting, onnx_models
from builders import room as resources
from builders.living import until
from foreshore_agent.hosting import children, hosts, hub, models, residents, room, store, trials
from foreshore_api import meta, v1alpha1
from foreshore_api.v1alpha1 import Isolation
from foreshore_api.wire import assignment, serving
from foreshore_decision import assignment as compiling
from foreshore_decision import served
from foreshore_serving import models as artefacts

KINDS = {kind.kind: kind for kind in v1alpha1.KINDS}
NODE = "edge-1"
BODY = onnx_models.model()
DIGEST = artefacts.digest_of(BODY)
HEXADECIMAL = DIGEST.removeprefix("sha256:")


def wanted(**changed: Any) -> hosts.WantedModel:
    return hosts.WantedModel(onnx_models.config(BODY).model_copy(update=changed), Isolation.AGENT)


def served_by(model: hosts.WantedModel) -> served.Served:
    return served.Served(model.config.name, model.config.version, model.config.digest)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "artefacts"
    found.mkdir()
    (found / "m.onnx").write_bytes(BODY)
    return found


@pytest.fixture
def here(tmp_path: Path, folder: Path) -> residents.Residents:
    return hosting.residents_at(tmp_path / "state", models=folder)


@pytest.fixture
async def hosted(
    tmp_path: Path, folder: Path, here: residents.Residents
) -> AsyncIterator[hosts.Hosts]:
    async with asyncio.TaskGroup() as tasks:
        found = hosting.hosts_at(tmp_path / "state", tasks, here=here, models=folder)
        yield found
        found.stop()


def trials_under_way() -> int:
    """How many trials this process runs: each takes as much memory as an agent."""
    running = hosting.children_of(os.getpid()).values()
    return sum(b"foreshore_serving.attached" in words and b"try" in words for words in running)


async def test_models_are_tried_one_after_the_other_also_those_of_the_same_bytes(
    hosted: hosts.Hosts, here: residents.Residents
) -> None:
    wants = [wanted(), wanted(version="occupancy-v2"), wanted(version="occupancy-v3")]
    hosts_of_them = hosted.start(wants)
    seen = set()

    def are_settled() -> bool:
        seen.add(trials_under_way())
        return all(host.settled.is_set() for host in hosts_of_them.values())

    await until(are_settled)
    assert max(seen) == 1
    assert [here.runner(served_by(model)) is not None for model in wants] == [True] * 3


async def test_whoever_lets_go_of_a_model_leaves_it_to_who_had_it_loaded_since(
    here: residents.Residents,
) -> None:
    model = wanted()
    before = await here.load(model.config)
    after = await here.load(model.config)
    await here.unload(before)
    assert here.runner(served_by(model)) is after.runner
    await here.unload(after)
    assert here.runner(served_by(model)) is None


async def test_bytes_without_room_for_another_version_stay_while_one_of_them_runs(
    here: residents.Residents, tmp_path: Path
) -> None:
    await here.load(wanted().config)
    here._room._taken["others"] = here._room.left_bytes
    with pytest.raises(residents.NotResidentError, match="MiB are left"):
        await here.load(wanted(version="occupancy-v2").config)
    assert (tmp_path / "state" / "models" / f"{HEXADECIMAL}.onnx").exists()


class EndingTrials(trials.ModelTrials):
    """Trials during which the agent is gone: what is durable then is looked at."""

    def __init__(self, kept: store.ModelStore, left: hosting.KeptMarks) -> None:
        super().__init__(kept, None)
        self._left = left
        self.counts: list[int] = []

    async def run(self, config: serving.ModelConfig) -> None:
        self.counts.append(self._left.ends().count(config.digest))
        trouble = children.ServingTrouble("Crashed", "the child ended")
        raise trials.TrialError(trouble)


async def test_a_trial_that_takes_the_agent_along_counts_against_its_model(tmp_path: Path) -> None:
    """A container whose memory a child fills is ended whole."""
    left, kept = hosting.KeptMarks(), store.ModelStore(tmp_path)
    tries = EndingTrials(kept, left)
    here = residents.Residents(kept, tries, left.ends(), room.ModelRoom(1 << 28))
    with pytest.raises(residents.NotResidentError):
        await here.load(wanted().config)
    assert tries.counts == [1]
    assert left.ends().count(DIGEST) == 0, "the agent is there still"


async def test_bytes_are_thrown_away_but_not_those_that_are_wanted_again(
    hosted: hosts.Hosts, here: residents.Residents, tmp_path: Path
) -> None:
    model, kept = wanted(), tmp_path / "state" / "models"
    hosted.start([model])
    await hosted.settle([model], 60)
    hosted.keep_only([])
    hosted.start([model])
    await hosted.settle([model], 60)
    await until(lambda: len(list(kept.iterdir())) == 2)
    for _ in range(2):
        hosted.keep_only([])
        await until(lambda: not list(kept.iterdir()))
        hosted.start([model])
        await hosted.settle([model], 60)
    hosted.keep_only([])
    await until(lambda: not list(kept.iterdir()))
    hosted.start([model])
    await hosted.settle([model], 60)
    hosted.keep_only([model])
    hosted.stop()
    await until(lambda: here.runner(served_by(model)) is None)
    assert len(list(kept.iterdir())) == 2, "what an agent ran when it was stopped is kept"


async def test_a_model_that_is_wanted_again_while_its_trial_is_ended_is_tried_again(
    hosted: hosts.Hosts, here: residents.Residents, tmp_path: Path
) -> None:
    model = wanted()
    hosted.start([model])
    await until(lambda: bool(list((tmp_path / "state" / "models").glob("*.config"))))
    hosted.keep_only([])
    again = hosted.start([model])[model]
    await hosted.settle([model], 60)
    assert again.obstacle is None
    assert here.runner(served_by(model)) is not None


async def test_bytes_that_changed_and_were_never_tried_are_had_anew(
    hosted: hosts.Hosts, here: residents.Residents, tmp_path: Path
) -> None:
    kept = tmp_path / "state" / "models" / f"{HEXADECIMAL}.onnx"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(BODY + b"!")
    (tmp_path / "artefacts" / "m.onnx").rename(tmp_path / "elsewhere.onnx")
    elsewhere = serving.FileSource(path=str(tmp_path / "elsewhere.onnx"))
    model = wanted(source=serving.Source(file=elsewhere))
    host = hosted.start([model])[model]
    await hosted.settle([model], 60)
    assert host.phase is children.ChildPhase.SERVING, host.trouble
    assert here.runner(served_by(model)) is not None


def assigned(**site: Any) -> assignment.Assignment:
    """What the hub assigns of a room whose model asks isolation Agent."""
    documents = [
        resources.changed(resources.site(), **site),
        resources.profile(),
        resources.device(),
        resources.model(),
        resources.changed(
            resources.version(), spec__digest=DIGEST, spec__runtime={"isolation": "Agent"}
        ),
        resources.policy(),
    ]
    every: list[meta.Resource] = [KINDS[one["kind"]].read(one) for one in documents]
    given = compiling.LocalStatuses(grants={("hq", "room-301"): (NODE, 1000)})
    return compiling.compile(compiling.Resources.of(every), NODE, site="hq", given=given).assignment


async def test_what_a_site_takes_back_ends_at_once_also_where_it_is_still_in_force(
    hosted: hosts.Hosts, here: residents.Residents
) -> None:
    allowed, taken_back = assigned(spec__isolation="Agent"), assigned(spec__isolation="Child")
    of_cluster = hub.HubModels(NODE, hosted, models.Stores(None, None), lambda: allowed.policies)
    of_cluster.applied(allowed)
    of_cluster.taken()
    (model,) = hosted._hosted
    await hosted.settle([model], 60)
    assert [end.is_in_agent for end in of_cluster.applied(allowed).policies[0].endpoints] == [True]
    of_cluster.taken()
    assert of_cluster.applied(taken_back).policies[0].endpoints == ()
    of_cluster.taken()
    await until(lambda: here.runner(served_by(model)) is None)

"""The endpoint of the agent itself among those that the pool asks."""

import asyncio

from builders import local_models, room
from foreshore_agent.engine import effects, events
from foreshore_agent.inference import pool, port
from foreshore_agent.inference.local import runner, worker
from foreshore_api import v1alpha1
from foreshore_api.wire import assignment
from foreshore_decision import served

DIGEST = room.DIGEST
HERE = assignment.in_agent(DIGEST)
KEY = events.Key("hq", "ventilate")
ROOM = events.Key("hq", "room-301")


def policy(*urls: str) -> assignment.AssignedPolicy:
    """A policy of which these endpoints are named."""
    model = v1alpha1.Model.read(room.model())
    version = v1alpha1.ModelVersion.read(room.version())
    decided = v1alpha1.DecisionPolicy.read(room.policy())
    return assignment.AssignedPolicy(
        namespace=KEY.namespace,
        name=KEY.name,
        uid="uid",
        generation=1,
        digest="",
        spec=decided.spec,
        devices=(ROOM.name,),
        model=assignment.AssignedModel(
            name=model.name, version=version.name, model=model.spec, artefact=version.spec
        ),
        endpoints=tuple(
            assignment.Endpoint(
                slot=f"r{number}", role=assignment.Role.ACTIVE, node="edge-1", url=url
            )
            for number, url in enumerate(urls)
        ),
    )


class Case:
    """A pool whose own models come and go."""

    def __init__(self) -> None:
        self.loaded: dict[served.Served, runner.ModelRunner] = {}
        self.pool = pool.Pool(self.loaded.get)
        self.results: list[port.ModelAnswer | port.Unanswered] = []

    def load(self) -> served.Served:
        model = served.Served("occupancy", "occupancy-v1", DIGEST)
        self.loaded[model] = runner.ModelRunner(
            local_models.ObedientModel(), worker.ModelWorker("test"), 1e-5, is_bounded=True
        )
        return model

    def ask(self) -> None:
        asked = effects.Infer("id", KEY, ROOM, "occupancy", DIGEST, (), 0.05)
        self.pool.ask(asked, self.results.append)


async def test_a_loaded_model_answers_for_its_endpoint_and_is_reported() -> None:
    case = Case()
    model = case.load()
    case.pool.assign([policy(HERE)])
    case.ask()
    (result,) = case.results
    assert isinstance(result, port.ModelAnswer)
    assert result.model == model
    (reported,) = case.pool.reports()
    assert (reported.url, reported.good) == (HERE, 1)


async def test_an_endpoint_whose_model_is_not_loaded_is_as_if_it_were_not_there() -> None:
    case = Case()
    case.pool.assign([policy(HERE)])
    case.ask()
    await asyncio.sleep(0)
    (result,) = case.results
    assert isinstance(result, port.Unanswered)
    assert result.reason == "NoEndpoint"
    assert case.pool.reports() == ()


async def test_a_model_that_was_loaded_meanwhile_answers_from_then_on() -> None:
    case = Case()
    case.pool.assign([policy(HERE)])
    case.load()
    case.ask()
    assert isinstance(case.results[0], port.ModelAnswer)


async def test_other_bytes_than_those_of_the_version_are_never_asked() -> None:
    case = Case()
    case.load()
    case.pool.assign([policy(assignment.IN_AGENT + "cd" * 32)])
    case.ask()
    await asyncio.sleep(0)
    assert isinstance(case.results[0], port.Unanswered)


async def test_what_it_counted_stays_over_another_assignment() -> None:
    case = Case()
    case.load()
    case.pool.assign([policy(HERE)])
    case.ask()
    case.pool.assign([policy(HERE, "http://127.0.0.1:1")])
    assert [endpoint.good for endpoint in case.pool.reports()] == [1, 0]
    case.pool.close()

"""Priors stay for a while when their source goes, and wake nobody."""

import datetime
import logging

import pytest

from foreshore_api.wire import histogram
from foreshore_operator.history import keeping, source
from foreshore_planner import priors

MEASURED = priors.LatencyPriors(
    inference={(("hq", "v1"), "arm64-pi"): histogram.Histogram.of([0.01] * 30)}
)
RECORDED = priors.LatencyPriors(
    inference={(("hq", "v1"), "arm64-pi"): histogram.Histogram.of([0.5] * 30)}
)


class Scripted:
    """A source that answers, or fails, as it is told."""

    def __init__(self, answer: priors.LatencyPriors = MEASURED) -> None:
        self.answer = answer
        self.failure = ""
        self.asked: list[datetime.datetime] = []

    async def read(self, now: datetime.datetime) -> priors.LatencyPriors:
        self.asked.append(now)
        if self.failure:
            raise source.HistoryError(self.failure)
        return self.answer


async def test_what_was_measured_counts_for_an_hour_after_its_source_went(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, scripted, outcomes = [100.0], Scripted(), list[str]()
    history = keeping.History(scripted, "Prometheus", clock=lambda: clock[0], count=outcomes.append)
    assert history.priors() == priors.NOTHING
    await history.ask()
    assert history.priors() == MEASURED
    scripted.failure = "connection refused"
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            clock[0] += keeping.KEPT / 4
            await history.ask()
        assert history.priors() == MEASURED
        clock[0] += keeping.KEPT
        assert history.priors() == priors.NOTHING
        scripted.failure = ""
        await history.ask()
    assert history.priors() == MEASURED
    assert outcomes == ["answered", "failed", "failed", "failed", "answered"]
    messages = [record.message for record in caplog.records]
    assert len(messages) == 2, "said when it begins and when it ends"
    assert "connection refused" in messages[0]
    assert scripted.asked[0].tzinfo is datetime.UTC


async def test_priors_of_several_sources_stay_one_object_while_nobody_says_anything_else() -> None:
    sources = [Scripted(), Scripted()]
    histories = keeping.Histories(*(keeping.History(one, "a source") for one in sources))
    nothing = histories.priors()
    assert nothing is histories.priors()
    await histories.histories[1].ask()
    known = histories.priors()
    assert known == MEASURED
    assert known is histories.priors()


async def test_while_the_hub_is_away_what_is_recorded_counts_and_not_what_was_reported() -> None:
    clock = [100.0]
    of_hub, of_prometheus = Scripted(), Scripted(RECORDED)
    hub = keeping.History(of_hub, "Hub", clock=lambda: clock[0])
    prometheus = keeping.History(
        of_prometheus,
        "Prometheus",
        clock=lambda: clock[0],
        origin=priors.PriorOrigin.RECORDED,
    )
    histories = keeping.Histories(hub, prometheus)

    async def asked() -> priors.LatencyPriors:
        for history in histories.histories:
            await history.ask()
        clock[0] += keeping.PERIOD
        return histories.priors()

    assert await asked() == MEASURED, "the nearest source"
    of_hub.failure = "the hub is out of reach"
    recorded = await asked()
    assert recorded.inference == RECORDED.inference
    assert recorded.origin is priors.PriorOrigin.RECORDED
    of_prometheus.failure = "connection refused"
    remembered = await asked()
    assert remembered.inference == MEASURED.inference
    assert remembered.origin is priors.PriorOrigin.REMEMBERED
    assert histories.priors() is remembered
    of_hub.failure = ""
    assert await asked() == MEASURED


async def test_a_defect_in_a_source_ends_nothing_but_its_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A number of Prometheus that no float holds ended the whole operator."""

    class Defective(Scripted):
        async def read(self, now: datetime.datetime) -> priors.LatencyPriors:
            raise OverflowError("int too large to convert to float")

    outcomes = list[str]()
    history = keeping.History(Defective(), "Prometheus", count=outcomes.append)
    await history.ask()
    assert (outcomes, history.is_answering) == (["failed"], False)
    assert "OverflowError" in caplog.text

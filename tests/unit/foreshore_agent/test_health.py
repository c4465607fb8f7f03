import prometheus_client
from aiohttp import test_utils

from foreshore_agent import health


async def readyz(*missing: str, remarks: tuple[str, ...] = ()) -> tuple[int, str | None]:
    registry = prometheus_client.CollectorRegistry()
    served = health.application(registry, lambda: missing, lambda: remarks)
    request = test_utils.make_mocked_request("GET", "/readyz")
    answer = await (await served.router.resolve(request)).handler(request)
    return answer.status, getattr(answer, "text", None)


async def test_nothing_missing_is_ready() -> None:
    assert await readyz() == (200, "ok\n")


async def test_what_to_look_at_is_said_and_keeps_nobody_from_being_ready() -> None:
    broken = "the journal is broken at record 4 (Truncated)"
    assert await readyz(remarks=(broken,)) == (200, f"ok\n{broken}\n")
    assert await readyz("no assignment yet", remarks=(broken,)) == (
        503,
        f"no assignment yet\n{broken}\n",
    )


async def test_what_is_missing_forges_no_line_and_moves_no_cursor() -> None:
    tensor = "no input x\nok\r\x1b]0;all is well\x07 of a model"
    status, text = await readyz("no assignment yet", tensor)
    assert status == 503
    assert text == "no assignment yet\nno input x ok \ufffd]0;all is well\ufffd of a model\n"


async def test_what_is_missing_is_said_whole() -> None:
    _, text = await readyz("x" * 1024 + " (DecisionPolicy hq/ventilate, ModelRejected)")
    assert text is not None
    assert text.endswith("ModelRejected)\n")

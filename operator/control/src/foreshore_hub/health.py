"""`/metrics`, `/healthz` and `/readyz` of the hub, on a plain port of their own.

Alive means that the loop turns; ready means that the store answers and the door is open. An absent
API server makes the hub neither dead nor unready: agents go on being served what it knows.
"""

from collections.abc import Awaitable, Callable

from starlette import applications, requests, responses, routing

from foreshore_hub import measures

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def build(
    measured: measures.Measures,
    count: Callable[[], tuple[int, int]],
    is_ready: Callable[[], Awaitable[bool]],
) -> applications.Starlette:
    """Return the application; `count` gives reporting and silent agents."""

    async def metrics(_: requests.Request) -> responses.Response:
        measured.agents(*count())
        return responses.Response(measured.render(), headers={"content-type": CONTENT_TYPE})

    async def alive(_: requests.Request) -> responses.Response:
        return responses.PlainTextResponse("ok")

    async def ready(_: requests.Request) -> responses.Response:
        if await is_ready():
            return responses.PlainTextResponse("ok")
        return responses.PlainTextResponse("not ready", 503)

    return applications.Starlette(
        routes=[
            routing.Route("/metrics", metrics),
            routing.Route("/healthz", alive),
            routing.Route("/readyz", ready),
        ]
    )

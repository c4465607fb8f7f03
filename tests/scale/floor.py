"""A loop that does nothing but answer: what `LoopWatch` measures of it is the machine's own noise.

    python -m scale.floor --port PORT

On a machine that others use, the longest answer of an operator says as much about them as about it;
this process stands beside it in the same run.
"""

import argparse

import uvloop
from aiohttp import web


async def answer(_: web.Request) -> web.Response:
    """Say so."""
    return web.Response(text="ok\n")


async def served() -> web.Application:
    """The one address, in a loop of uvloop's as the operator's is."""
    application = web.Application()
    application.router.add_get("/readyz", answer)
    return application


def main() -> None:
    """Answer until the process is ended."""
    parser = argparse.ArgumentParser(prog="scale.floor", description=__doc__)
    parser.add_argument("--port", required=True, type=int)
    uvloop.install()
    web.run_app(served(), host="127.0.0.1", port=parser.parse_args().port, print=None)


if __name__ == "__main__":
    main()

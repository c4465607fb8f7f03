"""A Mosquitto of the rehearsal's own, on loopback, for as long as the rehearsal lasts."""

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from foreshore_api.v1alpha1 import site

HOST: Final = "127.0.0.1"
_PLACES: Final = "/usr/sbin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/sbin"
_ATTEMPTS: Final = 5
_START_SECONDS: Final = 10.0


class NoMosquittoError(RuntimeError):
    """Mosquitto is not there, or does not start; the text says how to get it."""


def find() -> str:
    """Return the path of the broker's program. Raises NoMosquittoError."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path=_PLACES)
    if program is None:
        raise NoMosquittoError(
            "a rehearsal runs a Mosquitto broker of its own, and there is none on PATH or in"
            " /usr/sbin; install it with `apt install mosquitto` (Debian, Ubuntu),"
            " `dnf install mosquitto` (Fedora) or `brew install mosquitto` (macOS)"
        )
    return program


@contextlib.asynccontextmanager
async def running(protocol: site.Protocol) -> AsyncIterator[site.Broker]:
    """Run one, and give its address as a Site's broker. Raises NoMosquittoError."""
    program = find()
    with tempfile.TemporaryDirectory(prefix="foreshore-rehearsal-") as folder:
        child, port = await _start(program, Path(folder))
        try:
            yield site.Broker(
                host=HOST, port=port, protocol=protocol, transport=site.Transport.PLAIN
            )
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
            await child.wait()


async def _start(program: str, folder: Path) -> tuple[asyncio.subprocess.Process, int]:
    """Start it on a free port; another process may take the port first, so try again."""
    log = folder / "log"
    for _ in range(_ATTEMPTS):
        port = _free_port()
        (folder / "conf").write_text(_configuration(port), encoding="utf-8")
        with log.open("wb") as output:
            child = await asyncio.create_subprocess_exec(
                program, "-c", str(folder / "conf"), stdout=output, stderr=output
            )
        if await _listens(child, port):
            return child, port
    ending = log.read_text(encoding="utf-8", errors="replace").strip()[-500:]
    raise NoMosquittoError(f"{program} does not start: {ending}")


async def _listens(child: asyncio.subprocess.Process, port: int) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            while child.returncode is None:
                try:
                    _, writer = await asyncio.open_connection(HOST, port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    return True
    if child.returncode is None:
        child.kill()
        await child.wait()
    return False


def _configuration(port: int) -> str:
    lines = [
        f"listener {port} {HOST}",
        "allow_anonymous true",
        "persistence false",
        "set_tcp_nodelay true",  # without it, QoS 1 rounds take 40 ms
        "log_dest stderr",
        "log_type error",
        "connection_messages false",
    ]
    if os.geteuid() == 0:
        lines.append("user root")
    return "\n".join(lines) + "\n"


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        port: int = taken.getsockname()[1]
        return port

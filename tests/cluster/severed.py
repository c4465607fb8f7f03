"""A line to the API server that tests cut: what is behind it stays as it is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Line:
    """A TCP line to the API server that a test can cut and join."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self.port = 0

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Line"]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
            self.cut()
            await asyncio.sleep(0.05)

    def cut(self) -> None:
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def join(self) -> None:
        self._is_cut = False

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = {writer}
        self._writers.add(writer)
        try:
            if not self._is_cut:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
                pair.add(far_writer)
                self._writers.add(far_writer)
            if not self._is_cut:  # it may be cut while it is opened
                await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        except OSError:
            pass
        finally:
            for one in pair:
                one.transport.abort()
            self._writers -= pair


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()

"""A hub's door on loopback, in the test's own event loop: it keeps what it was given."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from aiohttp import web

from foreshore_api.wire import assignment, beat, record, report


class FakeHub:
    """One hub; `status` refuses every call, `answer` overrides the answer to records."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.assignment = assignment.Assignment(
            node=node, lineage="store", generation=1, digest="a"
        )
        self.tokens: list[str] = []
        self.batches: list[record.Batch] = []
        self.reports: list[report.Report] = []
        self.renewals: list[beat.RenewalRequest] = []
        self.standing = beat.RenewalStanding.RENEWED
        self.stored: dict[str, dict[int, record.ShippedRecord]] = {}
        self.status: int | None = None
        self.answer: Callable[[record.Batch], record.BatchAnswer] | None = None
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        application = web.Application(middlewares=[self._watch], client_max_size=4 << 20)
        application.router.add_get(f"/v1/agents/{self.node}/assignment", self._assignment)
        application.router.add_post(f"/v1/agents/{self.node}/records", self._records)
        application.router.add_post(f"/v1/agents/{self.node}/report", self._report)
        application.router.add_post("/v1/renewals", self._renew)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, self.port, ssl_context=tls).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _watch(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.tokens.append(request.headers["Authorization"])
        if self.status is not None:
            return web.Response(status=self.status, text="no")
        response: web.StreamResponse = await handler(request)
        return response

    def committed(self, journal: str) -> int:
        """The highest number up to which nothing is missing."""
        stored = self.stored.get(journal, {})
        number = 0
        while number + 1 in stored:
            number += 1
        return number

    async def _assignment(self, request: web.Request) -> web.Response:
        if request.headers.get("If-None-Match") == f'"{self.assignment.digest}"':
            await asyncio.sleep(0.1)
            return web.Response(status=304)
        headers = {"ETag": f'"{self.assignment.digest}"'}
        answer = web.Response(body=self.assignment.encode(), headers=headers)
        answer.enable_compression()  # the hub sends it packed, too, to whoever takes that
        return answer

    async def _records(self, request: web.Request) -> web.Response:
        batch = record.Batch.decode(await request.read())
        self.batches.append(batch)
        stored = self.stored.setdefault(batch.journal, {})
        for one in batch.records:
            known = stored.setdefault(one.sequence, one)
            assert known == one, "a record was shipped twice with different bytes"
        said = self.answer(batch) if self.answer else None
        committed = self.committed(batch.journal)
        answer = said or record.BatchAnswer(journal=batch.journal, acknowledged=committed)
        return web.Response(body=answer.encode())

    async def _report(self, request: web.Request) -> web.Response:
        self.reports.append(report.Report.decode(await request.read()))
        return web.Response(status=204)

    async def _renew(self, request: web.Request) -> web.Response:
        asked = beat.RenewalRequest.decode(await request.read())
        self.renewals.append(asked)
        devices = tuple(
            beat.RenewedDevice(
                namespace=one.namespace, device=one.device, epoch=one.epoch, standing=self.standing
            )
            for one in asked.held
        )
        renewal = beat.Renewal(
            node=asked.node, boot_id=asked.boot_id, number=asked.number, devices=devices
        )
        return web.Response(body=renewal.encode())

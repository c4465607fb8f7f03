"""The command line of the operator, and the tasks of its process.

    kopf ─► intakes ──┐
    informers ────────┼─► dirty ─► passes ─► writes
    hub ──────────────┘               ▲
    elector ──────────────────────────┘ may this replica write?

SIGTERM ends passes first, then gives the Lease back, so that the other replica leads within a
second.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import signal
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import uvloop
from aiohttp import web

from foreshore_api import addresses, programs
from foreshore_kube import api, apply, config, elector, heap, intake, kinds, listening, logs, turns
from foreshore_operator import (
    act,
    compilation,
    compiling,
    deciding,
    defects,
    dirty,
    events,
    handlers,
    measure,
    metrics,
    passes,
    protecting,
    settings,
    status_queue,
    statuses,
    store,
    watchdog,
)
from foreshore_operator.history import keeping, sources
from foreshore_planner import health as node_health
from foreshore_planner import hysteresis

log = logging.getLogger(__name__)

LAST_STATUSES = 0.5
"""Seconds at the end in which statuses that wait are still written, while the Lease is ours."""

application = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False
)


@application.callback()
def about(
    *,
    version: Annotated[
        bool, typer.Option("--version", **programs.version_option("foreshore-operator"))
    ] = False,
) -> None:
    """Put inference where its latency budget holds, and decide who may command a device."""


def _option(env: str, text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, envvar=f"FORESHORE_{env}", help=text, **more)


_BOUNDED: Final[dict[str, Any]] = {"min": hysteresis.SHORTEST, "max": hysteresis.LONGEST}


@application.command()
def run(
    *,
    serving_image: Annotated[str, _option("SERVING_IMAGE", "Image of inference pods.")],
    identity: Annotated[str, _option("IDENTITY", "Name of this replica: the pod's.")],
    namespace: Annotated[
        str, _option("NAMESPACE", "Namespace of the operator's Lease.")
    ] = "foreshore-system",
    hub_url: Annotated[
        str | None, _option("HUB_URL", "The hub's door. Absent: no evidence, nothing moves.")
    ] = None,
    hub_ca: Annotated[Path | None, _option("HUB_CA", "File with the hub's authority.")] = None,
    hub_token_file: Annotated[
        Path | None, _option("HUB_TOKEN_FILE", "Projected token with audience foreshore-hub.")
    ] = None,
    prometheus_url: Annotated[
        str | None,
        _option(
            "PROMETHEUS_URL",
            "A Prometheus that scrapes the agents. Absent: nodes that were never tried are ranked"
            " by what agents report now.",
        ),
    ] = None,
    prometheus_ca: Annotated[
        Path | None, _option("PROMETHEUS_CA", "File with its authority; absent: the system's.")
    ] = None,
    prometheus_token_file: Annotated[
        Path | None, _option("PROMETHEUS_TOKEN_FILE", "File with a bearer token for it.")
    ] = None,
    quarantine: Annotated[
        bool,
        _option(
            "QUARANTINE",
            "Whether a node that fell silent twice within the hour gets nothing new for a while.",
            "--quarantine/--no-quarantine",
        ),
    ] = True,
    returns_min_ready_seconds: Annotated[
        float,
        _option(
            "RETURNS_MIN_READY_SECONDS",
            "For how long a node is Ready before a replica goes there though nothing forces it.",
            **_BOUNDED,
        ),
    ] = hysteresis.DEFAULT.min_ready,
    returns_stabilization_window_seconds: Annotated[
        float,
        _option(
            "RETURNS_STABILIZATION_WINDOW_SECONDS",
            "Between two moves of one placement that nothing forces.",
            **_BOUNDED,
        ),
    ] = hysteresis.DEFAULT.window,
    kubeconfig: Annotated[
        Path | None, _option("KUBECONFIG", "Absent: $KUBECONFIG, else the pod's account.")
    ] = None,
    metrics_port: Annotated[
        int, _option("METRICS_PORT", "Port of /metrics, /healthz, /readyz.")
    ] = 8080,
    log_level: Annotated[
        programs.LogLevel,
        typer.Option(
            envvar="FORESHORE_LOG_LEVEL", case_sensitive=False, help="How much the log says."
        ),
    ] = programs.LogLevel.INFO,
) -> None:
    """Run one replica until SIGTERM."""
    logs.configure(log_level.number)
    for library in ("kopf", "aiohttp.access"):  # the latter has each of our looks at Kopf
        logging.getLogger(library).setLevel(logging.WARNING)
    chosen = settings.OperatorSettings(
        namespace=namespace,
        serving_image=serving_image,
        identity=identity,
        hub_url=hub_url,
        hub_ca=hub_ca,
        hub_token_file=hub_token_file,
        prometheus_url=prometheus_url,
        prometheus_ca=prometheus_ca,
        prometheus_token_file=prometheus_token_file,
        quarantine=quarantine,
        stabilization=hysteresis.Stabilization(
            min_ready=returns_min_ready_seconds, window=returns_stabilization_window_seconds
        ),
        kubeconfig=kubeconfig,
        metrics_port=metrics_port,
    )
    heap.share_arena()
    turns.shorten()
    uvloop.run(until_signalled(chosen))


async def until_signalled(chosen: settings.OperatorSettings) -> None:
    """Run the operator until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for stop_signal in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stop_signal, ended.set)
    async with operator(chosen):
        await ended.wait()
        log.info("asked to end")


@dataclass(frozen=True, slots=True)
class Operator:
    """The parts of a running operator, for whoever has to look inside."""

    store: store.ClusterMirrors
    leader: elector.Elector
    passes: passes.Passes
    metrics: metrics.Metrics


@contextlib.asynccontextmanager
async def operator(chosen: settings.OperatorSettings) -> AsyncIterator[Operator]:
    """A running operator; leaving the context stops its writes and gives the Lease back.

    A task that fails ends the process with its error: kubelet starts it again.
    """
    access = await config.load(chosen.kubeconfig)
    async with contextlib.AsyncExitStack() as stack:
        kube = await stack.enter_async_context(
            api.KubeApi(access, user_agent=f"foreshore-operator/{chosen.identity}")
        )
        marks = dirty.Dirty()
        hub = await _hub(chosen, marks, stack)
        parts, kopf_thread = _assemble(chosen, kube, access, hub, marks)
        await _serve(chosen, parts.passes, stack)
        kopf_thread.start()
        stack.push_async_callback(asyncio.to_thread, kopf_thread.close)
        async with asyncio.TaskGroup() as tasks:
            election = tasks.create_task(_campaign(parts), name="elector")
            planning = tasks.create_task(parts.passes.run(), name="passes")
            work = [
                planning,
                *(
                    tasks.create_task(mirror.run(), name=f"mirror {mirror.kind.plural}")
                    for mirror in parts.store.mirrors()
                ),
                tasks.create_task(kopf_thread.probe.run(), name="kopf's probe"),
                tasks.create_task(parts.passes.act.recorder.run(), name="events"),
                tasks.create_task(parts.passes.act.queue.run(), name="statuses"),
                tasks.create_task(_budgets(parts, kube).run(), name="disruption budgets"),
                tasks.create_task(heap.keep(), name="heap"),
                tasks.create_task(
                    watchdog.Watchdog(
                        parts.metrics.loop_stall.observe, parts.metrics.loop_work.observe
                    ).run(),
                    name="watchdog",
                ),
                tasks.create_task(parts.passes.compilations.run(), name="compilations"),
                tasks.create_task(
                    store.watch_lease_ages(parts.store, node_health.LEASE_STALE),
                    name="lease ages",
                ),
            ]
            if hub is not None:
                work.append(tasks.create_task(hub.run(), name="hub"))
            histories = sources.chosen(
                chosen,
                parts.passes.decider.last_seen,
                lambda name, outcome: parts.metrics.history.labels(name, outcome).inc(),
                stack,
            )
            parts.passes.decider.prior = keeping.Histories(*histories).priors
            work.extend(
                tasks.create_task(kept.run(), name=f"history of {kept.name}") for kept in histories
            )
            try:
                yield parts
            finally:
                planning.cancel()
                await parts.passes.act.queue.drained(LAST_STATUSES)
                for task in work:
                    task.cancel()
                await asyncio.wait(work)
                election.cancel()


async def _campaign(parts: Operator) -> None:
    """Take part in the election once the mirrors are filled: who leads must be able to plan."""
    await parts.store.synced()
    await parts.leader.run()


def _assemble(
    chosen: settings.OperatorSettings,
    kube: api.KubeApi,
    access: config.ClusterAccess,
    hub: measure.HubEvidence | None,
    marks: dirty.Dirty,
) -> tuple[Operator, handlers.Supervisor]:
    figures = metrics.Metrics()
    mirrors, kopf_thread = _mirrors(chosen, kube, access, marks, figures)

    def lead(is_leading: bool) -> None:  # noqa: FBT001 (the elector's word)
        figures.leader.set(is_leading)
        if is_leading:
            background.begin()
        else:
            queue.drop()
        marks.mark(dirty.LEADERSHIP, urgent=True)

    leader = elector.Elector(
        kube,
        namespace=chosen.namespace,
        name=chosen.lease_name,
        identity=f"{chosen.identity}_{uuid.uuid4().hex[:8]}",
        on_change=lead,
        on_contact=mirrors.lease_ages.reached,
    )
    met = defects.Defects(lambda kind: figures.defects.labels(kind).inc())
    recorder = events.EventRecorder(kube, leader, chosen.identity)
    background = statuses.Statuses(
        _writer(kube, leader, figures, apply.STATUS_PACE, "Status"), mirrors, recorder
    )
    queue = status_queue.StatusQueue(background, figures, met)
    compilations = compiling.Compilations(compilation.Compiler(met), marks.mark)
    writing = act.Act(
        _writer(kube, leader, figures, apply.URGENT_PACE, "Urgent"),
        queue,
        mirrors,
        figures,
        chosen.serving_image,
        recorder,
        met,
    )
    loop = passes.Passes(
        settings=chosen,
        store=mirrors,
        hub=hub,
        leader=leader,
        act=writing,
        marks=marks,
        figures=figures,
        probes=metrics.ProbeState(
            lambda: mirrors.is_synced, does_kopf_answer=lambda: kopf_thread.probe.is_alive
        ),
        compilations=compilations,
        defects=met,
        decider=deciding.Decider(
            mirrors,
            hub,
            compilations,
            chosen.serving_image,
            writing.refusals,
            stabilization=chosen.stabilization,
            on_difference=lambda kind, count: figures.differences.labels(kind).inc(count),
        ),
    )
    return Operator(mirrors, leader, loop, figures), kopf_thread


def _budgets(parts: Operator, kube: api.KubeApi) -> protecting.BudgetLook:
    """The look at whether what makes evictions wait is still there; a pass makes what is gone."""
    loop = parts.passes
    return protecting.BudgetLook(
        kube, parts.leader, loop.act.policies, lambda: loop.marks.mark("disruption budgets")
    )


def _writer(
    kube: api.KubeApi,
    leader: elector.Elector,
    figures: metrics.Metrics,
    pace: apply.WritePace,
    lane: str,
) -> apply.Writer:
    """The writer of one lane: with slots and a pace of its own, no lane waits for another."""
    return apply.Writer(
        kube,
        leader,
        pace=dataclasses.replace(pace, timeout=leader.timing.write_timeout),
        yields_to=leader.yields_to,
        on_outcome=lambda kind, outcome, _: figures.writes.labels(
            lane, kind.kind, outcome.value
        ).inc(),
    )


def _mirrors(
    chosen: settings.OperatorSettings,
    kube: api.KubeApi,
    access: config.ClusterAccess,
    marks: dirty.Dirty,
    figures: metrics.Metrics,
) -> tuple[store.ClusterMirrors, handlers.Supervisor]:
    """The mirrors, and Kopf, which fills some of them; each can ask something of the other."""

    def healed(kind: kinds.ResourceKind, healing: intake.Healing, count: int) -> None:
        figures.healed.labels(kind.kind, healing.value).inc(count)
        if healing is intake.Healing.SERVED:
            kopf_thread.restart(f"{kind.plural} are served now")
        elif healing is intake.Healing.MISSED:
            kopf_thread.doubt(f"{kind.plural} were missed")

    def started(cause: str) -> None:
        figures.kopf_starts.labels(cause).inc()
        mirrors.ask()

    mirrors = store.ClusterMirrors(
        kube,
        marks,
        on_heal=healed,
        counts_flaps=chosen.quarantine,
        on_forgotten=figures.forgotten.inc,
    )
    kopf_thread = handlers.Supervisor(access, store.EDITED, mirrors.note, on_start=started)
    return mirrors, kopf_thread


async def _hub(
    chosen: settings.OperatorSettings, marks: dirty.Dirty, stack: contextlib.AsyncExitStack
) -> measure.HubEvidence | None:
    if chosen.hub_url is None:
        log.warning("no hub is configured: agents' evidence is Unknown, no right is granted")
        return None
    return await stack.enter_async_context(
        measure.HubEvidence(
            chosen.hub_url,
            ca=chosen.hub_ca,
            token_file=chosen.hub_token_file,
            on_news=lambda urgent: marks.mark("fleet", urgent=urgent),
        )
    )


async def _serve(
    chosen: settings.OperatorSettings, loop: passes.Passes, stack: contextlib.AsyncExitStack
) -> None:
    runner = web.AppRunner(metrics.application(loop.figures, loop.probes), access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    # kubelet probes the pod's first address, of whichever family
    await web.SockSite(runner, listening.opened(addresses.EVERY, chosen.metrics_port)).start()


def main() -> None:
    """Run the command line."""
    application()


if __name__ == "__main__":
    main()

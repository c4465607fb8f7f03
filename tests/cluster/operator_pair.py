"""Two `foreshore-operator run` on an API server that notes who writes: for the tests and the bench.

Both run as the chart's account, with its rights and its policies in force. Somebody edits a Site
ten times a second, so that the leader writes all the time. What an operator wrote, tried to write
and listed is read from the API server's own audit log, by its user agent.
"""

import asyncio
import contextlib
import datetime
import itertools
import json
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foreshore_api import v1alpha1
from foreshore_kube import api as kube
from foreshore_kube import config, epochs, intake, kinds
from harness import apiserver as plain
from harness import charts, process

ROOT = Path(__file__).parents[2]
LEASE = "foreshore-operator"
NAMES = ("a", "b")
PERIOD = 0.1
"""Seconds between two edits."""
SITES = 5
KOPF = "kopf/"
"""What the user agent of a replica's Kopf begins with; it does not say whose Kopf it is."""
QUIET = intake.SPACING + intake.GRACE + 1
"""Seconds without a list after which a replica has caught up: it lists what Kopf's own list brings
once more, if that comes after its first."""


class Replica:
    """One `foreshore-operator run`."""

    def __init__(self, name: str, kubeconfig: Path, namespace: str, folder: Path) -> None:
        self.name = name
        self.port = process.free_port()
        self.log = folder / f"{name}.log"
        program = shutil.which("foreshore-operator", path=str(ROOT / ".venv" / "bin"))
        assert program is not None
        flags = {
            "--kubeconfig": kubeconfig,
            "--namespace": namespace,
            "--identity": name,
            "--serving-image": "foreshore-edge:test",
            "--metrics-port": self.port,
        }
        arguments = [str(part) for flag in flags.items() for part in flag]
        self.child: subprocess.Popen[bytes] = process.start(
            [program, "run", *arguments], log=self.log
        )

    def page(self, path: str) -> str:
        """One of its pages; empty while it does not answer."""
        try:
            return process.run(
                ["curl", "-sS", "-m", "5", f"http://127.0.0.1:{self.port}/{path}"], timeout=10
            )
        except process.HarnessError:
            return ""

    @property
    def leads(self) -> bool:
        """Whether it says that it leads."""
        return "foreshore_operator_leader 1.0" in self.page("metrics")

    @property
    def is_ready(self) -> bool:
        """Whether its readiness probe passes."""
        return self.page("readyz") == "ok\n"

    @property
    def written(self) -> float:
        """Writes that it counts as done."""
        lines = re.findall(r'_writes_total{[^}]*result="Written"} (\S+)', self.page("metrics"))
        return sum(float(line) for line in lines)

    def signal(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        self.child.send_signal(number)

    def end(self) -> None:
        """Kill it, paused or not."""
        self.signal(signal.SIGCONT)
        process.end(self.child, kill=True)


@dataclass(frozen=True, slots=True)
class Request:
    """One request that the API server noted; times are Unix seconds."""

    agent: str
    verb: str
    what: str
    """Resource and subresource, as `sites/status`."""
    code: int
    message: str
    """What the API server said against it."""
    received: float
    answered: float

    @property
    def is_write_of_work(self) -> bool:
        """Whether it changed something: not refused, and no Lease, which is the election's."""
        return self.verb != "list" and self.code < 300 and not self.what.startswith("leases")


def requests(audit: Path) -> Iterator[Request]:
    """What operators and their Kopf asked, in the order of answers; an unfinished line waits."""
    for line in audit.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            entry = json.loads(line)
            agent = str(entry.get("userAgent", ""))
            if agent.startswith(("foreshore-operator/", KOPF)):
                yield _request(agent.removeprefix("foreshore-operator/"), entry)


def _request(agent: str, entry: kube.Json) -> Request:
    target = entry.get("objectRef") or {}
    parts = [target.get("resource", ""), target.get("subresource", "")]
    answer = entry.get("responseStatus") or {}
    return Request(
        agent=agent,
        verb=str(entry["verb"]),
        what="/".join(part for part in parts if part),
        code=int(answer.get("code") or 0),
        message=str(answer.get("message", "")),
        received=_seconds(entry["requestReceivedTimestamp"]),
        answered=_seconds(entry["stageTimestamp"]),
    )


def _seconds(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


class Pair:
    """A namespace with two operators and somebody who edits."""

    def __init__(self, server: plain.ApiServer, namespace: str, folder: Path) -> None:
        self.server = server
        self.namespace = namespace
        self.folder = folder
        self.replicas: dict[str, Replica] = {}
        self._kubeconfig = server.kubeconfig
        self._starts = itertools.count()

    def install(self) -> None:
        """Apply the chart's rights and policies, and find its account."""
        self.server.apply_crds(ROOT / "crds")
        self.server.apply(*(one for one in self._documents() if is_wanted(one)))
        self._kubeconfig = self.server.kubeconfig_for_account(
            "foreshore-operator", namespace=self.namespace
        )

    def _documents(self) -> list[kube.Json]:
        return charts.rendered("foreshore", (), self.namespace)

    def uninstall(self) -> None:
        """End the operators and take the policies away: they are of the whole cluster."""
        for replica in self.replicas.values():
            replica.end()
        for document in self._documents():
            if is_policy(document):
                kind, name = document["kind"], document["metadata"]["name"]
                self.server.kubectl("delete", kind, name, "--ignore-not-found")

    def start(self, name: str) -> Replica:
        """Start (again) the operator of this name; returns once it and its Kopf listen."""
        if name in self.replicas:
            self.replicas[name].end()
        folder, begun = self.folder / f"{name}-{next(self._starts)}", time.time()
        self.replicas[name] = Replica(name, self._kubeconfig, self.namespace, folder)
        process.eventually(
            lambda: self.replicas[name].is_ready, what=f"{name} is ready", timeout=90
        )
        process.eventually(
            lambda: self._has_kopf_listed(begun), what=f"the Kopf of {name} has listed", timeout=90
        )
        return self.replicas[name]

    def _has_kopf_listed(self, since: float) -> bool:
        """Whether a Kopf has listed the sites since then, as each does first."""
        assert self.server.audit is not None
        return any(
            request.agent.startswith(KOPF)
            and (request.verb, request.what) == ("list", "sites")
            and request.received >= since
            for request in requests(self.server.audit)
        )

    def epoch(self) -> int:
        """The epoch that the Lease says; 0 while there is none that anybody could read."""
        with contextlib.suppress(process.HarnessError):
            return epochs.of_object(self.server.get("lease", LEASE, "-n", self.namespace))
        return 0

    def leader(self, timeout: float = 60) -> Replica:
        """Who leads, once somebody does."""
        leaders: list[Replica] = []

        def look() -> bool:
            leaders[:] = [one for one in self.replicas.values() if one.leads]
            return len(leaders) == 1

        process.eventually(look, what="one operator leads", timeout=timeout)
        return leaders[0]

    def other(self, replica: Replica) -> Replica:
        """The other one."""
        (other,) = (one for one in self.replicas.values() if one is not replica)
        return other

    def line_of_succession(self) -> tuple[Replica, Replica]:
        """Who leads, and who will once that one does not, when it has caught up."""

        def has_caught_up() -> bool:
            now = time.time()
            return not self.listed(self.other(self.leader()).name, now - QUIET, now)

        process.eventually(has_caught_up, what="who follows has caught up", timeout=60)
        leader = self.leader()
        return leader, self.other(leader)

    def writes(self, agent: str, since: float, until: float = float("inf")) -> list[Request]:
        """What an operator wrote that reached the API server in a span of time."""
        assert self.server.audit is not None
        return [
            request
            for request in requests(self.server.audit)
            if request.agent == agent
            and request.is_write_of_work
            and since <= request.received < until
        ]

    def listed(self, agent: str, since: float, until: float) -> tuple[str, ...]:
        """What an operator listed in a span of time."""
        assert self.server.audit is not None
        return tuple(
            request.what
            for request in requests(self.server.audit)
            if (request.agent, request.verb) == (agent, "list")
            and since <= request.received < until
        )

    def refused(self, agent: str, since: float) -> list[Request]:
        """What an operator sent that the policies of epochs refused."""
        assert self.server.audit is not None
        return [
            request
            for request in requests(self.server.audit)
            if request.agent == agent
            and request.received >= since
            and f"'{epochs.POLICIES}" in request.message
        ]

    def first_write(self, agent: str, since: float, timeout: float = 30) -> Request:
        """The first thing that an operator writes from now on."""
        process.eventually(
            lambda: bool(self.writes(agent, since)), what=f"{agent} writes", timeout=timeout
        )
        return self.writes(agent, since)[0]

    @contextlib.contextmanager
    def edited(self) -> Iterator[None]:
        """Somebody who edits one Site after the other, each edit a status to write."""
        ended = threading.Event()
        editor = threading.Thread(target=self._edit, args=(ended,), daemon=True)
        editor.start()
        try:
            yield
        finally:
            ended.set()
            editor.join()

    def _edit(self, ended: threading.Event) -> None:
        asyncio.run(self._edit_until(ended))

    async def _edit_until(self, ended: threading.Event) -> None:
        access = await config.load(self.server.kubeconfig)
        async with kube.KubeApi(access, user_agent="editor") as client:
            for number in itertools.count():
                if ended.is_set():
                    return
                document = site(self.namespace, f"site-{number % SITES}", 1883 + number % 30_000)
                with contextlib.suppress(kube.ApiError):
                    await client.apply(kinds.of(v1alpha1.Site), document, manager="editor")
                await asyncio.sleep(PERIOD)


def site(namespace: str, name: str, port: int) -> kube.Json:
    """A Site with a broker at a port."""
    broker = {"host": "10.0.0.1", "port": port, "transport": "Plain"}
    return {"metadata": {"namespace": namespace, "name": name}, "spec": {"broker": broker}}


def is_policy(document: kube.Json) -> bool:
    """Whether a document of the chart is of the policies of epochs."""
    return str(document["kind"]).startswith("ValidatingAdmissionPolicy") and (
        "epoch" in document["metadata"]["name"]
    )


def is_wanted(document: kube.Json) -> bool:
    """Whether the operators need a document of the chart on a server without nodes."""
    is_account = document["kind"] == "ServiceAccount"
    is_right = str(document["apiVersion"]).startswith("rbac.")
    is_the_operators = document["metadata"]["name"].startswith("foreshore-operator")
    return is_policy(document) or ((is_account or is_right) and is_the_operators)


@contextlib.contextmanager
def raised(folder: Path) -> Iterator[Pair]:
    """Two ready operators, one of which leads, on a server of their own."""
    with (
        plain.ApiServer(folder / "apiserver", name="foreshore-audited", audited=True) as server,
        server.namespace("pair") as namespace,
    ):
        pair = Pair(server, namespace, folder)
        pair.install()
        try:
            for name in NAMES:
                pair.start(name)
            with pair.edited():
                leader = pair.leader()
                pair.first_write(leader.name, time.time())
                yield pair
        finally:
            pair.uninstall()


@dataclass(frozen=True, slots=True)
class Takeover:
    """What became of a leader that was killed or paused; seconds from then on."""

    led: float
    """Until the other wrote for the first time."""
    listed: tuple[str, ...]
    """What the other listed in that time."""
    late: int = 0
    """Writes of the paused one that took effect after the other's first."""
    refused: int = 0
    """Writes of the paused one that were refused after it woke."""


def killed(pair: Pair) -> Takeover:
    """Kill the leader, wait for the other's first write, start the killed one again."""
    leader, heir = pair.line_of_succession()
    leader.signal(signal.SIGKILL)
    moment = time.time()
    first = pair.first_write(heir.name, moment)
    listed = pair.listed(heir.name, moment, first.received)
    pair.start(leader.name)
    return Takeover(first.answered - moment, listed)


def paused(pair: Pair, *, after: float, awake: float = 3.0) -> Takeover:
    """Pause the leader until the other has written, let it go on, and see what it still writes."""
    leader, heir = pair.line_of_succession()
    time.sleep(after)
    leader.signal(signal.SIGSTOP)
    moment = time.time()
    try:
        first = pair.first_write(heir.name, moment)
    finally:
        leader.signal(signal.SIGCONT)
    time.sleep(awake)
    return Takeover(
        first.answered - moment,
        pair.listed(heir.name, moment, first.received),
        late=len(pair.writes(leader.name, first.received)),
        refused=len(pair.refused(leader.name, first.received)),
    )

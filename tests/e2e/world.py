"""The whole product on a real cluster, as a story tells it.

Given a site, when a node dies, then decisions go on.

Used by the e2e tests, the failover bench and the demo; `tests/cluster/harness` brings cluster,
images, broker and charts.
"""

import contextlib
import itertools
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from e2e import moment
from harness import cluster, install, process, services, settings

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/01-ventilate-a-room"
NAMESPACE = "hq"
SITE = "hq"
DEVICE = "room-301"
POLICY = "ventilate-when-occupied"
PLACEMENT = f"{POLICY}.hq"
INFERENCE_TIMEOUT = "300ms"
"""Instead of the example's 100 ms: five nodes share this machine, and each answer that is late for
want of a processor would count against the node that gave it."""
PATIENT = "1s"
"""The same where nodes boot meanwhile: what is asked there is what a change costs."""
INFERENCE_LABEL = "example.com/inference=true"
COLUMNS = ("Light=light", "CO2=co2", "Temperature=temperature")
OCCUPIED = (385, 620)
"""Rows of the recording, by number, in which the room is occupied without a break."""


@dataclass(frozen=True)
class Obeyed:
    """One line of the device's own log: a command and what the device made of it.

    A command gives two lines where it is taken, Accepted at once and Done when the values have
    settled, and one where it is Rejected.
    """

    time: datetime
    result: str
    reason: str | None
    holder: str
    epoch: int
    command: str
    issued: datetime
    """When the holder issued it, by the holder's clock: nodes here share this machine's."""
    not_after: datetime


class World:
    """A site on a cluster, with the example applied and the device played."""

    def __init__(self, made: cluster.Cluster, installed: install.Product, folder: Path) -> None:
        self.cluster = made
        self.installed = installed
        self.folder = folder
        self.resources = folder / "resources"
        self.credentials = folder / "credentials"
        self._players: dict[str, subprocess.Popen[bytes]] = {}

    # -- given -------------------------------------------------------------------------------

    def apply_example(self, *, slow_cloud: float = 0.04) -> None:
        """The example's resources, with this site's addresses.

        Inference kept off the first holder's node.
        """
        first, *others = self.cluster.edge
        for node in (*others, *self.cluster.cloud):
            self.cluster.kubectl("label", "node", node.name, "--overwrite", INFERENCE_LABEL)
        self.cluster.kubectl("label", "node", first.name, f"{INFERENCE_LABEL.split('=')[0]}-")
        for node in self.cluster.cloud:
            self.cluster.slow(node, delay=slow_cloud)
        (self.installed.models.files / "occupancy-v1.onnx").write_bytes(
            (EXAMPLE / "occupancy-v1.onnx").read_bytes()
        )
        self.resources.mkdir(exist_ok=True)
        text = yaml.safe_dump_all(self.documents())
        (self.resources / "example.yaml").write_text(text)
        self.installed.broker.grant(self.resources)
        self.cluster.kubectl("apply", "--server-side", "-f", self.resources / "example.yaml")

    def documents(self) -> list[dict[str, Any]]:
        """The example's documents, rewritten for this site."""
        found: list[dict[str, Any]] = []
        for path in sorted(EXAMPLE.glob("*.yaml")):
            found += [one for one in yaml.safe_load_all(path.read_text()) if one is not None]
        for one in found:
            if one["kind"] == "Site":
                one["spec"]["broker"] |= {
                    "host": self.installed.broker.address,
                    "port": services.BROKER_PORT,
                }
            if one["kind"] == "DecisionPolicy":
                one["spec"]["inference"]["timeout"] = INFERENCE_TIMEOUT
            if one["kind"] == "ModelVersion":
                one["spec"]["source"] = {
                    "https": {
                        "url": self.installed.models.url("occupancy-v1.onnx"),
                        "caSecretRef": {"name": "models-ca"},
                    }
                }
        return found

    @contextlib.contextmanager
    def added(self, name: str, documents: Sequence[dict[str, Any]]) -> Iterator[None]:
        """Resources beside the example's for as long as this lasts, with what their devices need.

        `name` is that of their file.
        """
        file = self.resources / f"{name}.yaml"
        file.write_text(yaml.safe_dump_all(documents))
        self.installed.broker.grant(self.resources)
        self.cluster.kubectl("apply", "--server-side", "-f", file)
        try:
            yield
        finally:
            self.cluster.kubectl("delete", "-f", file, "--wait=true")
            file.unlink()
            self.installed.broker.grant(self.resources)

    def edit_policy(self, **spec: Any) -> None:
        """Merge fields into the policy's spec, as `kubectl patch` does."""
        patch = json.dumps({"spec": spec})
        self.cluster.kubectl(
            "patch", "decisionpolicies.foreshore.dev", POLICY,
            "-n", NAMESPACE, "--type=merge", "-p", patch,
        )  # fmt: skip

    def play(
        self,
        *,
        device: str = DEVICE,
        site: str = SITE,
        rate: float = 5.0,
        rows: tuple[int, int] | None = OCCUPIED,
    ) -> Path:
        """Be a device until the world closes; the path of its own log."""
        self.installed.broker.credential(self.credentials, device, f"{site}/{device}")
        recording = self.folder / "recording.csv"
        lines = (EXAMPLE / "occupancy.csv").read_text().splitlines()
        body = lines[1:] if rows is None else lines[1 + rows[0] : 1 + rows[1]]
        recording.write_text("\n".join([lines[0], *body]) + "\n")
        log = self.log(device)
        mapped = [part for column in COLUMNS for part in ("--map", column)]
        command = [
            str(Path(sys.executable).with_name("foreshore-agent")), "play",
            "--resources", str(self.resources), "--credentials", str(self.credentials),
            "--credential", device, "--device", device, "--csv", str(recording), *mapped,
            "--rate", str(rate), "--log", str(log), "--loop",
        ]  # fmt: skip
        with (self.folder / "player.log").open("ab") as output:
            player = subprocess.Popen(command, stdout=output, stderr=output)
        self._players[device] = player
        return log

    def unplug(self, device: str) -> None:
        """A played device is there no more."""
        player = self._players.pop(device)
        player.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            player.wait(10)
        if player.poll() is None:
            player.kill()
            player.wait()

    def close(self) -> None:
        """Stop the devices; the cluster belongs to somebody else."""
        for device in list(self._players):
            self.unplug(device)

    # -- then --------------------------------------------------------------------------------

    def find(self, kind: str, name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
        """One object of our group as it is now."""
        return self.cluster.get(f"{kind}.foreshore.dev", name, "-n", namespace)

    def condition(self, kind: str, name: str, type_: str) -> tuple[str, str] | None:
        """(status, reason) of a condition, or None where it is absent."""
        for one in self.find(kind, name).get("status", {}).get("conditions", []):
            if one["type"] == type_:
                return one["status"], one["reason"]
        return None

    def placement(self, name: str = PLACEMENT) -> dict[str, Any]:
        """A placement's status."""
        status: dict[str, Any] = self.find("inferenceplacements", name)["status"]
        return status

    def replicas(self, placement: str = PLACEMENT) -> Mapping[str, str]:
        """Node by role of every replica that is ready."""
        return {
            one["role"]: one["node"]
            for one in self.placement(placement).get("replicas", [])
            if one["phase"] == "Ready"
        }

    def nodes(self, placement: str = PLACEMENT) -> list[str]:
        """Where a placement's replicas are, ready or not, by name."""
        return sorted(replica["node"] for replica in self.placement(placement)["replicas"])

    def authority(self, device: str = DEVICE) -> tuple[str, int] | None:
        """(holder, epoch) of a device."""
        found = self.find("devices", device).get("status", {}).get("authority")
        return (found["holder"], found["epoch"]) if found and "holder" in found else None

    def decisions(self, *selectors: str) -> list[dict[str, Any]]:
        """Decision records of the namespace that the hub has, oldest first."""
        chosen = ("--field-selector", ",".join(selectors)) if selectors else ()
        listed = self.cluster.get("decisions.records.foreshore.dev", "-n", NAMESPACE, *chosen)
        return sorted(listed["items"], key=lambda one: str(one["event"]["time"]))

    def log(self, device: str = DEVICE) -> Path:
        """Where a played device writes what it hears and does."""
        return self.folder / f"{device}.jsonl"

    def obeyed(self, device: str = DEVICE) -> list[Obeyed]:
        """Every line about a command in a device's own log."""
        log = self.log(device)
        if not log.exists():
            return []
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
        return [
            Obeyed(
                time=datetime.fromisoformat(line["time"]),
                result=line["result"],
                reason=line.get("reason"),
                holder=line["command"]["holder"],
                epoch=line["command"]["epoch"],
                command=line["command"]["commandId"],
                issued=datetime.fromisoformat(line["command"]["issuedAt"]),
                not_after=datetime.fromisoformat(line["command"]["notAfter"]),
            )
            for line in lines
            if "command" in line
        ]

    def arrived(self) -> list[Obeyed]:
        """Every command that reached the device, taken or refused, at its arrival."""
        return [one for one in self.obeyed() if one.result != "Done"]

    def arrived_twice(self) -> set[str]:
        """Commands that reached the device more than once, whatever it made of them."""
        counts = Counter(one.command for one in self.arrived())
        return {command for command, count in counts.items() if count > 1}

    def taken(self, device: str = DEVICE) -> list[Obeyed]:
        """Commands at the moment that a device took each; that one is Done is no new command."""
        first: dict[str, Obeyed] = {}
        for one in self.obeyed(device):
            if one.result != "Rejected":
                first.setdefault(one.command, one)
        return list(first.values())

    def commands_since(self, moment: datetime, device: str = DEVICE) -> list[Obeyed]:
        """Commands that a device took after a moment."""
        return [one for one in self.taken(device) if one.time > moment]

    def describe(self) -> str:
        """What the cluster says now, for a story that failed."""
        return described(self.cluster)

    # -- waiting -----------------------------------------------------------------------------

    def until(self, condition: Callable[[], object], what: str, timeout: float = 60) -> None:
        """Wait; what is not there yet, or out of reach for a moment, counts as not so."""

        def holds() -> bool:
            with contextlib.suppress(process.CommandError, KeyError, IndexError):
                return bool(condition())
            return False

        process.eventually(holds, what=what, timeout=timeout, interval=0.5)

    def until_deciding(self, timeout: float = 120, *, device: str = DEVICE) -> None:
        """Wait until a device takes a command that was issued from now on."""
        since = now()
        self.until(
            lambda: any(one.issued > since for one in self.commands_since(since, device)),
            f"{device} is commanded",
            timeout,
        )

    def hold_apart(self, device: str = DEVICE) -> None:
        """Have a device held on the node that infers nothing: its calls then cross a link.

        The agent that holds it elsewhere is replaced and hands over, to the first node by name.
        """
        apart = self.cluster.edge[0].name
        held = self.authority(device)
        if held is None or held[0] == apart:
            return
        pods = self.cluster.get(
            "pods", "-n", install.AGENTS, "--field-selector", f"spec.nodeName={held[0]}"
        )
        for pod in pods["items"]:
            name = pod["metadata"]["name"]
            self.cluster.kubectl("delete", "pod", name, "-n", install.AGENTS, "--wait=false")
        self.until(lambda: (self.authority(device) or held)[0] == apart, f"{apart} holds {device}")
        self.until_deciding(device=device)

    def until_redundant(self, timeout: float = 180, *, placement: str = PLACEMENT) -> None:
        """Wait until an active and a standby replica serve."""
        self.until(
            lambda: set(self.replicas(placement)) == {"Active", "Standby"},
            "an active and a standby replica serve",
            timeout,
        )

    def until_replaced(self, node: str, timeout: float) -> None:
        """Wait until two replicas serve, none of them on a node that was lost."""
        self.until(
            lambda: node not in self.replicas().values() and len(self.replicas()) == 2,
            "a replacement serves elsewhere",
            timeout,
        )


def resource(kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """A document of our group in the example's namespace."""
    return {
        "apiVersion": "foreshore.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE, **metadata},
        "spec": spec,
    }


def gap(commands: Sequence[Obeyed], moment: datetime) -> timedelta | None:
    """The longest time without a command since a moment: from the last one before it, until now.

    `commands` are those that were taken, each once; None where there is none.
    """
    if not commands:
        return None
    before = [one.time for one in commands if one.time <= moment][-1:]
    times = [*before, *(one.time for one in commands if one.time > moment), now()]
    return max(later - earlier for earlier, later in itertools.pairwise(times))


def time_of(record: Mapping[str, Any]) -> datetime:
    """When a decision was taken."""
    return datetime.fromisoformat(record["event"]["time"])


def now() -> datetime:
    """This machine's time, which the device's log is stamped with too."""
    return datetime.now(UTC)


def wait(seconds: float) -> None:
    """Let the real world go on for so long; faults take the time they take."""
    time.sleep(seconds)


def described(made: cluster.Cluster) -> str:
    """Conditions, events, placements, the agents' last errors of a cluster, as they are now."""
    return moment.describe(made.kubectl, lambda *args: foreshore(made, *args))


def foreshore(made: cluster.Cluster, *args: str) -> str:
    """The output of a `kubectl foreshore` command, whatever its exit code says."""
    program = Path(sys.executable).with_name("kubectl-foreshore")
    try:
        done = subprocess.run(
            [program, *args, "--kubeconfig", made.kubeconfig],
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise process.HarnessError(str(error)) from error
    return done.stdout + done.stderr


@contextlib.contextmanager
def raised(made: cluster.Cluster, folder: Path) -> Iterator[World]:
    """The product installed on a cluster, the example applied, nothing played yet.

    Whatever fails in here takes along, as a note, what the cluster said at that moment.
    """
    world: World | None = None
    try:
        world = World(made, install.install(made, settings.read()), folder)
        world.apply_example()
        yield world
    except Exception as error:
        error.add_note(f"the cluster at that moment:\n{described(made)}")
        raise
    finally:
        if world is not None:
            world.close()

"""A cluster's own network, with a fixed range, so that what stands beside it has an address.

gateway .1 · site services .2–.63, given by name below · nodes .128–.255, given by Docker
"""

import ipaddress
import json
from dataclasses import dataclass

from harness import docker, process

BROKER = 9
MODELS = 10


@dataclass(frozen=True)
class Network:
    """A Docker network and the addresses that are known before anything runs on it."""

    name: str
    subnet: ipaddress.IPv4Network

    @property
    def gateway(self) -> str:
        """The address of the machine itself."""
        return str(self.subnet[1])

    @property
    def broker(self) -> str:
        """Where the site's broker stands."""
        return str(self.subnet[BROKER])

    @property
    def models(self) -> str:
        """Where model files are served."""
        return str(self.subnet[MODELS])


def ensure(name: str, *, owner: str, subnets: str) -> Network:
    """The network of that name, made on the first free range of `subnets`.0.0/16 if absent."""
    existing = docker.inspect("network", name)
    if existing is not None:
        if docker.LABEL not in (existing.get("Labels") or {}):
            raise process.HarnessError(
                f"a Docker network {name} exists that this harness did not make; use another name"
            )
        return Network(name, ipaddress.IPv4Network(existing["IPAM"]["Config"][0]["Subnet"]))
    for candidate in ipaddress.IPv4Network(f"{subnets}.0.0/16").subnets(new_prefix=24):
        if any(candidate.overlaps(taken) for taken in taken_ranges()):
            continue
        docker.docker(
            "network", "create", "--driver=bridge", f"--subnet={candidate}",
            f"--gateway={candidate[1]}", f"--ip-range={candidate[128]}/25",
            "--label", f"{docker.LABEL}={owner}", name,
        )  # fmt: skip
        return Network(name, candidate)
    raise process.HarnessError(
        f"every range of {subnets}.0.0/16 is taken by another Docker network; "
        "choose another with FORESHORE_SUBNETS, for example FORESHORE_SUBNETS=10.213"
    )


def taken_ranges() -> list[ipaddress.IPv4Network]:
    """The ranges of every network the engine has."""
    names = docker.docker("network", "ls", "-q").split()
    if not names:
        return []
    found = json.loads(docker.docker("network", "inspect", *names))
    return [
        ipaddress.IPv4Network(configuration["Subnet"])
        for network in found
        for configuration in network["IPAM"]["Config"] or ()
        if ":" not in configuration.get("Subnet", ":")
    ]

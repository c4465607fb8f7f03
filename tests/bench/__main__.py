"""`make bench`: figures as ratios to a calibrator in the same run. Nothing here is asserted.

latency   decision p50 and p99 over Mosquitto, QoS 1, 1 kHz, folder mode, intent durable before the
          command, over the same path through an echo written in C
memory    agent and serving, proportional set size after the run
failover  on a real cluster: updates, nodes killed (left out with --skip-cluster)
"""

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "cluster")]

from bench import failover, latency  # noqa: E402


def main() -> int:
    """Run the benches and print their figures."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000, help="samples a run (10000)")
    parser.add_argument("--rate", type=int, default=1000, help="samples a second (1000)")
    parser.add_argument("--skip-cluster", action="store_true", help="only what needs no cluster")
    chosen = parser.parse_args()
    print(f"hardware: {hardware()}")
    print(f"samples: {chosen.samples} a run at {chosen.rate}/s, after 200 to warm up\n")
    with tempfile.TemporaryDirectory(prefix="foreshore-bench-") as folder:
        latency.report(Path(folder), samples=chosen.samples, rate=chosen.rate)
    if not chosen.skip_cluster:
        failover.report()
    return 0


def hardware() -> str:
    """The machine in one line."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return f"{os.cpu_count()} × {model}, {memory} GiB, Linux {platform.release()}"


if __name__ == "__main__":
    sys.exit(main())

"""Hold packets that leave a network namespace: the shaper where the kernel has no netem.

Runs in a container that shares a node's network namespace; iptables hands it the packets through a
netfilter queue with --queue-bypass, so that nothing is lost when it is not there. Packets leave in
the order they came, as on a real link: jitter delays, it does not reorder. On SIGHUP it reads
another delay and jitter from CHANGED; what it holds already leaves when it would have left.

    delay.py --queue 40 --delay 0.040 --jitter 0.005
"""

import argparse
import collections
import random
import select
import signal
import time
from pathlib import Path

import netfilterqueue

CHANGED = Path("/run/foreshore-delay")  # two numbers: seconds of delay and of jitter
CAPACITY = 20000  # packets held at once; more are dropped by the kernel, as a full link would


def main() -> None:
    """Serve the queue until the container is stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queue", type=int, required=True)
    parser.add_argument("--delay", type=float, required=True, help="seconds")
    parser.add_argument("--jitter", type=float, default=0.0, help="seconds, more or less")
    asked = parser.parse_args()

    def change(*_: object) -> None:
        asked.delay, asked.jitter = map(float, CHANGED.read_text().split())

    signal.signal(signal.SIGHUP, change)

    held: collections.deque[tuple[float, netfilterqueue.Packet]] = collections.deque()

    def hold(packet: netfilterqueue.Packet) -> None:
        late = random.uniform(-asked.jitter, asked.jitter)
        due = time.monotonic() + asked.delay + late
        held.append((max(due, held[-1][0]) if held else due, packet))

    queue = netfilterqueue.NetfilterQueue()
    queue.bind(asked.queue, hold, CAPACITY, netfilterqueue.COPY_META, sock_len=8 << 20)
    print("ready", flush=True)
    while True:
        patience = max(0.0, held[0][0] - time.monotonic()) if held else None
        if select.select([queue.get_fd()], [], [], patience)[0]:
            queue.run(block=False)
        while held and held[0][0] <= time.monotonic():
            held.popleft()[1].accept()


if __name__ == "__main__":
    main()

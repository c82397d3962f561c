"""How long a message takes to all others, by the number of nodes: whole nodes while they fit, then trees alone."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from statistics import mean, quantiles

from zmqchat.sim.experiments.meshes import Mesh
from zmqchat.sim.experiments.overlays import sizes_up_to
from zmqchat.sim.experiments.table import Table, Value
from zmqchat.sim.experiments.trees import MESSAGES, WARM_MESSAGES, measure, tree_mesh

SIZES = (10, 30, 100, 300, 1_000, 3_000)
WHOLE_MAX = 1_000
TREES_LEAST = 100


def latency(count: int, seed: int) -> Table:
    """Milliseconds to half of the receivers, to 99 of 100, and to the last; each message of another author."""
    rows: list[tuple[Value, ...]] = []
    for size in sizes_up_to(count, SIZES):
        whole = _whole(size, seed) if size <= WHOLE_MAX else (None, None, None)
        trees = _trees(size, seed) if size >= TREES_LEAST else (None, None, None, None)
        rows.append((float(size), *whole, *trees))
    columns = (
        "nodes", "median ms", "99 % ms", "last ms", "tree hops", "tree median ms", "tree 99 % ms", "tree last ms",
    )  # fmt: skip
    shown = tuple(name for name in columns if name.endswith(" ms"))
    return Table("Live latency", columns, rows, shown, "ms over links of 5 to 15 ms", evenly=True)


def _whole(size: int, seed: int) -> tuple[float, float, float]:
    """From an author's `send` to the receivers' disks and users."""
    mesh = Mesh(size, seed)
    for _ in range(WARM_MESSAGES):
        mesh.delays_ms(0)
    authors = Random(f"{seed} authors").sample(range(size), min(size, MESSAGES))
    return _steps([delay for author in authors for delay in mesh.delays_ms(author)])


def _trees(size: int, seed: int) -> tuple[float, float, float, float]:
    """Hops to the last receiver, and the same times from one machine of broadcast to the others'."""
    net = tree_mesh(size, seed)
    for _ in range(WARM_MESSAGES):
        measure(net, net.nodes[0])
    seen = [measure(net, source) for source in net.rng.sample(net.nodes, MESSAGES)]
    return mean(one.hops[-1] for one in seen), *_steps([delay for one in seen for delay in one.delays_ms])


def _steps(delays_ms: Sequence[float]) -> tuple[float, float, float]:
    steps = quantiles(delays_ms, n=100, method="inclusive")
    return steps[49], steps[98], max(delays_ms)

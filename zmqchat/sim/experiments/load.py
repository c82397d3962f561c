"""What a node has to do, against the number of nodes: per message, and in a minute in which nobody says anything.

Whole nodes as far as they fit. Above that the machines that could grow with the mesh, alone: what the tree sends
for a message, and what the overlay sends in a minute. The rest of a quiet minute is pings, and comparing with one peer
every ten and every thirty seconds, which depend on the links and not on the nodes.
"""

from __future__ import annotations

import time
from random import Random

from zmqchat.sim.experiments.meshes import Mesh
from zmqchat.sim.experiments.overlays import settled, sizes_up_to
from zmqchat.sim.experiments.table import Table, Value
from zmqchat.sim.experiments.trees import MESSAGES, WARM_MESSAGES, measure, tree_mesh
from zmqchat.sim.overlaynet import OverlayNet
from zmqchat.sim.routes import HEADER_BYTES

SIZES = (30, 100, 300, 1_000, 3_000)
WHOLE_MAX = 300
TREES_LEAST = 100
REST_S = 30.0
MINUTE_S = 60.0
MESSAGES_IN_A_MINUTE = 60


def load(count: int, seed: int) -> Table:
    """Bytes, facts and processor time, a node; what a message costs is what the minute with messages costs more."""
    rows: list[tuple[Value, ...]] = []
    for size in sizes_up_to(count, SIZES):
        whole = _whole(size, seed) if size <= WHOLE_MAX else (None,) * 6
        alone = _alone(size, seed) if size >= TREES_LEAST else (None,) * 4
        rows.append((float(size), *whole, *alone))
    columns = (
        "nodes", "idle kB", "idle facts", "cpu idle ms", "message B", "message facts", "cpu message ms",
        "tree B", "cpu tree ms", "overlay kB", "cpu overlay ms",
    )  # fmt: skip
    shown = ("message B", "tree B", "idle kB", "overlay kB")
    unit = "of a node; B a message, kB an idle minute"
    return Table("Load against the number of nodes", columns, rows, shown, unit, evenly=True)


def _whole(size: int, seed: int) -> tuple[float, ...]:
    mesh = Mesh(size, seed)
    mesh.run(REST_S)
    idle = mesh.cost(MINUTE_S)
    chance = Random(f"{seed} authors")
    for number in range(MESSAGES_IN_A_MINUTE):
        mesh.world.schedule.after(number * MINUTE_S / MESSAGES_IN_A_MINUTE, mesh.say, chance.randrange(size))
    busy = mesh.cost(MINUTE_S)
    copies = size * MESSAGES_IN_A_MINUTE
    return (
        idle.received_bytes / size / 1e3,
        idle.facts / size,
        1e3 * idle.cpu_s / size,
        (busy.received_bytes - idle.received_bytes) / copies,
        (busy.facts - idle.facts) / copies,
        1e3 * (busy.cpu_s - idle.cpu_s) / copies,
    )


def _alone(size: int, seed: int) -> tuple[float, ...]:
    overlay = settled(size, seed)
    before_bytes, before_s = _overlay_bytes(overlay), time.process_time()
    overlay.run(MINUTE_S)
    overlay_bytes, overlay_s = _overlay_bytes(overlay) - before_bytes, time.process_time() - before_s
    trees = tree_mesh(size, seed, overlay)
    for _ in range(WARM_MESSAGES):
        measure(trees, trees.nodes[0])
    sources = trees.rng.sample(trees.nodes, MESSAGES)
    before_s = time.process_time()
    sent = sum(measure(trees, source).sent_bytes for source in sources)
    trees_s = time.process_time() - before_s
    copies = size * MESSAGES
    return sent / copies, 1e3 * trees_s / copies, overlay_bytes / size / 1e3, 1e3 * overlay_s / size


def _overlay_bytes(net: OverlayNet) -> int:
    return sum(node.sent_bytes + HEADER_BYTES * sum(node.sent.values()) for node in net.nodes)

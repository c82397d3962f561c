"""What the broadcast trees do over links that the overlay made: their cost, and how far messages travel."""

from __future__ import annotations

from statistics import mean, quantiles
from typing import NamedTuple

from zmqchat.model.limits import FULL_MESH_MEMBERS_MAX
from zmqchat.sim.author import lobby
from zmqchat.sim.experiments.overlays import settled
from zmqchat.sim.experiments.table import Table
from zmqchat.sim.treenet import TreeNet, TreeNode

RTT_S = 0.02
"""Links take a quarter to three quarters of it each way: 5 to 15 ms."""
MESSAGE_S = 2.0
"""Between two messages: all of one is over before the next."""
WARM_MESSAGES = 10
"""Messages of one author before anything is measured, while the tree forms."""
MESSAGES = 10
SIZES = (10, 30, 100, 300, 1_000, 3_000, 10_000)


class Measured(NamedTuple):
    """One message: how many copies were sent, names and requests beside them, and how and when it came to the others.

    hops, delays_ms  of each receiver, rising
    """

    payloads: int
    names: int
    grafts: int
    hops: list[int]
    delays_ms: list[float]


def tree_mesh(count: int, seed: int) -> TreeNet:
    """Broadcast machines over the links of a settled overlay, or over all links where the mesh is full."""
    net = TreeNet(seed, RTT_S)
    nodes = net.add(count)
    if count <= FULL_MESH_MEMBERS_MAX:
        pairs = [(one, other) for one in range(count) for other in range(one)]
    else:
        overlay = settled(count, seed)
        place = {node.peer: number for number, node in enumerate(overlay.nodes)}
        pairs = [(place[peer], place[other]) for peer, others in overlay.graph().items() for other in others]
    for one, other in pairs:
        net.link(nodes[one], nodes[other])
    return net


def measure(net: TreeNet, source: TreeNode) -> Measured:
    """Let a node say something, and see it come to all."""
    before = [net.sent(kind) for kind in ("Relay", "IHave", "Graft")]
    batch = source.say()
    begun_s = net.now_s
    net.run(MESSAGE_S)
    payloads, names, grafts = (
        net.sent(kind) - count for kind, count in zip(("Relay", "IHave", "Graft"), before, strict=True)
    )
    delays_ms = sorted(1000 * (node.got[batch.raw][0] - begun_s) for node in net.reached(batch, source))
    depths = net.depths(source)
    return Measured(payloads, names, grafts, sorted(depths.values())[1:], delays_ms)


def broadcast(count: int, seed: int) -> Table:
    """What each message costs: ten of one author, while its tree forms, then one of each of ten more authors."""
    net = tree_mesh(count, seed)
    sources = [net.nodes[0]] * WARM_MESSAGES + net.rng.sample(net.nodes[1:], MESSAGES)
    rows = []
    for number, source in enumerate(sources, start=1):
        seen = measure(net, source)
        receivers = len(seen.delays_ms)
        redundancy = seen.payloads / receivers - 1
        author = max(1, number - WARM_MESSAGES + 1)
        rows.append(
            (number + 0.0, author + 0.0, receivers + 0.0, seen.payloads + 0.0, redundancy, seen.names + 0.0,
             seen.grafts + 0.0, seen.hops[-1] + 0.0, seen.delays_ms[-1])
        )  # fmt: skip
    columns = (
        "message", "author", "receivers", "payloads", "redundancy", "names", "grafts", "last hop", "last ms",
    )  # fmt: skip
    return Table(f"Broadcast to {count} nodes", columns, rows, ("last hop", "redundancy"), "of each message")


def latency(count: int, seed: int) -> Table:
    """Hops and milliseconds to half, to 99 of 100, and to the last receiver, against the number of nodes."""
    rows = []
    for size in [size for size in SIZES if size <= count]:
        net = tree_mesh(size, seed)
        for _ in range(WARM_MESSAGES):
            measure(net, net.nodes[0])
        seen = [measure(net, net.nodes[0]) for _ in range(MESSAGES)]
        delays = [delay for one in seen for delay in one.delays_ms]
        steps = quantiles(delays, n=100)
        hops = mean(one.hops[-1] for one in seen)
        rows.append((float(size), len(net.eager_edges(lobby())) / size, hops, steps[49], steps[98], max(delays)))
    columns = ("nodes", "eager links", "last hop", "median ms", "99 % ms", "last ms")
    return Table("Live latency", columns, rows, columns[3:], "ms, over links of 5 to 15 ms", evenly=True)

"""What the broadcast trees do over links that the overlay made: their cost, and how far messages travel."""

from __future__ import annotations

from typing import NamedTuple

from zmqchat.sim.experiments.overlays import settled
from zmqchat.sim.experiments.table import Table
from zmqchat.sim.overlaynet import OverlayNet
from zmqchat.sim.routes import HEADER_BYTES
from zmqchat.sim.treenet import TreeNet, TreeNode

RTT_S = 0.02
"""Links take a quarter to three quarters of it each way: 5 to 15 ms."""
MESSAGE_S = 2.0
"""Between two messages: all of one is over before the next."""
WARM_MESSAGES = 10
"""Messages of one author before anything is measured, while the tree forms."""
MESSAGES = 10
"""Measured ones, each of another author."""


class Measured(NamedTuple):
    """One message: how many copies were sent, names and requests beside them, and how and when it came to the others.

    hops, delays_ms  of each receiver, rising
    sent_bytes       of all nodes' frames
    """

    payloads: int
    names: int
    grafts: int
    hops: list[int]
    delays_ms: list[float]
    sent_bytes: int


def tree_mesh(count: int, seed: int, overlay: OverlayNet | None = None) -> TreeNet:
    """Broadcast machines over the links of a settled overlay."""
    net = TreeNet(seed, RTT_S)
    nodes = net.add(count)
    overlay = overlay or settled(count, seed)
    place = {node.peer: number for number, node in enumerate(overlay.nodes)}
    for peer, others in overlay.graph().items():
        for other in others:
            net.link(nodes[place[peer]], nodes[place[other]])
    return net


def measure(net: TreeNet, source: TreeNode) -> Measured:
    """Let a node say something, and see it come to all."""
    before = [net.sent(kind) for kind in ("Relay", "IHave", "Graft")]
    before_bytes = sent_bytes(net)
    batch = source.say()
    begun_s = net.now_s
    net.run(MESSAGE_S)
    payloads, names, grafts = (
        net.sent(kind) - count for kind, count in zip(("Relay", "IHave", "Graft"), before, strict=True)
    )
    delays_ms = sorted(1000 * (node.got[batch.raw][0] - begun_s) for node in net.reached(batch, source))
    depths = net.depths(source)
    return Measured(payloads, names, grafts, sorted(depths.values())[1:], delays_ms, sent_bytes(net) - before_bytes)


def sent_bytes(net: TreeNet) -> int:
    """What all nodes have sent, with what a frame costs beside its payload."""
    return sum(node.sent_bytes + HEADER_BYTES * node.sent.total() for node in net.nodes)


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

"""What the overlay does: its shape when nothing happens, and what is left of it after a massive failure."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from random import Random
from statistics import mean

from zmqchat.protocol.overlay import Overlay
from zmqchat.sim.experiments.table import Table
from zmqchat.sim.overlaynet import OverlayNet

STARTED_PER_S = 200.0
SETTLED_S = 60.0
SIZES = (300, 1_000, 3_000)
PATH_STARTS = 40
FEWEST, MOST = 6, 12
"""The neighbours that DESIGN 6 allows a node."""
FAILED_PERCENT = (10, 30, 50, 70, 80, 90, 95)
MESSAGES = 1_000
MESSAGES_PER_S = 10
SHOWN_MESSAGES = (1, 10, 30, 100, 1_000)
"""Single messages of the thousand: the paper's figure 3."""


def settled(count: int, seed: int, overlay_type: type[Overlay] = Overlay) -> OverlayNet:
    """A partial mesh, its nodes started one after the other, that has had two shuffles."""
    net = OverlayNet(seed, overlay_type=overlay_type)
    net.grow(count, per_s=STARTED_PER_S)
    net.run(SETTLED_S)
    return net


def shape(count: int, seed: int) -> Table:
    """How far it is from one node to another, how clustered the mesh is, and how many neighbours nodes have."""
    rows = []
    for size in sizes_up_to(count, SIZES):
        net = settled(size, seed)
        degrees = net.degrees()
        usual = sum(FEWEST <= degree <= MOST for degree in degrees)
        path, clustering = net.path_length(min(PATH_STARTS, size)), net.clustering()
        rows.append((float(size), path, clustering, 100.0 * usual / size, float(degrees[0]), float(degrees[-1])))
    columns = ("nodes", "path", "clustering", f"{FEWEST} to {MOST} %", "fewest", "most")
    return Table("Shape of the overlay", columns, rows, ("path",), "links between two nodes, mean", evenly=True)


def sizes_up_to(count: int, sizes: Sequence[int]) -> list[int]:
    """Those of the sizes that are smaller than the number of nodes, and that number."""
    return [size for size in sizes if size < count] + [count]


def failures(count: int, seed: int) -> Table:
    """The share of survivors that messages reach, by how many nodes fail at once (HyParView, section 5.2 and figure 2).

    As in the paper, no cycle passes between the failure and the last message: nobody shuffles. A link to a dead node
    breaks at once, as a killed process's does, and what follows from that is what the machine does of itself: it asks
    contacts in reserve, then members, most of whom are as dead and were not known to be.
    """
    whole = settled(count, seed, Reactive)
    rows = []
    for percent in FAILED_PERCENT:
        net = copy.deepcopy(whole)
        for node in net.nodes:
            assert isinstance(node.overlay, Reactive)
            node.overlay.stop_cycles()
        net.kill(net.rng.sample(net.alive, count * percent // 100), unnoticed=True)
        reached = [_reached_percent(components, len(net.alive), net.rng) for components in _while_repairing(net)]
        rows.append((float(percent), *(reached[number - 1] for number in SHOWN_MESSAGES), mean(reached)))
    columns = ("failed %", *(f"message {number}" for number in SHOWN_MESSAGES), "mean of all")
    unit = f"% of the survivors that a message reaches; {MESSAGES} messages, {MESSAGES_PER_S} a second"
    return Table(f"Massive failure of {count} nodes", columns, rows, columns[1:], unit)


class Reactive(Overlay):
    """The overlay, which may be told to do nothing from time to time, only what events ask for."""

    def stop_cycles(self) -> None:
        """No shuffle and no visit any more."""
        self._shuffle_at_s = self._visit_at_s = math.inf


def _while_repairing(net: OverlayNet) -> Iterator[list[int]]:
    """At each message, how large the parts are that the survivors' links have left."""
    parts: list[int] = []
    seen = (-1, 0)
    for number in range(MESSAGES):
        now = (net.stirred, number // MESSAGES_PER_S)
        if now != seen:
            seen, parts = now, _parts(net)
        yield parts
        net.run(1.0 / MESSAGES_PER_S)


def _parts(net: OverlayNet) -> list[int]:
    """How many nodes each part of the mesh has."""
    graph = net.graph()
    sizes = []
    left = dict.fromkeys(graph)
    while left:
        part = net.reached(next(iter(left)), graph)
        sizes.append(len(part))
        for peer in part:
            del left[peer]
    return sizes


def _reached_percent(parts: list[int], alive: int, rng: Random) -> float:
    """The share of the nodes that a message of a node at random floods."""
    return 100.0 * rng.choices(parts, weights=parts)[0] / alive

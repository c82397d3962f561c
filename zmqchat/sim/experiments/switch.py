"""The full mesh beside the partial one, around the number of nodes at which one becomes the other."""

from __future__ import annotations

from random import Random
from statistics import median
from typing import Final

from zmqchat.model.config import Config
from zmqchat.sim.experiments.meshes import Mesh
from zmqchat.sim.experiments.overlays import sizes_up_to
from zmqchat.sim.experiments.table import Table

SIZES: Final = (32, 64, 96, 128, 192)
ALWAYS_FULL: Final = Config(full_mesh_max=1_000, full_mesh_again=999)
ALWAYS_PARTIAL: Final = Config(full_mesh_max=2, full_mesh_again=1)
REST_S: Final = 20.0
IDLE_S: Final = 15.0
WARM_MESSAGES: Final = 5
MESSAGES: Final = 5


def switch(count: int, seed: int) -> Table:
    """Links, an idle minute, copies that an author sends, and milliseconds to the receivers, both ways."""
    rows = []
    for size in sizes_up_to(count, SIZES):
        rows.append((float(size), *_measured(size, seed, ALWAYS_FULL), *_measured(size, seed, ALWAYS_PARTIAL)))
    names = ("links", "idle kB", "idle facts", "author copies", "copies", "median ms", "last ms")
    columns = ("nodes", *(f"{kind} {name}" for kind in ("full", "partial") for name in names))
    shown = ("full idle kB", "partial idle kB", "full last ms", "partial last ms")
    unit = "kB that a node receives in an idle minute; ms to the last receiver"
    return Table("Full mesh and partial mesh", columns, rows, shown, unit)


def _measured(size: int, seed: int, config: Config) -> tuple[float, ...]:
    """The columns of one kind of mesh; what an idle minute costs is taken from a part of it."""
    mesh = Mesh(size, seed, config)
    mesh.run(REST_S)
    idle = mesh.cost(IDLE_S)
    minutes = IDLE_S / 60.0
    for _ in range(WARM_MESSAGES):
        mesh.delays_ms(0)
    medians, lasts, first_copies, copies = [], [], 0, 0
    for author in Random(f"{seed} authors").sample(range(size), min(size, MESSAGES)):
        delays_ms = mesh.delays_ms(author)
        medians.append(median(delays_ms))
        lasts.append(delays_ms[-1])
        first_copies += mesh.ear.first_copies
        copies += mesh.ear.copies
    return (
        mesh.links(),
        idle.received_bytes / size / minutes / 1e3,
        idle.facts / size / minutes,
        first_copies / len(lasts),
        copies / len(lasts) / (size - 1),
        median(medians),
        max(lasts),
    )

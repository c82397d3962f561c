"""Drawing options from a seed, as the swarm does: what is played, by how many, for how long, with which trouble.

Swarm testing: each seed meets a random subset of the kinds of trouble rather than all of them, as one kind often hides
what another would show (Groce and others, ISSTA 2012).
"""

from __future__ import annotations

from random import Random
from typing import Final

from zmqchat.sim.faults import FAULTS
from zmqchat.sim.options import Options
from zmqchat.sim.scenarios import DRAWN, SCENARIOS

NODES: Final = (2, 2, 3, 3, 3, 4, 4, 5, 6, 8)
"""Small meshes find nearly all that large ones do, and many more of them run in the same time."""

DURATIONS_S: Final = (8.0, 12.0, 16.0, 24.0)
FAULTS_MAX: Final = 6

_LATER: Final = tuple(name for name in DRAWN if SCENARIOS[name].is_later)
_FIRST: Final = tuple(name for name in DRAWN if name not in _LATER)


def draw(
    seed: int,
    *,
    scenario: str | None = None,
    nodes: int | None = None,
    duration_s: float | None = None,
    faults: tuple[str, ...] | None = None,
) -> Options:
    """The options of a seed; what is given is not drawn."""
    rng = Random(f"{seed} draw")
    drawn = rng.choice(_FIRST)
    for later in _LATER:
        if Random(f"{seed} draws {later}").random() * len(DRAWN) < 1:
            drawn = later
    chosen = SCENARIOS[drawn if scenario is None else scenario]
    drawn_nodes, drawn_s = rng.choice(chosen.nodes_drawn or NODES), rng.choice(DURATIONS_S)
    kinds = sorted(FAULTS)
    count = rng.randint(0, FAULTS_MAX)
    drawn_faults = tuple(sorted(rng.sample(kinds, count))) if chosen.is_drawn else ()
    return Options(
        seed=seed,
        scenario=drawn if scenario is None else scenario,
        nodes=nodes or drawn_nodes,
        duration_s=duration_s or drawn_s,
        faults=faults if faults is not None else chosen.usual_faults or drawn_faults,
    )

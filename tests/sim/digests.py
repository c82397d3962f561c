"""Seeds with the digests that they have: run `python -m tests.sim.digests` after a change of a machine that is meant.

A digest covers every fact that goes into every node, so it changes with whatever changes what they do. Where it changes
by itself (another Python, another machine, another hash seed), something depends on what it must not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from zmqchat.sim.draw import draw
from zmqchat.sim.running import run_checked
from zmqchat.sim.scenarios import DRAWN

FILE: Final = Path(__file__).resolve().with_name("digests.json")


def digests() -> list[dict[str, Any]]:
    """One small run of each scenario that a seed may draw, with its digest and the number of its facts."""
    found = []
    for seed, scenario in enumerate(DRAWN, start=1):
        options = draw(seed, scenario=scenario, nodes=4, duration_s=6.0)
        outcome = run_checked(options)
        found.append({"command": options.command(), "digest": outcome.digest, "facts": outcome.facts})
    return found


def text() -> str:
    """What the file holds."""
    return json.dumps(digests(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")

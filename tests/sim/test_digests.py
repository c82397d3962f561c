"""Runs are the same everywhere: the kept digests come out again, whatever Python hashes strings by."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.sim.digests import FILE
from tests.support.sources import REPO


@pytest.mark.parametrize("hash_seed", ["1", "4242"])
def test_the_kept_digests_come_out_again(hash_seed: str) -> None:
    """After a change of a machine that is meant, `python -m tests.sim.digests` keeps the new ones."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(REPO)}
    script = "import tests.sim.digests as kept; print(kept.text(), end='')"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=100
    )
    assert done.stdout == FILE.read_text(encoding="utf-8")

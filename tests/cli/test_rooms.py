"""`join`, `leave` and `rooms` in real processes."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.commands import run_command


def test_membership_is_kept_until_leave(home: Path) -> None:
    """Each command is a run of its own; the lobby is there from the first."""

    def names() -> list[str]:
        return [json.loads(line)["room"] for line in run_command(home, "rooms", "--json").stdout.splitlines()]

    assert names() == ["lobby"]
    assert run_command(home, "join", "kitchen").returncode == 0
    assert names() == ["kitchen", "lobby"]
    assert "1 member " in run_command(home, "rooms").stdout
    assert run_command(home, "leave", "kitchen").returncode == 0
    assert names() == ["lobby"]
    run_command(home, "history", "garden")
    assert names() == ["garden", "lobby"]

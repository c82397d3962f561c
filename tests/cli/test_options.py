"""Start options: what can't be right is refused at once, and disagreements with a running node are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from zmqchat.cli.options import StartOptions
from zmqchat.model.errors import BadAddress, BadName
from zmqchat.node.settings import DEFAULT_MESH


def test_what_cannot_be_right_is_refused_at_once(tmp_path: Path) -> None:
    """Addresses and names are looked at before anything is opened."""
    with pytest.raises(BadAddress):
        StartOptions(home=tmp_path, peers=("x",)).check()
    with pytest.raises(BadAddress):
        StartOptions(home=tmp_path, listen="[::1").check()
    with pytest.raises(BadName):
        StartOptions(home=tmp_path, name=" ").check()


def test_options_that_a_running_node_lacks_are_named(tmp_path: Path) -> None:
    """Only what was typed and differs is told; peers are passed on instead."""
    settings: dict[str, object] = {"mesh": DEFAULT_MESH, "listen": None, "interfaces": [], "discovery": True}
    same = StartOptions(home=tmp_path, name="ann", mesh="zmqchat", peers=("10.0.0.2:42100",))
    assert same.disagreements("ann", settings) == []
    other = StartOptions(home=tmp_path, name="bob", mesh="x", listen="h:1", interfaces=("lo",), no_discovery=True)
    told = ["--name bob", "--mesh x", "--listen h:1", "--interface lo", "--no-discovery"]
    assert other.disagreements("ann", settings) == told
    assert StartOptions(home=tmp_path).disagreements("ann", None) == []

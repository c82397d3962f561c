"""Start options: what the command line says comes before the config file, and disagreements are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from zmqchat.cli.options import DEFAULT_MESH, StartOptions
from zmqchat.model.errors import BadAddress, BadName


def test_the_config_file_fills_what_was_left_open(tmp_path: Path) -> None:
    """Options win, peers come from both."""
    (tmp_path / "config.toml").write_text(
        'name = "filed"\nmesh = "m"\npeers = ["10.0.0.1:42100"]\ndiscovery = false\ninterfaces = ["eth0"]\n'
    )
    whole = StartOptions(home=tmp_path, name="typed", peers=("10.0.0.2:42100",)).with_config()
    assert (whole.name, whole.mesh, whole.no_discovery, whole.interfaces) == ("typed", "m", True, ("eth0",))
    assert whole.peers == ("10.0.0.2:42100", "10.0.0.1:42100")


def test_what_cannot_be_right_is_refused_at_once(tmp_path: Path) -> None:
    """Addresses and names are looked at before anything is opened."""
    with pytest.raises(BadAddress):
        StartOptions(home=tmp_path, peers=("x",)).check()
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

"""`peers` and `whoami` in real processes."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.commands import free_port, run_command, running_node, use_node


def test_peers_lists_those_in_touch(home: Path) -> None:
    """A command of its own finds the peer that it is told of; `--json` is an object a line."""
    port = free_port()
    other = home.with_name("other")
    with running_node(other, port=port):
        done = run_command(home, "peers", "--json", peer=port)
        assert [json.loads(line)["online"] for line in done.stdout.splitlines()] == [True]
        assert use_node(other, "peers").stdout == ""
    done = run_command(home, "peers")
    assert done.stdout == ""
    assert "nobody found" in done.stderr
    assert "offline" in run_command(home, "peers", "--all").stdout


def test_a_peer_given_to_a_running_node_is_waited_for(home: Path) -> None:
    """`--peer` is passed on, and who is listed is who it has led to."""
    port = free_port()
    with running_node(home.with_name("other"), port=port), running_node(home):
        done = run_command(home, "peers", peer=port)
        assert "online" in done.stdout


def test_whoami_stays_the_same(home: Path) -> None:
    """The identity is made once; the home, the name and how the key is kept are told."""
    first = json.loads(run_command(home, "whoami", "--json").stdout)
    text = run_command(home, "whoami").stdout
    assert first["id"] in text
    assert first["name"] == "home"
    assert first["home"] == str(home)
    assert "mode 600" in first["key"]

"""After a while with nobody found, what was tried is told once."""

from __future__ import annotations

from pathlib import Path

from tests.support.commands import free_port, running_node


def test_a_lone_node_says_what_to_try(home: Path) -> None:
    """After five seconds alone one line names what was tried and the next thing to do."""
    with running_node(home) as node:
        node.wait_for("zmqchat: nobody found.*--peer", 15)
        assert node.printed.count("nobody found") == 1


def test_a_node_in_company_says_nothing(home: Path) -> None:
    """Who has found somebody is not bothered."""
    port = free_port()
    with running_node(home, port=port) as node, running_node(home.with_name("other"), peer=port) as other:
        node.wait_for("is here")
        other.wait_for("is here")
        assert not node.printed_within("nobody found", 6)
